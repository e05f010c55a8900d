"""What the two engines do differently: configuration, first start, quiescing, and the log that a replay reads."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from lab.dbod.dockerhost.servers import HOME
from lab.engines.sql import Session

UID = 1001
"""The images' database user."""
DATA = f"{HOME}/data"
LOG = f"{HOME}/log"
CONFIG = f"{HOME}/server.cnf"
LOCK_SECONDS = 20


@dataclass(frozen=True)
class Engine:
    """An engine: ``argv`` starts it, ``check`` parses its configuration and ends; ``admin`` has every right."""

    name: str
    repository: str
    port: int
    admin: str
    database: str
    argv: tuple[str, ...]
    check: tuple[str, ...]
    fixed: tuple[str, ...]
    """Settings that the provider must keep for itself, or it could not find or restore the data."""

    def start(self, version: str) -> list[str]:
        """The server's command line; what is fixed stands there, where no file and no statement overrules it."""
        if self.name == "mariadb":
            return [*self.argv, *(f"--{key}={value}" for key, value in MARIADB_FIXED.items())]
        # since 17 ALTER SYSTEM can be switched off: what it writes counts before the configuration that we try out
        fixed = POSTGRESQL_FIXED | ({"allow_alter_system": "off"} if Version(version) >= Version("17") else {})
        return [*self.argv, *(word for key, value in fixed.items() for word in ("-c", f"{key}={value}"))]

    def environment(self, password: str) -> dict[str, str]:
        """Of the container; the password is used on the first start only."""
        if self.name == "mariadb":
            return {"MARIADB_ROOT_PASSWORD": password}
        return {"POSTGRES_PASSWORD": password, "PGDATA": DATA}

    def config(self, settings: Mapping[str, str], memory: int, extra: Mapping[str, str]) -> str:
        """The server's configuration: our defaults for ``memory`` MiB, the user's ``settings``, what is fixed."""
        if self.name == "mariadb":
            lines = _mariadb_defaults(memory) | dict(settings) | MARIADB_FIXED | dict(extra)
            return "[mariadbd]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())
        lines = _postgresql_defaults(memory) | dict(settings) | POSTGRESQL_FIXED | dict(extra)
        return "".join(f"{key} = '{value}'\n" for key, value in lines.items())

    def refusal(self, code: int, said: str, settings: Mapping[str, str]) -> str | None:
        """Why the engine does not take ``settings``, from what ``check`` ended with and said; None if it does."""
        lines = [line for line in said.splitlines() if re.search(r"\[ERROR\]|(LOG|FATAL): ", line)]
        # MariaDB makes 10 of "max_connections = many", with a warning and exit code 0
        lines += [m[0] for key in settings for m in re.finditer(rf"option '{key}':.* adjusted to .*", said)]
        if code == 0 and not any("adjusted" in line for line in lines):
            return None
        first = (lines or said.splitlines() or [f"exit code {code}"])[0]
        return re.split(r"\[ERROR\] (?:mariadbd: )?|(?:LOG|FATAL):\s+", first)[-1].strip()

    def setting(self, session: Session, key: str) -> str:
        """A setting as the running server has it."""
        if self.name == "mariadb":
            return str(session.execute("SELECT variable_value FROM information_schema.global_variables "
                                       "WHERE variable_name = %s", key)[0][0])  # fmt: skip
        return str(session.execute("SELECT current_setting(%s)", key)[0][0])

    def accounts(self, session: Session) -> int:
        """Connections that are open."""
        if self.name == "mariadb":
            return int(session.execute("SELECT count(*) FROM information_schema.processlist")[0][0])
        return int(
            session.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")[0][0]
        )

    def first_log(self, session: Session, position: Mapping[str, Any]) -> str:
        """The first file of the log that a replay from ``position`` reads; PostgreSQL's without its timeline."""
        if self.name == "mariadb":
            return str(position["file"])
        lsn = position.get("redo", position["lsn"])
        return str(session.execute("SELECT pg_walfile_name(%s)", lsn)[0][0])[8:]

    def databases(self, session: Session) -> list[str]:
        """Those that need a session of their own to be looked into."""
        if self.name == "mariadb":
            return [self.database]
        wanted = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
        return [str(row[0]) for row in session.execute(wanted)]

    def volatile(self, session: Session) -> list[str]:
        """Tables of the session's database whose rows are neither in a snapshot nor in a log, as ``schema.table``."""
        if self.name == "mariadb":
            wanted = (
                "SELECT table_schema, table_name FROM information_schema.tables WHERE engine = 'MEMORY' "
                "AND table_schema NOT IN ('information_schema', 'performance_schema') ORDER BY 1, 2"
            )
        else:
            wanted = (
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relpersistence = 'u' AND c.relkind = 'r' ORDER BY 1, 2"
            )
        return [f"{schema}.{table}" for schema, table in session.execute(wanted)]

    def change_password(self, session: Session, password: str) -> None:
        """Another password for the administrator."""
        if self.name == "mariadb":
            # SET TERMINATOR-free: passwords are alphanumeric (lab/core/secrets.py)
            for host in ("%", "localhost"):
                session.execute(f"ALTER USER '{self.admin}'@'{host.replace('%', '%%')}' IDENTIFIED BY '{password}'")
        else:
            session.execute(f"ALTER USER {self.admin} PASSWORD '{password}'")

    @contextlib.contextmanager
    def quiesced(self, session: Session) -> Iterator[dict[str, Any]]:
        """Hold the server at a consistent point; gives where its log stands there. Raises: sql.ERRORS."""
        if self.name == "mariadb":
            # a statement that runs for hours must not make everybody wait behind the lock
            session.execute(f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}")
            session.execute("FLUSH TABLES WITH READ LOCK")
            try:
                # else the last commits are in the binary log only, and a copy without that log will not start:
                # "Found 1 prepared transactions!"
                session.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
                file, position, *_ = session.execute("SHOW BINLOG STATUS")[0]
                ((gtid,),) = session.execute("SELECT @@gtid_binlog_pos")
                yield {"file": str(file), "position": int(position), "gtid": str(gtid)}
            finally:
                session.execute("UNLOCK TABLES")
        else:
            # an atomic snapshot is what a crash leaves: replay starts at this checkpoint, so it is short
            session.execute("CHECKPOINT")
            # two places: where a record begins, for who reads the log (the end of what is written may lie within one,
            # or in a segment that is being filled up), and from where on commits may be missing in the snapshot
            wanted = "SELECT redo_lsn::text, pg_current_wal_flush_lsn()::text FROM pg_control_checkpoint()"
            redo, flushed = session.execute(wanted)[0]
            yield {"redo": str(redo), "lsn": str(flushed)}


MARIADB_FIXED = {
    "datadir": DATA,
    "tmpdir": "/tmp",
    "socket": "/tmp/mariadb.sock",
    "pid_file": "/tmp/mariadb.pid",
    "port": "3306",
    "bind_address": "0.0.0.0",
    "log_bin": f"{LOG}/binlog",
    "binlog_format": "ROW",
    "server_id": "1",
    "innodb_data_file_path": "ibdata1:10M:autoextend",
    "default_time_zone": "+00:00",
}
POSTGRESQL_FIXED = {
    "data_directory": DATA,
    "hba_file": f"{DATA}/pg_hba.conf",
    "listen_addresses": "*",
    "port": "5432",
    "unix_socket_directories": "/tmp",
    "wal_level": "replica",
    "full_page_writes": "on",
    "archive_mode": "on",
    # it may overwrite: one server writes a log, and a restore that was put back had copied unfinished segments there
    "archive_command": f"cp %p {LOG}/%f.partial && mv {LOG}/%f.partial {LOG}/%f",
    "archive_timeout": "60",
    "logging_collector": "off",
    "timezone": "UTC",
}


def _mariadb_defaults(memory: int) -> dict[str, str]:
    return {
        "skip_name_resolve": "ON",
        "performance_schema": "OFF",
        "max_connections": "100",
        "innodb_buffer_pool_size": f"{max(16, memory // 4)}M",
        "innodb_log_file_size": "16M",
        # without O_DIRECT: a page that changes while it is written would break btrfs' checksum of it
        "innodb_flush_method": "fsync",
        "sync_binlog": "1",
        "binlog_expire_logs_seconds": "0",
    }


def _postgresql_defaults(memory: int) -> dict[str, str]:
    return {
        "max_connections": "100",
        "shared_buffers": f"{max(16, memory // 4)}MB",
        "huge_pages": "off",
        "max_wal_size": "256MB",
        "min_wal_size": "32MB",
    }


MARIADB = Engine(
    name="mariadb",
    repository="trove-lab/mariadb",
    port=3306,
    admin="root",
    database="mysql",
    argv=("mariadbd", f"--defaults-file={CONFIG}", f"--datadir={DATA}"),
    # with --help the options are parsed and nothing is started
    check=(
        "sh",
        "-c",
        f"exec mariadbd --defaults-file={CONFIG}.new --datadir=/tmp --log-bin=/tmp/log --help --verbose > /dev/null",
    ),
    fixed=(*MARIADB_FIXED, "skip_log_bin", "skip_networking", "init_file", "plugin_dir", "basedir"),
)
POSTGRESQL = Engine(
    name="postgresql",
    repository="trove-lab/postgresql",
    port=5432,
    admin="postgres",
    database="postgres",
    argv=("postgres", "-c", f"config_file={CONFIG}"),
    check=("sh", "-c", f"exec postgres -C shared_buffers -c config_file={CONFIG}.new > /dev/null"),
    fixed=(*POSTGRESQL_FIXED, "config_file", "restore_command", "recovery_target_time", "archive_library"),
)
ALL = {engine.name: engine for engine in (MARIADB, POSTGRESQL)}
