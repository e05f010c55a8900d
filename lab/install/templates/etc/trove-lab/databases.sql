{% for name, user in databases -%}
CREATE DATABASE IF NOT EXISTS {{ name }} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE OR REPLACE USER {{ user }}@localhost IDENTIFIED BY '{{ secrets["db_" ~ user] }}';
CREATE OR REPLACE USER {{ user }}@127.0.0.1 IDENTIFIED BY '{{ secrets["db_" ~ user] }}';
{% endfor -%}
{% for name, user in databases -%}
GRANT ALL ON {{ name }}.* TO {{ user }}@localhost, {{ user }}@127.0.0.1;
{% endfor -%}
