"""DBOD's requirements as scenarios: write, operate, read back. Each may fail; none knows which provider it tries."""

from __future__ import annotations

from lab.core.errors import Missing
from lab.dbod.contract import Operation as Op
from lab.dbod.contract import State
from lab.dbod.evaluation.scenario import REGISTERED, scenario
from lab.dbod.evaluation.trial import Trial
from lab.engines import sql


@scenario("Create an instance; its first query is answered", Op.CREATE)
def _create(trial: Trial) -> None:
    made = trial.do(Op.CREATE)
    trial.empty()
    trial.write(1)
    trial.reads(1)
    trial.evidence.append(f"{made['engine']} {made['version']} at {made['host']}:{made['port']}")
    again = trial.do(Op.CREATE)
    trial.expect(again["port"] == made["port"], "asked for again, it is the same instance")
    trial.reads(1)


@scenario("The owner has full database administrator rights", Op.CREDENTIALS, "open: DBA rights by root-enable?")
def _dba_rights(trial: Trial) -> None:
    trial.do(Op.CREDENTIALS)
    for words in ("CREATE USER dba_probe", "DROP USER dba_probe"):
        try:
            trial.sql(words)
        except sql.ERRORS as error:
            raise Missing(
                trial.provider.name, "DBA rights", f"the server refuses {words!r}: {sql.said(error)}"
            ) from error
        trial.evidence.append(f"the server takes {words!r}")
    show = (
        "SHOW GRANTS" if trial.engine == "mariadb" else "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    granted = str(trial.sql(show)[0][0])
    trial.expect(granted == "True" or "ALL PRIVILEGES ON *.*" in granted, "the account is the server's administrator")


@scenario("Many servers of mixed engines on one host, a port each", Op.CREATE,
           "open: consolidation like DBOD's, perhaps by Docker")  # fmt: skip
def _consolidation(trial: Trial) -> None:
    engine = "postgresql" if trial.engine == "mariadb" else "mariadb"
    first = next(i for i in trial.do(Op.LIST) if i["name"] == trial.name)
    other = Trial(trial.provider, engine, f"{trial.name}_c", trial.results, trial.evidence)
    try:
        second = other.do(Op.CREATE)
        if first["host"] != second["host"]:
            raise Missing(trial.provider.name, "one host", f"each has its own: {first['host']}, {second['host']}")
        other.empty()
        other.write(1)
        trial.expect(first["port"] != second["port"], f"ports {first['port']} and {second['port']} of one host")
        third = trial.do(Op.CREATE, trial.other)
        if third["port"] == first["port"]:
            raise Missing(
                trial.provider.name, "a server each", f"two {trial.engine} databases share port {third['port']}"
            )
        trial.evidence.append(f"a second {trial.engine} server at port {third['port']}")
    finally:
        for name in (other.name, trial.other):
            trial.do(Op.DESTROY, name)


@scenario("Ping and monitor tell its state and load", Op.MONITOR)
def _monitor(trial: Trial) -> None:
    trial.expect(trial.do(Op.PING)["answers"] is True, "ping: it answers")
    seen = trial.do(Op.MONITOR)
    trial.expect(seen["state"] == State.RUNNING, f"monitor: {seen['state']}")
    more = {key: seen[key] for key in ("connections", "memory_used", "bytes", "status") if key in seen}
    trial.evidence.append(f"it also tells {more}")


@scenario("A state checker connects to every instance and records its state", Op.CHECK,
           "seen as Trove's conductor and guest agent heartbeats: the other way round")  # fmt: skip
def _state_checker(trial: Trial) -> None:
    states = {one["name"]: one["state"] for one in trial.do(Op.CHECK)}
    trial.expect(states.get(trial.name) == State.RUNNING, f"the checker saw {states.get(trial.name)}")


@scenario("Stop and start; the data are there, and the checker saw it", Op.START)
def _stop_start(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    trial.do(Op.STOP)
    trial.expect(trial.do(Op.PING)["answers"] is False, "stopped, it does not answer")
    state = trial.do(Op.MONITOR)["state"]
    trial.expect(state == State.STOPPED, f"stopped, it is {state}")
    trial.do(Op.START)
    trial.reads(1)


@scenario("Change the server's real configuration", Op.CONFIG_PUT)
def _configuration(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    trial.do(Op.CONFIG_PUT, settings={"max_connections": "57"})
    trial.expect(str(_setting(trial)) == "57", "the server itself says max_connections = 57")
    trial.expect(str(trial.do(Op.CONFIG_GET).get("max_connections")) == "57", "config-get says so too")
    trial.reads(1)


@scenario("Invalid settings are refused and nothing changes", Op.CONFIG_PUT)
def _configuration_refused(trial: Trial) -> None:
    before = _setting(trial)
    for settings in ({"max_connections": "many"}, {"no_such_setting": "1"}):
        trial.refused(Op.CONFIG_PUT, settings=settings)
    trial.expect(_setting(trial) == before, f"max_connections is still {before}")


@scenario("Back up, and list the backups", Op.BACKUP, "open: snapshots through Cinder?")
def _backup(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    made = trial.do(Op.BACKUP)
    listed = trial.do(Op.BACKUPS)
    trial.expect(made["id"] in [b["id"] for b in listed], f"backup {made['id']} is in the list of {len(listed)}")
    if "how" in made:
        trial.evidence.append(made["how"])
    trial.reads(1)


@scenario("Try a backup without touching the instance", Op.DRILL)
def _drill(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    trial.do(Op.BACKUP)
    trial.write(2)
    seen = trial.do(Op.DRILL)
    trial.expect(seen["tables"] >= 1, f"a server over it started, and {seen['tables']} tables were read")
    trial.reads(1, 2)


@scenario("Delete a backup", Op.BACKUP_DELETE)
def _backup_delete(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    kept, gone = trial.do(Op.BACKUP)["id"], trial.do(Op.BACKUP)["id"]
    left = [one["id"] for one in trial.do(Op.BACKUP_DELETE, backup=gone)]
    trial.expect(gone not in left and kept in left, f"{gone} is no longer in the list, {kept} is")
    trial.reads(1)


@scenario("Restore a backup", Op.RESTORE)
def _restore(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    backup = trial.do(Op.BACKUP)["id"]
    trial.write(2)
    trial.reads(1, 2)
    trial.do(Op.RESTORE, backup=backup)
    trial.reads(1)


@scenario("Restore to a point in time after a backup", Op.RESTORE)
def _point_in_time(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    backup = trial.do(Op.BACKUP)["id"]
    trial.write(2)
    time = trial.moment()
    trial.write(3)
    trial.reads(1, 2, 3)
    trial.do(Op.RESTORE, backup=backup, time=time)
    trial.reads(1, 2)


@scenario("A time before the backup is refused and nothing changes", Op.RESTORE)
def _restore_refused(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    before = trial.moment()
    backup = trial.do(Op.BACKUP)["id"]
    trial.write(2)
    trial.refused(Op.RESTORE, backup=backup, time=before)
    trial.reads(1, 2)


@scenario("Clone an instance from a backup", Op.CLONE)
def _clone(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    trial.do(Op.BACKUP)
    trial.write(2)
    try:
        trial.do(Op.CLONE, target=trial.other)
        trial.reads(1, instance=trial.other)
        trial.sql(f"DELETE FROM {trial.name}.ledger", instance=trial.other)
        trial.reads(1, 2)
    finally:
        trial.do(Op.DESTROY, trial.other)


@scenario("Upgrade to another version that is offered", Op.UPGRADE)
def _upgrade(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    before = trial.sql("SELECT VERSION()")[0][0]
    trial.do(Op.UPGRADE)
    trial.expect(trial.sql("SELECT VERSION()")[0][0] != before, f"the server is no longer {before}")
    trial.reads(1)


@scenario("Give an instance more memory", Op.RESIZE)
def _resize(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    before = trial.do(Op.MONITOR).get("memory", 256)  # a database of a shared server has none of its own
    after = trial.do(Op.RESIZE, memory=before + 1)["memory"]
    trial.expect(after > before, f"{before} MiB became {after}")
    trial.reads(1)


@scenario("Read the server's logs", Op.LOGS)
def _logs(trial: Trial) -> None:
    lines = trial.do(Op.LOGS)
    trial.expect(bool(lines), f"{len(lines)} lines, the last: {lines[-1][:120] if lines else ''}")


@scenario(
    "Automatic backups at an interval", Op.AUTOMATIC_BACKUPS, "seen as Trove's scheduler, which was never built"
)
def _automatic_backups(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    trial.do(Op.AUTOMATIC_BACKUPS, every=6, keep=2)
    try:
        ahead = (6, 12, 30)
        missed = [trial.served(hours) for hours in ahead]
        trial.expect(
            [m is not None for m in missed] == [True] * 3, f"{', '.join(map(str, ahead))} h on: a backup each"
        )
        trial.expect((missed[-1] or 0) >= 2, f"the last made up for {missed[-1]} due times without a server")
        trial.expect(trial.served(ahead[-1]) is None, "at the same time again: none")
        left = [one["id"] for one in trial.do(Op.BACKUPS) if one["automatic"]]
        trial.expect(len(left) == 2, f"the newest two are kept: {', '.join(left)}")
    finally:
        trial.do(Op.AUTOMATIC_BACKUPS, on=False)
    trial.expect(trial.served(48) is None, "switched off: none")
    trial.write(2)
    trial.do(Op.RESTORE, backup=left[0])
    trial.reads(1)


@scenario("A replica, and swapping it with its master", Op.PROMOTE)
def _replica(trial: Trial) -> None:
    trial.empty()
    trial.write(1)
    try:
        trial.do(Op.REPLICATE, target=trial.other)
        trial.follows(1, instance=trial.other)
        trial.do(Op.PROMOTE, trial.other)
        trial.write(2, instance=trial.other)
        trial.follows(1, 2, instance=trial.name)
        # back, for Trove deletes no master that has replicas
        trial.do(Op.PROMOTE)
    finally:
        trial.do(Op.DESTROY, trial.other)


@scenario("Maintenance keeps users' operations away", Op.MAINTENANCE)
def _maintenance(trial: Trial) -> None:
    trial.do(Op.MAINTENANCE, on=True)
    trial.expect(trial.do(Op.MONITOR)["state"] == State.MAINTENANCE, "monitor: MAINTENANCE")
    trial.refused(Op.STOP)
    trial.do(Op.MAINTENANCE, on=False)
    trial.expect(trial.do(Op.MONITOR)["state"] == State.RUNNING, "monitor: RUNNING again")


@scenario("Destroy; the name is free again", Op.DESTROY)
def _destroy(trial: Trial) -> None:
    trial.do(Op.DESTROY)
    names = [one["name"] for one in trial.do(Op.LIST)]
    trial.expect(trial.name not in names, "it is no longer in the list")
    trial.do(Op.DESTROY)
    trial.evidence.append("asked for again, it is no error")


def _setting(trial: Trial) -> object:
    return trial.sql("SELECT @@max_connections" if trial.engine == "mariadb" else "SHOW max_connections")[0][0]


ALL = tuple(REGISTERED)
"""Every requirement."""
