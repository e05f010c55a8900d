"""Every operation of a container host that changes something, on an instance whose rows tell what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab.core.errors import NoSuch
from lab.dbod import jobs
from lab.dbod.contract import Operation, Request, Result, State
from lab.dbod.dockerhost import seals
from lab.dbod.dockerhost.provider import DockerHost

from .hosts import do, opened, tabled
from .hosts import now as pause

NAME, OTHER = "life", "copy"
Rows = list[int]


@dataclass
class Life:
    """An instance that has rows 1, 2 and 3, a backup after the first, and a moment between the last two."""

    host: DockerHost
    engine: str
    backup: str = ""
    spare: str = ""
    moment: str = ""
    number: int = field(default=0)

    def again(self) -> None:
        """As another process sees it."""
        self.host = opened(self.host.home.name, self.host.home.root)

    def begin(self) -> None:
        """Made anew, whatever is there."""
        for name in (NAME, OTHER):
            if self.host.records.find(name):
                do(self.host, Operation.DESTROY, name)
        tabled(self.host, NAME, self.engine)
        self.write(1)
        self.backup = do(self.host, Operation.BACKUP, NAME).value["id"]
        self.spare = do(self.host, Operation.BACKUP, NAME).value["id"]
        self.write(2)
        self.moment = pause()
        self.write(3)

    def write(self, row: int) -> None:
        with self.host.session(NAME) as session:
            session.execute("INSERT INTO app.t VALUES (%s)", row)

    def rows(self, name: str = NAME) -> Rows:
        with self.host.session(name) as session:
            return [int(row[0]) for row in session.execute("SELECT id FROM app.t ORDER BY id")]

    def ask(self, one: Asked) -> Result:
        """The operation; asked twice it is the same request. Raises: LabErrors that are refusals."""
        given = {key: value(self) if callable(value) else value for key, value in one.given.items()}
        return jobs.perform(self.host, Request(one.operation, one.name, id=f"job-{self.number}", **given))

    def repeat(self, one: Asked) -> bool:
        """The same request again does what it was to do; False where that is to be gone, and it is."""
        try:
            again = self.ask(one)
        except NoSuch:
            assert one.operation is Operation.DESTROY
            return False
        assert again.error is None, again.error
        return True

    def check(self) -> None:
        """What holds whatever happened: it can be started, records and backups are whole, nothing is left over."""
        if self.host.records.find(NAME):
            do(self.host, Operation.START, NAME)
            found = self.host.instance(NAME)
            for backup in found.record.backups:
                assert seals.broken(found.store, found.backups / backup.id, backup.seal) == "", backup
            assert not (found.folder / "data.old").exists()
        listed = do(self.host, Operation.LIST, "").value
        assert all(one["state"] in set(State) for one in listed)


@dataclass(frozen=True)
class Asked:
    """``after`` are the rows once it is done, ``before`` those where it was not; None: there is no such instance."""

    operation: Operation
    after: Rows | None = field(default_factory=lambda: [1, 2, 3])
    before: Rows | None = field(default_factory=lambda: [1, 2, 3])
    name: str = NAME
    given: dict[str, Any] = field(default_factory=dict)
    first: Callable[[Life], None] | None = None
    other: Rows | None = None

    @property
    def id(self) -> str:
        return "-".join([str(self.operation), *(["to-a-time"] if "time" in self.given else [])])


def _stop(life: Life) -> None:
    do(life.host, Operation.STOP, NAME)


def _forget(life: Life) -> None:
    """The data stay, without a record."""
    _stop(life)
    life.host.servers.destroy(NAME)
    life.host.records.remove(NAME)
    life.host.home.secrets.forget(f"dba.{NAME}", f"service.{NAME}")


ALL = (
    Asked(Operation.CREATE, name=OTHER, given={"engine": lambda life: life.engine}),
    Asked(Operation.START, first=_stop),
    Asked(Operation.STOP),
    Asked(Operation.CONFIG_PUT, given={"settings": {"max_connections": "57"}}),
    Asked(Operation.BACKUP),
    Asked(Operation.BACKUP_DELETE, given={"backup": lambda life: life.spare}),
    Asked(Operation.DRILL, given={"backup": lambda life: life.backup}),
    Asked(Operation.RESTORE, after=[1], given={"backup": lambda life: life.backup}),
    Asked(Operation.RESTORE, after=[1, 2], given={"time": lambda life: life.moment}),
    Asked(Operation.CLONE, given={"target": OTHER, "backup": lambda life: life.backup}, other=[1]),
    Asked(Operation.RESIZE, given={"memory": 300}),
    Asked(Operation.RESIZE, given={"disk": 12}),
    Asked(Operation.ADOPT, first=_forget),
    Asked(Operation.DESTROY, after=None),
)
