"""DBOD's shapes of instances, jobs and alarms, made of what the provider and the queue know."""

from __future__ import annotations

from typing import Any

from lab.dbod.contract import Operation, Request
from lab.dbod.dockerhost import engines
from lab.dbod.serve import shapes
from lab.dbod.serve.alarm import Alarm
from lab.dbod.serve.bodies import NAMES
from lab.dbod.serve.queue import JobState, QueuedJob
from lab.dbod.serve.words import TYPES

BLANK = Request(Operation.LIST)
SHOWN = (
    "backup",
    "time",
    "target",
    "version",
    "memory",
    "settings",
    "every",
    "hour",
    "day",
    "keep",
    "days",
    "drill",
    "disk",
)


def instance(facts: dict[str, Any]) -> shapes.Instance:
    """DBOD's shape of what is known of an instance."""
    return shapes.Instance.model_validate(
        {
            "id": facts["name"],
            "db_name": facts["name"],
            "db_type": TYPES[facts["engine"]],
            "version": facts.get("version"),
            "class": facts.get("class") or facts.get("category"),
            "state": str(facts["state"]),
            "status": facts.get("status"),
            "host": facts.get("host"),
            "port": facts.get("port"),
            "memory": facts.get("memory"),
            "username": facts.get("username") or facts.get("owner"),
            "creation_date": facts.get("created"),
            "disk": facts.get("disk"),
            "db_size": facts.get("bytes"),
            "log_size": facts.get("log_bytes"),
            "no_connections": facts.get("connections"),
            "master": facts.get("master"),
            "slave": facts.get("slave"),
            "automatic_backups": facts["automatic"],
            "seen": facts.get("seen"),
            **{key: facts.get(key) for key in ("description", "e_group", "project", "expiry_date")},
        }
    )


def metadata(facts: dict[str, Any], attributes: dict[str, str], provider: str) -> shapes.Metadata:
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
    return shapes.Metadata.model_validate(
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


def alarm(source: Alarm) -> shapes.AlarmRow:
    """An alarm."""
    since, following = (one.isoformat(timespec="seconds") for one in (source.since, source.next))
    return shapes.AlarmRow(what=source.what, since=since, tries=source.tries, error=source.error, next=following)


EXEC = {
    JobState.PENDING: "queued",
    JobState.RUNNING: "running",
    JobState.FINISHED_OK: "succeeded",
    JobState.FINISHED_WARNING: "succeeded",
    JobState.FINISHED_FAIL: "failed",
}


def job(entry: QueuedJob, log: list[str]) -> shapes.JobShape:
    """A job with its log."""
    asked = {key: value for key in SHOWN if (value := getattr(entry.request, key)) != getattr(BLANK, key)}
    return shapes.JobShape.model_validate(
        {
            "id": entry.id,
            "job": job_name(entry),
            "instance": entry.instance,
            "state": entry.state,
            "execState": EXEC[entry.state],
            "asker": entry.asker,
            "arguments": asked,
            "creation_date": entry.created,
            "begin_date": entry.began,
            "completion_date": entry.ended,
            "attempts": entry.attempts,
            "outcome": entry.outcome,
            "why": entry.why,
            "value": entry.value,
            "error": {key: entry.error[key] for key in ("id", "cause", "remedy")} if entry.error else None,
            "entries": [{"log": line} for line in log],
        }
    )


def job_name(entry: QueuedJob) -> str:
    """DBOD's name of a job, or the operation's where DBOD has none (create, destroy)."""
    pair = (entry.operation, entry.request.on)
    return str(NAMES.get(pair, entry.operation)).upper()
