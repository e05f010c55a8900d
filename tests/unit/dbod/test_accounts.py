"""The statements that put the service's account back hold what the engines themselves would make of its password."""

from __future__ import annotations

import base64
import json
import re

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pg8000.dbapi import DatabaseError
from scramp import ScramMechanism

from lab.core.secrets import ALPHABET
from lab.dbod.dockerhost import accounts

PASSWORDS = st.text(ALPHABET, min_size=1, max_size=30)


def test_mariadb_has_the_password_as_its_own_function_writes_it() -> None:
    # SELECT PASSWORD('root') in MariaDB 11.8
    assert "*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B" in accounts.mariadb("root")


@given(PASSWORDS)
def test_mariadb_reads_a_row_with_every_right_and_no_password(password: str) -> None:
    text = accounts.mariadb(f"{password}-not-a-digit")
    assert f"{password}-not-a-digit" not in text
    rights = json.loads(re.findall(r"'(\{.*\})'", text)[0])
    assert rights["access"] == 18446744073709551615
    assert text.startswith("SET SESSION sql_log_bin = 0;\n")


@given(PASSWORDS)
def test_postgresql_knows_the_password_by_its_verifier(password: str) -> None:
    text = accounts.postgresql(password, "17")
    rounds, salt, stored, server = re.findall(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):([^']+)", text)[0]
    _, wanted, wanted_server, _ = ScramMechanism().make_auth_info(password, int(rounds), base64.b64decode(salt))
    assert (base64.b64decode(stored), base64.b64decode(server)) == (wanted, wanted_server)
    # in single-user mode a line is a statement
    assert all(line.endswith(";") for line in text.splitlines())


def test_only_17_and_newer_have_triggers_at_logins() -> None:
    assert "event_triggers" in accounts.postgresql("x", "17")
    assert "event_triggers" not in accounts.postgresql("x", "15")


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (pymysql.OperationalError(1045, "Access denied for user"), True),
        (pymysql.OperationalError(2003, "Can't connect to MySQL server"), False),
        (pymysql.OperationalError(1040, "Too many connections"), False),
        (DatabaseError({"C": "28P01", "M": "password authentication failed"}), True),
        (DatabaseError({"C": "57P03", "M": "the database system is starting up"}), False),
        (ConnectionRefusedError(111, "Connection refused"), False),
    ],
)
def test_what_no_waiting_mends_is_told_from_what_it_does(error: BaseException, out: bool) -> None:
    assert accounts.shut_out(error) is out
