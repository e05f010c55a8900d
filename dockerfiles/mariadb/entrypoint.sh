#!/bin/sh
# Arguments as in the official image: options are mariadbd's, another word is a command.
# MARIADB_ROOT_PASSWORD or MYSQL_ROOT_PASSWORD (MARIADB_ROOT_PASSWORD_FILE: a file with it) is root's from the first
# start of an empty data directory on.
set -eu
umask 027

case "${1:-}" in
    "" | -*) set -- mariadbd "$@" ;;
    mysqld) shift; set -- mariadbd "$@" ;;
esac
[ "$1" = mariadbd ] || exec "$@"

datadir=$(my_print_defaults --mysqld | sed -n 's/^--datadir=//p' | sed -n '$p')
given=/dev/null
for argument; do
    case "$argument" in
        --datadir=*) datadir=${argument#--datadir=} ;;
        --init_file=*) given=${argument#--init_file=} ;;
    esac
done
datadir=${datadir:-/var/lib/mysql}

if [ ! -d "$datadir/mysql" ]; then
    password=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}
    [ -z "${MARIADB_ROOT_PASSWORD_FILE:-}" ] || password=$(cat "$MARIADB_ROOT_PASSWORD_FILE")
    if [ -z "$password" ]; then
        echo "entrypoint: the data directory is empty and MARIADB_ROOT_PASSWORD is not set" >&2
        exit 1
    fi
    quoted=$(printf %s "$password" | sed "s/[\\\\']/\\\\&/g")
    # The system schema comes last: a copy that was cut short starts anew.
    mkdir -p "$datadir"
    rm -rf "$datadir/mysql.partial"
    for item in /usr/share/mariadb/seed/*; do
        case "$item" in */mysql) ;; *) cp -R "$item" "$datadir/" ;; esac
    done
    cp -R /usr/share/mariadb/seed/mysql "$datadir/mysql.partial"
    mv "$datadir/mysql.partial" "$datadir/mysql"
    init=/dev/shm/root.sql
    cat > "$init" <<SQL
DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';
DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';
FLUSH PRIVILEGES;
ALTER USER 'root'@'localhost' IDENTIFIED BY '$quoted';
CREATE USER 'root'@'%' IDENTIFIED BY '$quoted';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;
CREATE USER 'database'@'localhost' IDENTIFIED VIA unix_socket;
SQL
    # the server reads one such file: the last
    cat "$given" >> "$init"
    set -- "$@" "--init-file=$init"
fi
# Trove mounts its own /etc/mysql over ours; without this a client without a DNS name waits for seconds.
exec "$@" --skip-name-resolve
