"""Whether a backup is what was written: found by its files' times and, below them, by checksums of what they hold.

Nobody can change a file, its name or its length without changing the time at which its inode changed (ctime), which
no program can set. What a disk does by itself it does below that: there btrfs keeps checksums of its own, which
reading everything asks; for stores of other kinds the seal has SHA-256 of every file.

What lies in a backup was a tenant's: no link is followed, only plain files are opened, and no name is printed.
"""

from __future__ import annotations

from pathlib import Path

from lab.core import process
from lab.dbod.dockerhost.storage import BTRFS, Store

SECONDS = 3600.0
LISTED = r"find . -printf '%y %m %U %s %C@ %i %l %p\n' | LC_ALL=C sort | sha256sum"
SUMS = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 --no-run-if-empty sha256sum | sha256sum"
LINKS = (
    r"find . \( -path './pg_tblspc/*' -type l -o -name '*.isl' -o -type l -name '*.M[AY][DI]' \) -printf '%P\n' "
    r"| LC_ALL=C tr -cd '[:print:]\n'"
)
"""PostgreSQL's tablespaces, and MariaDB's tables with a DATA DIRECTORY (InnoDB's link files; MyISAM's and Aria's)."""
READ = (
    "find . -type f ! -size +8M -print0 | xargs -0 --no-run-if-empty -P 2 -n 200 cat > /dev/null && "
    "find . -type f -size +8M -print0 | xargs -0 --no-run-if-empty -P 4 -I {} sh -c "
    '\'dd "if=$0" bs=4M iflag=direct status=none || dd "if=$0" bs=4M status=none\' {} > /dev/null'
)
"""Large files past the page cache, where the file system can: twice as quick, and it asks the disk."""


def outside(folder: Path) -> list[str]:
    """Names in a snapshot, as printable words, of files that say that rows lie elsewhere: no snapshot has those."""
    return [line for line in _within(folder, LINKS).stdout.splitlines() if line]


def seal(store: Store, folder: Path) -> str:
    """Of a backup that was just made. Raises: CommandFailed (it cannot be read)."""
    scripts = [LISTED] if store.kind == BTRFS else [LISTED, SUMS]
    return "-".join(_within(folder, script).stdout.split()[0] for script in scripts)


def broken(store: Store, folder: Path, sealed: str) -> str:
    """Why a backup is not what was sealed, in words; empty where it is. All of it is read.

    One that was made before version 3 has no seal: then it is whole where its files can be read.
    """
    if not process.run(*process.as_root("test", "-d", folder), check=False).ok:
        return "its folder is gone"
    if not (read := _within(folder, READ, check=False)).ok:
        return f"not all of it can be read ({(read.stderr.strip().splitlines() or ['no word'])[0]})"
    if sealed and seal(store, folder) != sealed:
        return "its files are not those that were written"
    return ""


def _within(folder: Path, script: str, *, check: bool = True) -> process.Finished:
    words = ("bash", "-o", "pipefail", "-c", f'cd "$0" && {script}', folder)
    return process.run(*process.as_root(*words), check=check, timeout=SECONDS)
