"""What the two engines do differently: configuration, first start, quiescing, and the log that a replay reads."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from lab.dbod.dockerhost.accounts import SERVICE, native, steady, verifier
from lab.dbod.dockerhost.servers import HOME
from lab.engines.sql import Session

UID = 1001
"""The images' database user."""
DATA = f"{HOME}/data"
LOG = f"{HOME}/log"
CONFIG = f"{HOME}/server.cnf"
SEED = f"{HOME}/password"
"""Where the first start finds the service's password."""
STATEMENTS = f"{HOME}/service.sql"
LOCK_SECONDS = 20


@dataclass(frozen=True)
class Engine:
    """An engine: ``argv`` starts it, ``check`` parses its configuration and ends; ``admin`` is the owner's account.

    ``volume`` is what its image keeps data in elsewhere.
    """

    name: str
    repository: str
    port: int
    admin: str
    database: str
    volume: str
    argv: tuple[str, ...]
    check: tuple[str, ...]
    kept: re.Pattern[str]
    """Settings that are the provider's: with others it could not find the data, or not restore them."""

    def start(self, version: str) -> list[str]:
        """The server's command line; what is fixed stands there, where no file and no statement overrules it."""
        if self.name == "mariadb":
            return [*self.argv, *(f"--{key}={value}" for key, value in MARIADB_FIXED.items())]
        # since 17 ALTER SYSTEM can be switched off: what it writes counts before the configuration that we try out
        fixed = POSTGRESQL_FIXED | ({"allow_alter_system": "off"} if Version(version) >= Version("17") else {})
        return [*self.argv, *(word for key, value in fixed.items() for word in ("-c", f"{key}={value}"))]

    @property
    def environment(self) -> dict[str, str]:
        """Of the container."""
        if self.name == "mariadb":
            return {"MARIADB_ROOT_PASSWORD_FILE": SEED}
        return {"POSTGRES_USER": SERVICE, "POSTGRES_PASSWORD_FILE": SEED, "PGDATA": DATA}

    def config(self, settings: Mapping[str, str], memory: int, extra: Mapping[str, str]) -> str:
        """The server's configuration: our defaults for ``memory`` MiB, the user's ``settings``, what is fixed."""
        if self.name == "mariadb":
            lines = _mariadb_defaults(memory) | dict(settings) | MARIADB_FIXED | dict(extra)
            return "[mariadbd]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())
        lines = _postgresql_defaults(memory) | dict(settings) | POSTGRESQL_FIXED | dict(extra)
        return "".join(f"{key} = '{value}'\n" for key, value in lines.items())

    def names(self, printed: str) -> set[str]:
        """Every setting that the engine has, from what ``check`` printed."""
        if self.name == "mariadb":
            lines = printed.partition("Variables (--variable-name=value)")[2].splitlines()
            return {line.split()[0].replace("-", "_") for line in lines if re.match(r"[a-z]", line)}
        return {line.split("\t")[0] for line in printed.splitlines()}

    def refusal(self, code: int, words: str, settings: Mapping[str, str]) -> str | None:
        """Why the engine does not take ``settings``, from what ``check`` ended with and said; None if it does."""
        lines = [line for line in words.splitlines() if re.search(r"\[ERROR\]|(LOG|FATAL): ", line)]
        # MariaDB makes 10 of "max_connections = many", with a warning and exit code 0
        lines += [m[0] for key in settings for m in re.finditer(rf"option '{key}':.* adjusted to .*", words)]
        if code == 0 and not any("adjusted" in line for line in lines):
            return None
        first = (lines or words.splitlines() or [f"exit code {code}"])[0]
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

    def set_admin(self, session: Session, password: str) -> None:
        """The owner's administrator, with every right and this password: made, or what its owner left of it."""
        if self.name == "mariadb":
            session.execute("SET SESSION sql_log_bin = 0")  # it is this server's, whatever is replayed here
            session.execute(f"CREATE USER IF NOT EXISTS '{self.admin}'@'%%'")
            session.execute(f"GRANT ALL PRIVILEGES ON *.* TO '{self.admin}'@'%%' WITH GRANT OPTION")
            for (host,) in session.execute("SELECT host FROM mysql.global_priv WHERE user = %s", self.admin):
                account = f"'{self.admin}'@'{host}'".replace("%", "%%")
                session.execute(f"ALTER USER {account} IDENTIFIED BY PASSWORD '{native(password)}' ACCOUNT UNLOCK")
            return
        verb = "ALTER" if session.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", self.admin) else "CREATE"
        rights = "SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS LOGIN"
        session.execute(f"{verb} ROLE {self.admin} {rights} PASSWORD '{verifier(password)}'")

    def set_service(self, session: Session, version: str, password: str) -> None:
        """Our own account's password in PostgreSQL; MariaDB reads it at each start."""
        if self.name == "postgresql":
            for statement in steady(version):
                session.execute(statement)
            session.execute(f"ALTER ROLE {SERVICE} PASSWORD '{verifier(password)}'")

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
    "tmpdir": f"{HOME}/tmp",
    "init_file": STATEMENTS,
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
    "hba_file": f"{HOME}/pg_hba.conf",
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
    volume="/var/lib/mysql",
    argv=("mariadbd", f"--defaults-file={CONFIG}", f"--datadir={DATA}"),
    # with --help the options are parsed, every variable is named and nothing is started
    check=(
        "sh",
        "-c",
        f"exec mariadbd --defaults-file={CONFIG}.new --datadir=/tmp --log-bin=/tmp/log --help --verbose",
    ),
    kept=re.compile(
        rf"{'|'.join(MARIADB_FIXED)}|.*(dir|_directory|_file|_path|_basename|_index)|binlog_(do|ignore)_.*|chroot|"
        r"innodb_(doublewrite|fast_shutdown|force_.*|read_only.*)|log_(bin.*|error)|plugin.*|relay_.*|replicate_.*|"
        r"skip_(?!name_resolve).*|user|wsrep_.*"
    ),
)
POSTGRESQL = Engine(
    name="postgresql",
    repository="trove-lab/postgresql",
    port=5432,
    admin="postgres",
    database="postgres",
    volume="/var/lib/postgresql/data",
    argv=("postgres", "-c", f"config_file={CONFIG}"),
    check=(
        "sh",
        "-c",
        f"postgres -C shared_buffers -c config_file={CONFIG}.new > /dev/null && exec postgres --describe-config",
    ),
    kept=re.compile(
        rf"{'|'.join(POSTGRESQL_FIXED)}|.*_(command|file|library)|dynamic_library_path|fsync|hot_standby|ident_.*|"
        r"ignore_.*|primary_.*|recovery_.*|unix_socket_.*|zero_damaged_pages"
    ),
)
ALL = {engine.name: engine for engine in (MARIADB, POSTGRESQL)}
