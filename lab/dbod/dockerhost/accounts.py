"""The service's own account in each database: its owner may lock, rename or drop the administrator's.

With an administrator's rights ours can be taken away as well. MariaDB therefore writes it anew at each start; in
PostgreSQL it is the role that nobody can drop, and what else was done to it is undone in single-user mode, which asks
for no login. The files with these statements have no password, but what the server itself keeps of it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets

import pymysql
from packaging.version import Version
from pg8000.dbapi import DatabaseError

SERVICE = "trove_lab"
EVERYTHING = 2**64 - 1
"""MariaDB's global rights, a bit each."""
ROUNDS = 4096
"""PostgreSQL's own number."""
SHUT_OUT = {
    "mariadb": (1044, 1045, 1049, 1820, 1862, 4151),
    # by class: no such role, a wrong password, no such database, a database or a role that takes no connections
    "postgresql": ("28000", "28P01", "3D000", "55000"),
}
"""Codes of errors that end a login, and that no waiting mends."""
HBA = "local all all trust\nhost all all all scram-sha-256\n"
"""PostgreSQL's rules for logins: out of the owner's reach, who could lock everybody out."""


def native(password: str) -> str:
    """What MariaDB keeps of a password."""
    return "*" + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()


def mariadb(password: str) -> str:
    """What MariaDB reads at each start: into its table, since GRANT may meet rules for passwords."""
    rights = {"access": EVERYTHING, "plugin": "mysql_native_password", "authentication_string": native(password)}
    return (
        "SET SESSION sql_log_bin = 0;\n"
        f"REPLACE INTO mysql.global_priv (Host, User, Priv) VALUES ('%', '{SERVICE}', '{json.dumps(rights)}');\n"
        "FLUSH PRIVILEGES;\n"
    )


def postgresql(password: str, version: str) -> str:
    """What puts the role back, a statement a line; those that find it in order fail, and the others are done."""
    lines = [
        f"CREATE ROLE {SERVICE}",
        f"ALTER ROLE {SERVICE} SUPERUSER LOGIN BYPASSRLS CONNECTION LIMIT -1 VALID UNTIL 'infinity' "
        f"PASSWORD '{verifier(password)}'",
        *steady(version),
        "CREATE DATABASE postgres",
        "ALTER DATABASE postgres ALLOW_CONNECTIONS true",
    ]
    return "".join(f"{line};\n" for line in lines)


def steady(version: str) -> list[str]:
    """Statements that make PostgreSQL's role independent of what is set for a database or by a trigger at logins."""
    wanted = {"statement_timeout": "0", "lock_timeout": "0", "default_transaction_read_only": "off"}
    if Version(version) >= Version("17"):
        wanted["event_triggers"] = "off"
    return [
        f"ALTER ROLE {SERVICE} RESET ALL",
        f"ALTER ROLE {SERVICE} IN DATABASE postgres RESET ALL",
        *(f"ALTER ROLE {SERVICE} SET {key} = '{value}'" for key, value in wanted.items()),
    ]


def shut_out(error: BaseException) -> bool:
    """Whether the server runs and does not let us in."""
    if isinstance(error, pymysql.MySQLError):
        return bool(error.args) and error.args[0] in SHUT_OUT["mariadb"]
    if isinstance(error, DatabaseError) and error.args and isinstance(error.args[0], dict):
        return error.args[0].get("C") in SHUT_OUT["postgresql"]
    return False


def verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5802)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS)
    client, server = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
    shown = [base64.b64encode(part).decode() for part in (salt, hashlib.sha256(client).digest(), server)]
    return f"SCRAM-SHA-256${ROUNDS}:{shown[0]}${shown[1]}:{shown[2]}"
