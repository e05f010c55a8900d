"""The image that every arm runs: the engine's image, flattened, with configuration and filled data in it.

The same archive becomes the containers' image and the virtual machines' root file system, so binary, configuration
and data are equal by construction; their hashes go into the manifest, and the running servers are asked as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.errors
import pg8000.dbapi
from docker.models.containers import Container
from filelock import FileLock, Timeout

from lab.core import process, waits
from lab.core.errors import DockerUnusable, LabBusy
from lab.core.home import LABEL
from lab.core.job import Job
from lab.core.secrets import Secrets
from lab.core.state import write_atomically
from lab.core.waits import Note
from lab.density.dockers import PROBLEMS, Dockers, put, remove
from lab.density.engine import CONFIG, DATA, DATABASE, MERGE, TRANSIENT, UID, USER, Engine, Place
from lab.density.folder import folder
from lab.density.host import mergeable
from lab.guest import datastores

SECONDS = 300.0
BUILD_SECONDS = 1800.0
SUITE = "trixie"
"""Debian's suite that the engines come from, as Trove's guests have them."""
MARIADB_ROWS = 60_000
PGBENCH = (
    "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88))",
    "CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84))",
    "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))",
    "CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
    "INSERT INTO pgbench_branches VALUES (1, 0)",
    "INSERT INTO pgbench_tellers SELECT tid, 1, 0 FROM generate_series(1, 10) AS tid",
    "INSERT INTO pgbench_accounts SELECT aid, 1, 0, '' FROM generate_series(1, 100000) AS aid",
    "VACUUM ANALYZE",
)
"""pgbench's own tables at scale 1, filled by the server: preparing needs no tool on the host."""
RECIPE = 3
"""Raised when the data or the layout changes."""


@dataclass(frozen=True)
class Baked:
    """``tag`` is the image, ``archive`` its file system as a tar, ``program`` the engine's path; hashes SHA-256."""

    engine: Engine
    tag: str
    archive: Path
    program: str
    hashes: dict[str, str]
    environment: tuple[str, ...]

    def argv(self, words: Sequence[str] = ()) -> list[str]:
        """The engine's command line (``words``: another one of the same engine) with the program's full path."""
        return [self.program, *(words or self.engine.argv)[1:]]


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One density run a host: two would measure each other. Raises: LabBusy."""
    lock = FileLock(folder() / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as busy:
        raise LabBusy("density", "another density run on this host") from busy
    try:
        yield
    finally:
        lock.release()


def password() -> str:
    """The bench user's password on this host; servers with it sit on private networks only."""
    return Secrets(folder() / "secrets.json", "density")["bench"]


def bake(dockers: Dockers, engine: Engine, note: Note) -> Baked:
    """Make the image, or find it; the engine's own image too. Raises: DockerUnusable, CommandFailed, TimedOut …"""
    try:
        base = dockers.client.images.get(engine.image)
    except docker.errors.ImageNotFound:
        store = next(one for one in datastores.load(SUITE) if one.name == engine.name)
        base = dockers.client.images.get(store.build(Job(note, folder() / "image.log", BUILD_SECONDS, "")))
    recipe = [RECIPE, base.id, engine.config, engine.argv, password(), MARIADB_ROWS]
    key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
    archive = folder() / f"{engine.name}-{key}.tar"
    facts = archive.with_suffix(".json")
    tag = f"trove-lab/density-{engine.name}:{key}"
    environment = tuple(str(e) for e in base.attrs["Config"].get("Env") or ())
    if not (facts.exists() and archive.exists()):
        note(f"filling a {engine.name} with data")
        _make(dockers, engine, archive, facts)
    known: dict[str, Any] = json.loads(facts.read_text())
    try:
        dockers.client.images.get(tag)
    except docker.errors.ImageNotFound:
        changes = [f"LABEL {LABEL}=density-images", f"USER {UID}:{UID}"]
        changes += [f"ENV {e}" for e in environment]
        changes = [word for change in changes for word in ("--change", change)]
        process.run("docker", "import", *changes, str(archive), tag, timeout=SECONDS)
    return Baked(engine, tag, archive, known["program"], known["hashes"], environment)


def _make(dockers: Dockers, engine: Engine, archive: Path, facts: Path) -> None:
    root = Secrets(folder() / "secrets.json", "density")["root"]
    with dockers.network("bake") as network:
        container = dockers.client.containers.create(
            engine.image,
            _first_start(engine),
            environment={"MARIADB_ROOT_PASSWORD": root, "POSTGRES_PASSWORD": root, "PGDATA": DATA},
            labels=dockers.label,
            network=network.name,
        )
        try:
            put(container, {
                "/srv": (None, 0o755, UID),
                DATA: (None, 0o700, UID),
                CONFIG: (engine.config.encode(), 0o644, 0),
                MERGE: (mergeable.program(), 0o755, 0),
            })  # fmt: skip
            container.start()
            _fill(dockers, engine, container, root)
            program = _which(container, engine.argv[0])
            container.stop(timeout=60)
            partial = archive.with_suffix(".partial")
            process.run("docker", "export", "-o", str(partial), str(container.id), timeout=SECONDS)
            partial.chmod(0o600)
            partial.replace(archive)
        except PROBLEMS as error:
            raise DockerUnusable(f"preparing {engine.image} failed: {error}", "./inv doctor") from error
        finally:
            remove(container)
    known = {"program": program, "hashes": hashes(archive, program)}
    write_atomically(facts, json.dumps(known, indent=1), 0o600)


def _first_start(engine: Engine) -> list[str]:
    if engine.name == "mariadb":
        return [*engine.argv, f"--datadir={DATA}"]
    return ["postgres"]


def _fill(dockers: Dockers, engine: Engine, container: Container, root: str) -> None:
    def dead() -> str | None:
        container.reload()
        return str(container.logs(tail=5)) if container.status == "exited" else None

    admin, first = ("root", "mysql") if engine.name == "mariadb" else ("postgres", "postgres")
    address = waits.until(
        "the container's address",
        lambda: dockers.address(container),
        seconds=SECONDS,
        fatal=dead,
    )

    def prepared() -> bool:
        with engine.connect(Place(address, engine.port, first), root, user=admin) as session:
            for statement in _statements(engine):
                with contextlib.suppress(pg8000.dbapi.DatabaseError):  # CREATE has no IF NOT EXISTS there
                    session.execute(statement)
        return True

    waits.until(
        f"{engine.image} to take its data",
        prepared,
        seconds=SECONDS,
        fatal=dead,
        transient=TRANSIENT,
    )
    if engine.name == "postgresql":
        with engine.connect(Place(address, engine.port), password()) as session:
            for statement in tables(engine):
                session.execute(statement)


def tables(engine: Engine) -> tuple[str, ...]:
    """What fills the bench's empty database, said by its user: the same rows in every arm and on every host."""
    if engine.name == "postgresql":
        return PGBENCH
    # sysbench's own table, filled by the server from a fixed rule; a database of Trove's has another character set
    return (
        f"""CREATE TABLE {DATABASE}.sbtest1 (
            id INT NOT NULL AUTO_INCREMENT, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '',
            pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_1 (k)) ENGINE = InnoDB
            CHARACTER SET utf8mb4 COLLATE utf8mb4_uca1400_ai_ci""",
        f"""INSERT INTO {DATABASE}.sbtest1 (k, c, pad)
            SELECT 1 + CRC32(seq) %% {MARIADB_ROWS}, LEFT(REPEAT(MD5(seq), 4), 119), LEFT(REPEAT(MD5(-seq), 2), 59)
            FROM seq_1_to_{MARIADB_ROWS}""",
    )


def _statements(engine: Engine) -> list[str]:
    if engine.name == "postgresql":
        return [
            f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{password()}'",
            f"CREATE DATABASE {DATABASE} OWNER {USER}",
        ]
    return [
        f"CREATE OR REPLACE USER {USER}@'%%' IDENTIFIED BY '{password()}'",
        f"GRANT ALL ON *.* TO {USER}@'%%'",
        f"CREATE OR REPLACE DATABASE {DATABASE}",
        *tables(engine),
        "SET GLOBAL innodb_fast_shutdown = 0",
    ]


def _which(container: Container, name: str) -> str:
    code, output = container.exec_run(["sh", "-c", f'readlink -f "$(command -v {name})"'])
    path = output.decode().strip() if isinstance(output, bytes) else ""
    if code or not path.startswith("/"):
        raise DockerUnusable(f"there is no {name} in the engine's image", "./inv image-build builds it anew.")
    return path


def hashes(archive: Path, program: str) -> dict[str, str]:
    """SHA-256 of the engine's program, of its configuration and of the data files (names and contents) in the tar."""
    found = {"binary": "", "config": ""}
    data: dict[str, str] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = "/" + member.name.removeprefix("./")
            file = tar.extractfile(member) if member.isreg() else None
            if file is None or not (name in (program, CONFIG) or name.startswith(DATA)):
                continue
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            if name == program:
                found["binary"] = digest
            elif name == CONFIG:
                found["config"] = digest
            else:
                data[name] = digest
    found["data"] = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return found
