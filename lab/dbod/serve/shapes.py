"""DBOD's REST shapes (cerndb/dbod-api), out of what a provider tells; the OpenAPI is made from these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from lab.dbod import engines
from lab.dbod.contract import CATEGORIES, NAME, Operation, Request
from lab.dbod.serve.queue import Job, JobState

T = TypeVar("T")
TYPES = {"mariadb": "MYSQL", "postgresql": "PG"}
"""DBOD's names of engines: MariaDB stands for MySQL."""
ENGINES = {kind: name for name, kind in TYPES.items()}
Name = Annotated[str, Field(pattern=f"^{NAME}$", examples=["orders"])]
Key = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_.-]{0,63}$", examples=["buffer_pool_size"])]
Number = Annotated[int, Field(ge=1, le=2**63 - 1)]
Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Version = Annotated[str, Field(pattern=r"^[0-9a-zA-Z.-]{0,20}$")]
Memory = Annotated[int, Field(ge=64, le=1024 * 1024, description="MiB")]
Setting = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f'\"\\]*$")]
SettingKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]*$")]


class DbType(StrEnum):
    """An engine, as DBOD names it."""

    MYSQL = "MYSQL"
    PG = "PG"


class Class(StrEnum):
    """What an instance is for."""

    PROD, REF, TEST = CATEGORIES


class Response(BaseModel, Generic[T]):
    """DBOD's envelope."""

    response: T


class Problem(BaseModel):
    """Why not: one sentence, and what to do."""

    id: str
    cause: str
    remedy: str


class Refusal(BaseModel):
    """What every answer that is no success has."""

    error: Problem


class Closed(BaseModel):
    """A body in which an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid")


class Instance(BaseModel):
    """An instance, with DBOD's keys; what this provider cannot know is null."""

    model_config = ConfigDict(populate_by_name=True)
    id: str
    db_name: str
    db_type: DbType
    version: str | None
    class_: Class | None = Field(alias="class")
    state: str
    status: str
    host: str | None
    port: int | None
    memory: int | None = Field(description="its limit, MiB")
    username: str | None
    description: str | None
    e_group: str | None
    project: str | None
    creation_date: str | None
    expiry_date: str | None
    db_size: int | None = Field(description="bytes")
    no_connections: int | None
    master: str | None
    slave: str | None
    automatic_backups: bool
    seen: str | None = Field(description="when the state was last looked at")


class Creation(Closed):
    """A new instance."""

    db_type: DbType
    version: Version = ""
    class_: Class = Field(Class.TEST, alias="class")
    memory: Memory = 256
    port: Annotated[int, Field(ge=1024, le=65535)] | None = Field(None, description="any, if it is not given")
    username: Text = ""
    description: Text = ""
    e_group: Text = ""
    project: Text = ""
    expiry_date: date | None = None


class Change(Closed):
    """What may be changed of an instance's entry; keys that are not given stay, null takes one away."""

    class_: Class | None = Field(None, alias="class")
    username: Text | None = None
    description: Text | None = None
    e_group: Text | None = None
    project: Text | None = None
    expiry_date: date | None = None


class Value(Closed):
    """An attribute's."""

    value: Text


BackupId = Annotated[str, Field(max_length=64, description="a backup's id; the newest if empty")]


class Nothing(Closed):
    """This job has no arguments."""


class Config(Closed):
    """Settings of the engine's own configuration file, on top of those there are."""

    settings: Annotated[
        dict[SettingKey, Setting],
        # pydantic writes the keys' pattern, and not that there are no others
        Field(min_length=1, examples=[{"max_connections": "50"}], json_schema_extra={"additionalProperties": False}),
    ]


class Restore(Closed):
    """From a backup, and on from there to a point in time."""

    backup: BackupId = ""
    time: Annotated[
        str,
        Field(
            pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}:[0-9]{2}:[0-9]{2})?$",
            description="UTC, after the backup",
            examples=["2026-01-31_23:59:59"],
        ),
    ] = ""


class Clone(Closed):
    """A new instance with a backup's data."""

    target: Name
    backup: BackupId = ""


class Upgrade(Closed):
    """To a version that is offered; the newest if empty."""

    version: Version = ""


class Resize(Closed):
    """Another memory limit, MiB."""

    memory: Memory


class Automatic(Closed):
    """When automatic backups are made, and how many stay (0: the provider's own number)."""

    every: Annotated[int, Field(ge=1, le=168, description="hours")] = 24
    hour: Annotated[int, Field(ge=0, le=23, description="UTC, of the first of a day")] = 0
    day: Annotated[int, Field(ge=0, le=6, description="of weekly ones; 0 is Monday")] = 0
    keep: Annotated[int, Field(ge=0, le=1000)] = 0


class Replicate(Closed):
    """A replica's name."""

    target: Name


@dataclass(frozen=True)
class Asked:
    """A job that can be asked for: its operation, whether that switches on, and its arguments."""

    operation: Operation
    arguments: type[Closed] = Nothing
    on: bool = True

    @property
    def needs(self) -> bool:
        """Whether it has an argument that must be given."""
        return any(field.is_required() for field in self.arguments.model_fields.values())


JOBS = {
    "STARTUP": Asked(Operation.START),
    "SHUTDOWN": Asked(Operation.STOP),
    "UPLOAD_CONFIG": Asked(Operation.CONFIG_PUT, Config),
    "BACKUP": Asked(Operation.BACKUP),
    "RESTORE": Asked(Operation.RESTORE, Restore),
    "CLONE": Asked(Operation.CLONE, Clone),
    "UPGRADE": Asked(Operation.UPGRADE, Upgrade),
    "RESIZE": Asked(Operation.RESIZE, Resize),
    "ENABLE_AUTOMATIC_BACKUPS": Asked(Operation.AUTOMATIC_BACKUPS, Automatic),
    "DISABLE_AUTOMATIC_BACKUPS": Asked(Operation.AUTOMATIC_BACKUPS, on=False),
    "BEGIN_MAINTENANCE": Asked(Operation.MAINTENANCE),
    "END_MAINTENANCE": Asked(Operation.MAINTENANCE, on=False),
    "REPLICATE": Asked(Operation.REPLICATE, Replicate),
    "PROMOTE": Asked(Operation.PROMOTE),
}
"""Jobs as dbod-webapp names them, where it has them."""
NAMES = {(asked.operation, asked.on): name for name, asked in JOBS.items()}


class Entry(BaseModel):
    """A line of a job's log."""

    log: str


class JobShape(BaseModel):
    """A job: DBOD's state, and rundeck's word for it."""

    id: int
    job: str
    instance: str
    state: JobState
    execState: str  # noqa: N815  # rundeck's name
    asker: str
    arguments: dict[str, Any]
    creation_date: str
    begin_date: str | None
    completion_date: str | None
    attempts: int
    outcome: str | None
    why: str | None
    value: Any = None
    error: Problem | None
    entries: list[Entry]


class StateRow(BaseModel):
    """What the state checker saw, at a time in seconds since 1970, and the seconds that asking took."""

    at: int
    state: str
    seconds: float | None


class LookRow(BaseModel):
    """One look of the state checker: how many instances were in a state, and the longest of their answers."""

    at: int
    state: str
    n: int
    seconds: float | None


class ChangeRow(BaseModel):
    """A change: who, what, the value before and after."""

    at: str
    who: str
    attribute: str
    old: str | None
    new: str | None


class Schedule(BaseModel):
    """When automatic backups are made."""

    every: int
    hour: int
    day: int
    keep: int
    next: str


class BackupRow(BaseModel):
    """A backup that can be restored."""

    model_config = ConfigDict(extra="allow")
    id: str
    at: str


class RunRow(BaseModel):
    """A due time: when it was noticed, how many were missed until then, and the job that was made for it."""

    due: str
    at: str
    missed: int
    job: int


class Backups(BaseModel):
    """An instance's backups, oldest first, and their schedule."""

    backups: list[BackupRow]
    schedule: Schedule | None
    runs: list[RunRow]


class DayRow(BaseModel):
    """Backups that were tried on a day (UTC), by who asked and how they ended."""

    day: str
    automatic: bool
    failed: bool
    n: int


class Alias(BaseModel):
    """A name under which an instance is found."""

    alias: str
    dns_name: str


class ServiceShape(BaseModel):
    """What is served, and how it is."""

    provider: str
    does: list[str]
    lacks: dict[str, str]
    work: dict[str, str]
    trouble: str
    instances: int
    jobs: dict[str, int]
    now: str


class Volume(BaseModel):
    """Where an instance's files are."""

    server: str
    mounting_path: str
    mount_options: str
    owner: str
    group: str
    file_mode: str


class Metadata(BaseModel):
    """An instance for programs on its host."""

    model_config = ConfigDict(populate_by_name=True)
    id: str
    db_name: str
    db_type: DbType
    version: str | None
    class_: Class | None = Field(alias="class")
    username: str | None
    hosts: list[str]
    port: int | None
    socket: str | None
    basedir: str | None
    bindir: str | None
    datadir: str | None
    logdir: str | None
    attributes: dict[str, str]
    volumes: list[Volume]


BLANK = Request(Operation.LIST)
SHOWN = ("backup", "time", "target", "version", "memory", "settings", "every", "hour", "day", "keep")


def instance(facts: dict[str, Any]) -> Instance:
    """DBOD's shape of what is known of an instance."""
    return Instance.model_validate(
        {
            "id": facts["name"],
            "db_name": facts["name"],
            "db_type": TYPES[facts["engine"]],
            "version": facts.get("version"),
            "class": facts.get("class") or facts.get("category"),
            "state": str(facts["state"]),
            "status": "ACTIVE",
            "host": facts.get("host"),
            "port": facts.get("port"),
            "memory": facts.get("memory"),
            "username": facts.get("username") or facts.get("owner"),
            "creation_date": facts.get("created"),
            "db_size": facts.get("bytes"),
            "no_connections": facts.get("connections"),
            "master": facts.get("master"),
            "slave": facts.get("slave"),
            "automatic_backups": facts["automatic"],
            "seen": facts.get("seen"),
            **{key: facts.get(key) for key in ("description", "e_group", "project", "expiry_date")},
        }
    )


def metadata(facts: dict[str, Any], attributes: dict[str, str], provider: str) -> Metadata:
    """The files' places are those that the instance's server sees; null where the provider keeps them to itself."""
    shown = instance(facts)
    contained = provider == "docker-host"
    engine = engines.ALL[facts["engine"]]
    volume = {
        "server": str(shown.host),
        "mount_options": "bind",
        "owner": str(engines.UID),
        "group": str(engines.UID),
    }
    return Metadata.model_validate(
        {
            **shown.model_dump(
                by_alias=True, include={"id", "db_name", "db_type", "version", "class_", "username", "port"}
            ),
            "hosts": [shown.host] if shown.host else [],
            "socket": ("/tmp/mariadb.sock" if engine.name == "mariadb" else "/tmp/.s.PGSQL.5432")
            if contained
            else None,
            "basedir": "/usr" if contained else None,
            "bindir": None,
            "datadir": engines.DATA if contained else None,
            "logdir": engines.LOG if contained else None,
            "attributes": {"port": str(shown.port), "memory": str(shown.memory)} | attributes,
            "volumes": [
                {**volume, "mounting_path": path, "file_mode": "0700"}
                for path in (engines.DATA, engines.LOG)
                if contained
            ],
        }
    )


EXEC = {
    JobState.PENDING: "queued",
    JobState.RUNNING: "running",
    JobState.FINISHED_OK: "succeeded",
    JobState.FINISHED_WARNING: "succeeded",
    JobState.FINISHED_FAIL: "failed",
}


def job(found: Job, log: list[str]) -> JobShape:
    """A job with its log."""
    asked = {key: value for key in SHOWN if (value := getattr(found.request, key)) != getattr(BLANK, key)}
    return JobShape.model_validate(
        {
            "id": found.id,
            "job": job_name(found),
            "instance": found.instance,
            "state": found.state,
            "execState": EXEC[found.state],
            "asker": found.asker,
            "arguments": asked,
            "creation_date": found.created,
            "begin_date": found.began,
            "completion_date": found.ended,
            "attempts": found.attempts,
            "outcome": found.outcome,
            "why": found.why,
            "value": found.value,
            "error": {key: found.error[key] for key in ("id", "cause", "remedy")} if found.error else None,
            "entries": [{"log": line} for line in log],
        }
    )


def job_name(found: Job) -> str:
    """DBOD's name of a job, or the operation's where DBOD has none (create, destroy)."""
    pair = (found.operation, found.request.on)
    return str(NAMES.get(pair, found.operation)).upper()
