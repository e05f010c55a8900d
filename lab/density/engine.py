"""The database engines: one binary, one configuration and the same data in every arm."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lab.core.errors import Unsupported
from lab.core.units import MIB
from lab.engines import sql
from lab.engines.sql import PORTS, Login, Session

HOME = "/srv"
DATA = f"{HOME}/data"
CONFIG = f"{HOME}/engine.cnf"
MERGE = f"{HOME}/merge"
FILES = 16384
"""Open files that a server may have: engines size their caches by it, so it is the same in every arm.

Low enough for a Docker daemon that may not raise limits (one without CAP_SYS_RESOURCE).
"""
UID = 1001
"""The images' database user (Trove's default database_service_uid)."""
USER = "bench"
DATABASE = "bench"
POOL = 16 * MIB
QUERY_SECONDS = 60.0
ANSWER_SECONDS = 3.0
"""A start is asked anew after this: QEMU's forwarding accepts a connection long before the guest can."""
TRANSIENT = sql.ERRORS
"""What a database raises while it starts, or when it dies."""


@dataclass(frozen=True)
class Place:
    """Where one database answers."""

    host: str
    port: int
    database: str = DATABASE


@dataclass(frozen=True)
class Engine:
    """An engine: ``image`` holds it, ``argv`` starts it on DATA with CONFIG, ``rows`` fill its pool when read."""

    name: str
    image: str
    port: int
    argv: tuple[str, ...]
    config: str
    touch: tuple[str, ...]
    """Read every page of the data, so that the buffer pool is held and not only promised."""
    checksum: str
    settings: str
    own: tuple[str, ...]
    """Settings that differ between equal instances (paths of temporary files, host names)."""

    def sized(self, pool: int, connections: int) -> tuple[str, ...]:
        """``argv`` with a buffer pool of ``pool`` bytes (the shared arm's, which holds all databases' data)."""
        if self.name == "mariadb":
            return (*self.argv, f"--innodb-buffer-pool-size={pool}", f"--max-connections={connections}")
        return (*self.argv, "-c", f"shared_buffers={pool // 8192}", "-c", f"max_connections={connections}")

    def connect(
        self, place: Place, password: str, *, user: str = USER, seconds: float = QUERY_SECONDS
    ) -> contextlib.AbstractContextManager[Session]:
        """A session in autocommit mode; ``seconds`` bounds each answer of the server. Raises: TRANSIENT."""
        login = Login(self.name, place.host, user, password, place.database)
        return sql.connect(login, place.host, place.port, seconds=seconds, answer_seconds=seconds, autocommit=True)

    def answers(self, place: Place, password: str) -> bool:
        """Whether a query on the data is answered (raises TRANSIENT while it is not)."""
        with self.connect(place, password, seconds=ANSWER_SECONDS) as session:
            return int(session.execute("SELECT 6 * 7")[0][0]) == 42

    def add_database(self, place: Place, name: str, password: str) -> None:
        """Another database with the same tables and rows on the server at ``place``. Raises: TRANSIENT."""
        if self.name == "mariadb":
            made = [f"CREATE DATABASE {name}", f"CREATE TABLE {name}.sbtest1 LIKE {DATABASE}.sbtest1"]
            made += [f"INSERT INTO {name}.sbtest1 SELECT * FROM {DATABASE}.sbtest1"]
        else:
            # a database that somebody is connected to cannot be copied
            place, made = replace(place, database="postgres"), [f"CREATE DATABASE {name} TEMPLATE {DATABASE}"]
        with self.connect(place, password) as session:
            for statement in made:
                session.execute(statement)

    def pretouch(self, place: Place, password: str) -> None:
        """Read all data once. Raises: TRANSIENT."""
        with self.connect(place, password) as session:
            for statement in self.touch:
                session.execute(statement)

    def fingerprint(self, place: Place, password: str) -> dict[str, str]:
        """Version, settings and data as the running server tells them, hashed: must be equal in every arm."""
        with self.connect(place, password) as session:
            # "-log" says that the server keeps a log, not which server it is
            version = str(session.execute("SELECT VERSION()")[0][0]).removesuffix("-log")
            settings = sorted(self._told(session).items())
            data = str(session.execute(self.checksum)[0][-1])
        digest = hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
        return {"version": version, "settings": digest, "data": data}

    def values(self, place: Place, password: str) -> dict[str, str]:
        """Every setting as the running server has it. Raises: TRANSIENT."""
        with self.connect(place, password) as session:
            return self._told(session)

    def _told(self, session: Session) -> dict[str, str]:
        told = {str(name).lower(): str(value) for name, value in session.execute(self.settings)}
        return {name: value for name, value in told.items() if name not in self.own}


MARIADB = Engine(
    name="mariadb",
    image="trove-lab/mariadb:11.8",
    port=PORTS["mariadb"],
    argv=("mariadbd", f"--defaults-file={CONFIG}"),
    config=f"""[mariadbd]
datadir = {DATA}
tmpdir = /tmp
socket = /tmp/mariadb.sock
pid-file = /tmp/mariadb.pid
port = 3306
bind-address = 0.0.0.0
skip-name-resolve
skip-log-bin
skip-ssl
performance_schema = OFF
max_connections = 60
innodb_buffer_pool_size = {POOL}
innodb_buffer_pool_dump_at_shutdown = OFF
innodb_buffer_pool_load_at_startup = OFF
innodb_log_file_size = 16M
innodb_data_file_path = ibdata1:10M:autoextend
innodb_flush_method = O_DIRECT
innodb_flush_log_at_trx_commit = 1
""",
    touch=("SELECT COUNT(*), SUM(LENGTH(c)), SUM(LENGTH(pad)) FROM sbtest1",
           "SELECT COUNT(*) FROM sbtest1 USE INDEX (k_1)"),
    checksum="CHECKSUM TABLE sbtest1",
    settings="SHOW GLOBAL VARIABLES",
    own=("hostname", "server_uid", "pseudo_thread_id", "timestamp", "gtid_binlog_pos", "innodb_buffer_pool_size",
         "innodb_buffer_pool_size_max", "innodb_buffer_pool_size_auto_min", "innodb_lru_scan_depth",
         "rand_seed1", "rand_seed2", "thread_pool_size", "general_log_file",
         "innodb_log_file_buffering", "slow_query_log_file", "log_slow_query_file", "wsrep_node_name",
         "system_time_zone"),
)  # fmt: skip

POSTGRESQL = Engine(
    name="postgresql",
    image="trove-lab/postgresql:17",
    port=PORTS["postgresql"],
    argv=("postgres", "-D", DATA, "-c", f"config_file={CONFIG}"),
    config=f"""data_directory = '{DATA}'
hba_file = '{DATA}/pg_hba.conf'
listen_addresses = '*'
port = 5432
unix_socket_directories = '/tmp'
max_connections = 40
shared_buffers = {POOL // MIB}MB
huge_pages = off
max_wal_size = 128MB
min_wal_size = 32MB
logging_collector = off
log_min_messages = fatal
""",
    touch=(
        # a sequential scan of a large table keeps to a 256 KiB ring: the index leads every page into the pool
        "SELECT set_config('enable_seqscan', 'off', false), set_config('enable_bitmapscan', 'off', false)",
        "SELECT COUNT(*), SUM(abalance), SUM(LENGTH(filler)) FROM pgbench_accounts WHERE aid > 0",
    ),
    checksum="SELECT md5(string_agg(aid || ':' || bid || ':' || abalance, ',' ORDER BY aid)) FROM pgbench_accounts",
    settings="SELECT name, setting FROM pg_settings",
    own=("shared_buffers", "application_name", "transaction_timestamp", "shared_memory_size",
         "shared_memory_size_in_huge_pages", "client_encoding", "timezone", "log_timezone", "max_stack_depth",
         "wal_buffers"),
)  # fmt: skip

ALL = {engine.name: engine for engine in (MARIADB, POSTGRESQL)}


def named(names: Sequence[str]) -> list[Engine]:
    """Engines by name. Raises: Unsupported."""
    for name in names:
        if name not in ALL:
            raise Unsupported(f"There is no engine {name!r} in the density bench.", f"Choose from {', '.join(ALL)}.")
    return [ALL[name] for name in names]
