"""dbod-serve over the tiny provider: ``python -m tests.unit.dbod.serve.tinyserve ROOT PORT SLOW``."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.dbod.database import Database
from lab.dbod.serve import server
from lab.dbod.serve.service import Service
from tests.unit.dbod.tinyhost import TinyHost

TOKEN = "tiny-token"


def service(root: Path, slow: float = 0.0, workers: int = 4) -> Service:
    found = Database(root / "dbod.db", "tiny")
    return Service(TinyHost(root, found, slow), found, workers, lambda text: print(text, file=sys.stderr))


if __name__ == "__main__":
    server.run(service(Path(sys.argv[1]), float(sys.argv[3])), TOKEN, server.listen(int(sys.argv[2])))
