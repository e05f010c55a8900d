"""What a container host knows, made whole again: from its database, its secrets, and the copies beside the data."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from lab.core.errors import Refused, StateBroken
from lab.core.home import Home
from lab.core.secrets import Secrets
from lab.core.state import State, write_atomically
from lab.core.waits import Note
from lab.dbod import database
from lab.dbod.contract import NAME
from lab.dbod.database import OLD_RECORDS, Database, Row
from lab.dbod.dockerhost import copies, records, storage
from lab.dbod.dockerhost.copies import Copy, Damaged
from lab.dbod.dockerhost.records import Record
from lab.dbod.dockerhost.storage import Store

NOTHING = "Nothing was to be done."
Say = Callable[[str], None]


def repair(home: Home, note: Note, install: bool = True) -> list[str]:
    """Rebuild what is lost or damaged; what was done, and what is left to do by hand, a line each.

    A damaged file is moved aside, not removed. Raises: Refused (nothing to rebuild from), CommandFailed, DiskFull.
    """
    if not database.has_data(home):
        raise Refused(
            f"No databases' data lie in {home.path}: there is nothing to rebuild from.",
            "./inv dbod create makes an instance.",
        )
    done: list[str] = []
    _facts(home, done.append)
    store = storage.open_store(home, note, install)
    known = _copies(home, store, done.append)
    _secrets(home, known, done.append)
    made, rows = _database(home, done.append)
    _merge(home, store, made, rows, known, done.append)
    return (done or [NOTHING]) + list(_left(home, store, made))


def _facts(home: Home, say: Say) -> None:
    """state.json; the kind of the store is found again when it is opened."""
    path = home.path / "state.json"
    try:
        kind = State(path, home.name).get("store")
    except StateBroken:
        kind = ""
    if path.exists() and kind in {None, *storage.HOW}:
        return
    storage.find(home)
    store = path.with_name("store")
    # until version 2 the records lay in it alone: what it has is all there is
    if path.exists() and not (store / copies.FOLDER).exists() and _folders(store):
        raise Refused(
            f"{path} is damaged, and beside the data there are no copies to rebuild it from.",
            "Mend it by hand (it is JSON), or put back a copy of it: the databases' records lie in it.",
        )
    aside = _aside(path)
    vars(home).pop("state", None)
    say(f"{path.name} was {'damaged: it lies in ' + aside if aside else 'gone'}; it is made again")


def _copies(home: Home, store: Store, say: Say) -> dict[str, Copy]:
    """The copies that are what was written."""
    found = {}
    for path in sorted((store.path / copies.FOLDER).glob("*.json")):
        try:
            found[path.stem] = copies.read(path, copies.key(home.path))
        except Damaged:
            say(f"the copy of {path.stem}'s record was damaged: it lies in {_aside(path)}")
    return found


def _secrets(home: Home, known: dict[str, Copy], say: Say) -> None:
    """secrets.json; where it differs from a copy it is wrong: it has no checksum, and passwords do not change."""
    path = home.path / "secrets.json"
    wanted = {key: value for copy in known.values() for key, value in copy.secrets.items()}
    there, aside = path.exists(), ""
    try:
        found = Secrets(path, home.name)
    except StateBroken:
        aside = _aside(path)
        found = Secrets(path, home.name)
    wrong = sorted(key for key, value in wanted.items() if key in found and found[key] != value)
    lacking = sorted(key for key in wanted if key not in found)
    if wrong:
        aside = _aside(path, move=False)
    if aside or wrong or lacking or (known and not there):
        found.put(wanted)
        vars(home).pop("secrets", None)
        was = "gone" if not there else f"damaged: it lies in {aside}" if aside else "without some passwords"
        say(f"{path.name} was {was}; from the copies: {', '.join(sorted(wanted)) or 'nothing'}")


def _database(home: Home, say: Say) -> tuple[Database, dict[str, tuple[int, Record]]]:
    """The database, made anew where it is damaged or gone, and what of its rows is what was written, by name."""
    path = home.path / database.FILE
    there = path.exists() and path.stat().st_size > 0
    late = OLD_RECORDS in home.state
    rows: list[Row] = []
    try:
        made = Database(path, home.name) if there else None
        rows = made.rows("SELECT * FROM instances") if made else []
        if made and (told := made.rows("PRAGMA integrity_check")) != [{"integrity_check": "ok"}]:
            raise StateBroken(path, str(next(iter(told[0].values()))), home.name)
    except StateBroken:
        made = None
    good = {str(row["name"]): (int(row["serial"]), record) for row in rows if (record := _read(row))}
    if made is None:
        aside = _aside(path)
        made = Database(path, home.name)
        if not late or there:
            was = f"damaged: it lies in {aside}" if there else "gone"
            say(f"{path.name} was {was}; jobs and histories of dbod-serve begin anew")
    elif spoilt := sorted(str(row["name"]) for row in rows if str(row["name"]) not in good):
        aside = _aside(path, move=False)
        with made.write() as change:
            for name in spoilt:
                change.execute("DELETE FROM instances WHERE name = ?", (name,))
        say(f"{path.name} had damaged records ({', '.join(spoilt)}): it lies in {aside} as it was")
    return made, good


def _merge(
    home: Home,
    store: Store,
    made: Database,
    rows: dict[str, tuple[int, Record]],
    known: dict[str, Copy],
    say: Say,
) -> None:
    """Rows and copies, the newer of both."""
    have = {str(row["name"]) for row in made.rows("SELECT name FROM instances")}
    for name in sorted(rows.keys() | known.keys()):
        serial, record = rows.get(name, (0, None))
        copy = known.get(name)
        if copy and name in have and serial == copy.serial:
            continue
        newer = record is None or (copy is not None and copy.serial > serial)
        wanted = records.of(copy.record) if copy and newer else record
        assert wanted is not None
        with made.write() as change:
            for table in copies.TABLES if copy and name not in have else ():
                for row in copy.tables.get(table, []):  # type: ignore[union-attr]
                    marks = ", ".join("?" * len(row))
                    change.execute(
                        f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
                    )
            records.write(change, wanted, home, store.path, least=copy.serial if copy else serial)
        if not newer and name in have:
            say(f"{name}: the copy of its record was {'older' if copy else 'gone'}; it is made again")
        else:
            say(f"{name}: its record is back, from {'its copy' if newer else 'the damaged file'}")
    if rows or known:
        path = home.path / "secrets.json"
        if not path.exists():
            write_atomically(path, "{}", 0o600)
            say(f"{path.name} was gone, and no copy of it is there")


def _left(home: Home, store: Store, made: Database) -> Iterator[str]:
    """What nobody can put right but a person."""
    found = [records.read(row) for row in made.rows("SELECT * FROM instances ORDER BY name")]
    names = {one.name for one in found}
    for one in found:
        data, snapshots = store.path / one.name / "data", store.backups / one.name
        if one.ready and not data.exists() and not data.with_name("data.old").exists():
            yield f"{one.name} has a record, and its data are gone ({data}); the record is kept"
        if one.ready and f"dba.{one.name}" not in home.secrets:
            yield f"{one.name}: its administrator's password is in no copy; put dba.{one.name} into secrets.json"
        for backup in one.backups:
            if not (snapshots / backup.id).exists():
                yield f"{one.name}: its backup {backup.id} is gone ({snapshots / backup.id})"
        kept = {backup.id for backup in one.backups}
        for path in sorted(snapshots.iterdir()) if snapshots.is_dir() else []:
            if path.name not in kept:
                yield f"{one.name}: a backup without a record: {path}"
    for path in (*_folders(store.path), *_folders(store.backups)):
        if path.name not in names:
            yield f"data without a record: {path}"


def _folders(path: Path) -> list[Path]:
    """What of a folder could be an instance's."""
    there = sorted(path.iterdir()) if path.is_dir() else []
    return [one for one in there if re.fullmatch(NAME, one.name) and one.is_dir()]


def _read(row: Row) -> Record | None:
    try:
        return records.read(row)
    except Damaged:
        return None


def _aside(path: Path, *, move: bool = True) -> str:
    """Move (or copy) a file to NAME.damaged-TIME, with what SQLite keeps beside it; the new name, if it was there."""
    name = f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    for one in (path.with_name(path.name + end) for end in ("-wal", "-shm", "")):
        if one.exists():
            target = one.with_name(f"{one.name}.{name}")
            if move:
                one.replace(target)
            else:
                shutil.copy2(one, target)
    return f"{path.name}.{name}" if path.with_name(f"{path.name}.{name}").exists() else ""
