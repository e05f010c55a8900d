"""The bodies of requests, and the kinds of jobs with their arguments, as dbod-webapp names them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from lab.dbod.contract import Operation
from lab.dbod.serve.words import Class, DbType, Disk, Memory, Name, Setting, SettingKey, Text, Version


class Closed(BaseModel):
    """A body in which an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid")


class Creation(Closed):
    """A new instance."""

    db_type: DbType
    version: Version = ""
    class_: Class = Field(Class.TEST, alias="class")
    memory: Memory = 256
    disk: Disk = 0
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


class BackupDelete(Closed):
    """Which backup."""

    backup: Annotated[str, Field(min_length=1, max_length=64)]


class Backup(Closed):
    """How long it stays, where nobody deletes it."""

    days: Annotated[int, Field(ge=0, le=3650, description="0: until it is deleted")] = 0


class Drill(Closed):
    """Which backup."""

    backup: BackupId = ""


class Resize(Closed):
    """Another memory limit; or, where ``disk`` is given, another limit of the disk."""

    memory: Memory = 256
    disk: Disk = 0


class Automatic(Closed):
    """When automatic backups are made, and how many stay (0: the provider's own number)."""

    every: Annotated[int, Field(ge=1, le=168, description="hours")] = 24
    hour: Annotated[int, Field(ge=0, le=23, description="UTC, of the first of a day")] = 0
    day: Annotated[int, Field(ge=0, le=6, description="of weekly ones; 0 is Monday")] = 0
    keep: Annotated[int, Field(ge=0, le=1000)] = 0
    drill: Annotated[int, Field(ge=0, le=365, description="days between two trials of a backup; 0: none")] = 0


class Replicate(Closed):
    """A replica's name."""

    target: Name


@dataclass(frozen=True)
class JobKind:
    """A job that can be requested: its operation, whether that switches on, and its arguments."""

    operation: Operation
    arguments: type[Closed] = Nothing
    on: bool = True

    @property
    def needs(self) -> bool:
        """Whether it has an argument that must be given."""
        return any(field.is_required() for field in self.arguments.model_fields.values())


JOBS = {
    "STARTUP": JobKind(Operation.START),
    "SHUTDOWN": JobKind(Operation.STOP),
    "UPLOAD_CONFIG": JobKind(Operation.CONFIG_PUT, Config),
    "BACKUP": JobKind(Operation.BACKUP, Backup),
    "DELETE_BACKUP": JobKind(Operation.BACKUP_DELETE, BackupDelete),
    "DRILL": JobKind(Operation.DRILL, Drill),
    "RESTORE": JobKind(Operation.RESTORE, Restore),
    "CLONE": JobKind(Operation.CLONE, Clone),
    "UPGRADE": JobKind(Operation.UPGRADE, Upgrade),
    "RESIZE": JobKind(Operation.RESIZE, Resize),
    "ENABLE_AUTOMATIC_BACKUPS": JobKind(Operation.AUTOMATIC_BACKUPS, Automatic),
    "DISABLE_AUTOMATIC_BACKUPS": JobKind(Operation.AUTOMATIC_BACKUPS, on=False),
    "BEGIN_MAINTENANCE": JobKind(Operation.MAINTENANCE),
    "END_MAINTENANCE": JobKind(Operation.MAINTENANCE, on=False),
    "REPLICATE": JobKind(Operation.REPLICATE, Replicate),
    "PROMOTE": JobKind(Operation.PROMOTE),
}
"""Jobs as dbod-webapp names them, where it has them."""
NAMES = {(kind.operation, kind.on): name for name, kind in JOBS.items()}
