"""What is answered: DBOD's REST shapes (cerndb/dbod-api), from which the OpenAPI is made."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from lab.dbod.serve.queue import JobState
from lab.dbod.serve.words import Class, DbType

T = TypeVar("T")


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


class Instance(BaseModel):
    """An instance, with DBOD's keys; what this provider cannot know is null."""

    model_config = ConfigDict(populate_by_name=True)
    id: str
    db_name: str
    db_type: DbType
    version: str | None
    class_: Class | None = Field(alias="class")
    state: str
    status: str | None = Field(description="the platform's own words, where it has some")
    host: str | None
    port: int | None
    memory: int | None = Field(description="its limit, MiB")
    username: str | None
    description: str | None
    e_group: str | None
    project: str | None
    creation_date: str | None
    expiry_date: str | None
    disk: int | None = Field(description="its limit, GiB, of data and log each; 0: none")
    db_size: int | None = Field(description="bytes")
    log_size: int | None = Field(description="bytes, of all its logs")
    no_connections: int | None
    master: str | None
    slave: str | None
    automatic_backups: bool
    seen: str | None = Field(description="when the state was last looked at")


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
    drill: int
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


class AlarmRow(BaseModel):
    """What goes wrong until it works again: since when, how often by now, the last error, the next try."""

    what: str
    since: str
    tries: int
    error: str
    next: str


class ServiceShape(BaseModel):
    """What is served, and how it is; ``restarts``: of workers that died, since the server began."""

    provider: str
    does: list[str]
    lacks: dict[str, str]
    work: dict[str, str]
    trouble: str
    alarms: list[AlarmRow]
    restarts: int
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
