"""Where the databases' data lie: a file system with snapshots, found by mounting one; a labelled copy otherwise."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from lab.core import process
from lab.core.errors import CommandFailed, MissingTools, StateBroken
from lab.core.home import Home
from lab.core.units import GIB
from lab.core.waits import Note
from lab.host import packages

SIZE = 32 * GIB
"""Of the loop file; it is sparse, so only what is written takes room."""
SECONDS = 120.0
BTRFS, REFLINK, COPY = "btrfs", "reflink", "copy"
HOW = {
    BTRFS: "btrfs subvolume snapshot on a loop file",
    REFLINK: "reflink copy of a paused server's files",
    COPY: "PLAIN COPY of a paused server's files: no file system with snapshots can be mounted here",
}


@dataclass(frozen=True)
class Store:
    """Volumes under ``path``, each a folder; ``kind`` says how a snapshot is taken."""

    path: Path
    kind: str

    @property
    def atomic(self) -> bool:
        """Whether a snapshot is of one moment even while the server writes."""
        return self.kind == BTRFS

    @property
    def backups(self) -> Path:
        """Where backups are: a name that no instance can have."""
        return self.path / ".backups"

    def create(self, volume: Path, owner: int) -> None:
        """An empty volume that user ``owner`` may write."""
        if self.kind == BTRFS:
            _root("btrfs", "subvolume", "create", volume)
        else:
            _root("mkdir", volume)
        _root("chown", f"{owner}:{owner}", volume)
        _root("chmod", "0700", volume)

    def snapshot(self, volume: Path, target: Path, *, fixed: bool = False) -> None:
        """Make ``target`` a snapshot of ``volume``; both live on independently. A ``fixed`` one nobody can write."""
        if self.kind == BTRFS:
            _root("btrfs", "subvolume", "snapshot", *(["-r"] if fixed else []), volume, target)
        else:
            _root("cp", "-a", f"--reflink={'always' if self.kind == REFLINK else 'never'}", volume, target)

    @property
    def limits(self) -> bool:
        """Whether the room of a volume can be limited."""
        return self.kind == BTRFS

    def limit(self, volume: Path, room: int) -> None:
        """Let a volume hold ``room`` GiB at most (0: any); nothing where the store has no limits."""
        if not self.limits:
            return
        wanted = ("btrfs", "qgroup", "limit", f"{room}G" if room else "none", volume)
        if not _root(*wanted, check=False).ok:  # a store of before version 3
            _root("btrfs", "quota", "enable", self.path)
            _root(*wanted)

    def used(self) -> dict[Path, int]:
        """Bytes that each volume refers to, snapshots too; nothing where the file system does not count them."""
        if not self.limits:
            return {}
        shown = _root("btrfs", "qgroup", "show", "--raw", self.path, check=False).stdout.splitlines()
        rows = [line.split() for line in shown if line.startswith("0/")]
        # a volume's name is ours: it has no blank
        return {self.path / row[3]: int(row[1]) for row in rows if len(row) == 4}

    def remove(self, volume: Path) -> None:
        """Remove a volume or a snapshot; one that is gone already is fine."""
        if not _root("test", "-e", volume, check=False).ok:
            return
        if self.kind == BTRFS and _root("btrfs", "subvolume", "show", volume, check=False).ok:
            _root("btrfs", "subvolume", "delete", volume)
        else:
            _root("rm", "-rf", volume)

    def move(self, volume: Path, target: Path) -> None:
        """Rename a volume."""
        _root("mv", "-T", volume, target)


def open_store(home: Home, note: Note, install: bool = True) -> Store:
    """The host's store, made on the first call and mounted again after a reboot; never made over another.

    Raises: DiskFull, StateBroken, CommandFailed (what was made before can no longer be mounted).
    """
    path, image, log = home.path / "store", home.path / "store.btrfs", home.log("store")
    path.mkdir(exist_ok=True)
    known = home.state.get("store")
    if known not in {None, *HOW}:
        raise StateBroken(home.state.path, f"{known!r} is no kind of store", home.name)
    if known is None:
        known = find(home) or _made(path, image, note, log, install)
        home.state["store"] = known
        note(f"data lie on: {HOW[known]}")
    elif known == BTRFS and not os.path.ismount(path):
        _root("mount", "-o", "loop", image, path, log=log)
    store = Store(path, known)
    _move_backups(store)
    return store


def find(home: Home) -> str:
    """The kind of the store that is there, mounted, whatever is known of it; empty where there is none."""
    path, image, log = home.path / "store", home.path / "store.btrfs", home.log("store")
    path.mkdir(exist_ok=True)
    new = _new(image)
    if not image.exists() and new.exists() and os.path.ismount(path):
        new.rename(image)  # a run was killed before it could
    if image.exists() and not os.path.ismount(path):
        _root("mount", "-o", "loop", image, path, log=log)
    if os.path.ismount(path) and process.run("stat", "-f", "--format=%T", path).stdout.strip() == BTRFS:
        return BTRFS
    if any(path.iterdir()):
        return REFLINK if _reflinks(path) else COPY
    return ""


def _made(path: Path, image: Path, note: Note, log: Path, install: bool) -> str:
    if _reflinks(path):
        return REFLINK
    return BTRFS if _mounts_btrfs(image, path, note, log, install) else COPY


def _new(image: Path) -> Path:
    return image.with_name(f"{image.name}.new")


def _move_backups(store: Store) -> None:
    """Until version 0.1 they lay where an instance named ``backups`` has its own folder."""
    before = store.path / "backups"
    if before.is_dir() and not store.backups.exists() and not (before / "data").exists():
        before.rename(store.backups)


def release(home: Home) -> None:
    """Unmount the store and remove its file, with everything in it."""
    path = home.path / "store"
    if not path.exists():
        return
    if os.path.ismount(path):
        _root("umount", path)
    (home.path / "store.btrfs").unlink(missing_ok=True)
    _root("rm", "-rf", path)
    with contextlib.suppress(StateBroken):
        home.state.forget("store")


def _reflinks(folder: Path) -> bool:
    """Whether the folder's own file system (XFS, btrfs) shares blocks between files."""
    probe, copy = folder / ".probe", folder / ".probe2"
    probe.write_text("x")
    try:
        return process.run("cp", "--reflink=always", probe, copy, check=False).ok
    finally:
        probe.unlink()
        copy.unlink(missing_ok=True)


def _mounts_btrfs(image: Path, path: Path, note: Note, log: Path, install: bool) -> bool:
    """Make a btrfs in a sparse file and mount it; False says that this host cannot, and the note why."""
    new = _new(image)
    try:
        packages.ensure({"dbod"}, note, log, install)
        with new.open("wb") as file:
            file.truncate(SIZE)
        new.chmod(0o600)
        _root("mkfs.btrfs", "-q", new, log=log)
        _root("mount", "-o", "loop", new, path, log=log)
        _root("btrfs", "quota", "enable", path)
        _root("chown", str(os.geteuid()), path)
    except (MissingTools, CommandFailed) as error:
        note(f"no btrfs can be mounted here: {error.cause}")
        new.unlink(missing_ok=True)
        return False
    # only what is whole has that name: whatever has it is a store
    new.rename(image)
    return True


def _root(*argv: str | Path, log: Path | None = None, check: bool = True) -> process.Finished:
    return process.run(*process.as_root(*argv), log=log, check=check, timeout=SECONDS)
