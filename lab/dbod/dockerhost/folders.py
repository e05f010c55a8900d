"""One instance's folder on a container host's store: what its server sees as /srv."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.core import process
from lab.core.errors import CheckFailed
from lab.core.resources import PACKAGE
from lab.core.state import write_atomically
from lab.core.units import GIB
from lab.dbod.dockerhost.engines import UID
from lab.dbod.dockerhost.records import Record
from lab.dbod.dockerhost.storage import Store

BENEATH_SECONDS = 3600.0
BENEATH = (
    f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); from lab.dbod.dockerhost.beneath import main; main()"
)


class Folder:
    """``store/NAME``: data, log-N, tmp are its server's; ``log`` (a link to the present one) and files are ours."""

    def __init__(self, store: Store, record: Record) -> None:
        self.store = store
        self.record = record

    @property
    def folder(self) -> Path:
        """What its container sees as /srv."""
        return self.store.path / self.record.name

    @property
    def data(self) -> Path:
        """The volume of which snapshots are taken."""
        return self.folder / "data"

    @property
    def backups(self) -> Path:
        """Where its snapshots are, out of its server's sight."""
        return self.store.backups / self.record.name

    def log(self, number: int) -> Path:
        """The volume of the log of that number."""
        return self.folder / f"log-{number}"

    def make_folders(self) -> None:
        """The folder with an empty log; data are the caller's to put there."""
        for folder, mode in ((self.folder, 0o755), (self.store.backups, 0o700), (self.backups, 0o700)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)  # whatever our umask is: the server is another user
        self.begin_log(self.record.log)

    def begin_log(self, number: int) -> None:
        """Let the server write into log ``number``, made if it is not there."""
        if not self.log(number).exists():
            self.store.create(self.log(number), UID)
            self.store.limit(self.log(number), self.record.disk)
        self._link("log", number)

    def limit(self) -> None:
        """Let data and the present log have the record's room each, where the store has limits."""
        for volume in (self.data, self.log(self.record.log)):
            self.store.limit(volume, self.record.disk)

    def used(self, known: Mapping[Path, int]) -> dict[str, int]:
        """Bytes of its data and of all its logs, of what ``store.used`` tells."""
        logs = [size for path, size in known.items() if path.parent == self.folder and path.name.startswith("log-")]
        return {"bytes": known[self.data], "log_bytes": sum(logs)} if self.data in known else {}

    def full(self, known: Mapping[Path, int]) -> float:
        """What share of their room its data or its present log take; 0 where they have no limit."""
        used = (known.get(one, 0) for one in (self.data, self.log(self.record.log)))
        return max(used) / (self.record.disk * GIB) if self.record.disk else 0.0

    def replay_log(self, number: int) -> None:
        """Show the server the log that it is to replay."""
        self._link("log-replayed", number)

    def beneath(self, action: str, **words: Any) -> Any:
        """An action of beneath.py in the folder, as the server's user. Raises: CheckFailed (by what was planted)."""
        program = (sys.executable, "-B", "-c", BENEATH, self.folder, action)
        done = process.run(*process.as_root(*program), stdin=json.dumps(words), timeout=BENEATH_SECONDS)
        answer = json.loads(done.stdout)
        if "error" in answer:
            raise CheckFailed(f"the folder of {self.record.name}", answer["error"])
        return answer["value"]

    def left(self) -> str:
        """The first folder of this name on the store, be it of data or of backups; empty where there is none."""
        return next((str(path) for path in (self.folder, self.backups) if path.exists()), "")

    def remove_files(self) -> None:
        """Take away data, logs and backups."""
        if self.backups.exists():
            for one in sorted(self.backups.iterdir()):
                self.store.remove(one)
            self.backups.rmdir()
        if self.folder.exists():
            for one in sorted(self.folder.iterdir()):
                if one.is_dir() and not one.is_symlink():
                    self.store.remove(one)
                else:
                    one.unlink()
            self.folder.rmdir()

    def put(self, name: str, text: str) -> None:
        """A file in the folder, which is ours and which its server only reads. Raises: DiskFull (it is as it was)."""
        write_atomically(self.folder / name, text, 0o644)

    def _link(self, name: str, number: int) -> None:
        process.run("ln", "-sfnT", f"log-{number}", self.folder / name)
