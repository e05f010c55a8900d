"""Jobs of one kind that failed one after another: how often, since when, and which was the last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lab.dbod.contract import Operation
from lab.dbod.database import Database

QUERY = """
SELECT COUNT(*) AS tries, MIN(ended) AS since, MAX(ended) AS ended, MAX(id) AS job FROM jobs
WHERE instance = :name AND operation = :operation AND state = 'FINISHED_FAIL' AND (:asker = '' OR asker = :asker)
    AND id > COALESCE((
        SELECT id FROM jobs WHERE instance = :name AND operation IN (:operation, 'automatic-backups', 'destroy')
            AND state IN ('FINISHED_OK', 'FINISHED_WARNING') ORDER BY id DESC LIMIT 1
    ), 0)
"""


@dataclass(frozen=True)
class Failures:
    """``tries`` jobs, the first of which ended at ``since``, and the last of which is ``job`` and ``ended``."""

    tries: int
    since: datetime
    ended: datetime
    job: int


def find(database: Database, instance: str, operation: Operation, asker: str = "") -> Failures | None:
    """Those of an instance since such a job went well, whoever asked for it, or since its schedule was set.

    ``asker``: failures of its jobs alone.
    """
    (row,) = database.rows(QUERY, name=instance, operation=operation, asker=asker)
    if not row["tries"]:
        return None
    since, ended = (datetime.fromisoformat(row[key]) for key in ("since", "ended"))
    return Failures(row["tries"], since, ended, row["job"])
