"""What a container host adds to engine and Docker for each operation, and what it does not have."""

from __future__ import annotations

from lab.dbod.contract import Operation

WORK = {
    Operation.CREATE: "a volume, a port, a password and a container put together",
    Operation.DESTROY: "container, data, logs and backups removed together",
    Operation.LIST: "a record of each instance, and its state asked",
    Operation.PING: "a connection with a deadline",
    Operation.MONITOR: "a query and Docker's account of memory, put together",
    Operation.CHECK: "a checker that connects to every instance; dbod-serve keeps the record",
    Operation.CONFIG_GET: "the settings that were put, kept beside the instance",
    Operation.CONFIG_PUT: "settings tried in a throw-away server first, and taken back if the server will not start",
    Operation.BACKUP: "quiesce through SQL, file-system snapshot, release",
    Operation.BACKUPS: "a list of snapshots",
    Operation.BACKUP_DELETE: "the snapshot removed, and the log that only it needed",
    Operation.DRILL: "a throw-away server over the snapshot, in which every table is read",
    Operation.AUTOMATIC_BACKUPS: "dbod-serve keeps the schedule, notices what it missed, and removes old ones",
    Operation.RESTORE: "data put back from the snapshot; to a time by handing the server its own log",
    Operation.CLONE: "a snapshot of a backup under a server of its own",
    Operation.UPGRADE: "a backup, then the other version's image over the same data",
    Operation.MAINTENANCE: "a mark that makes the other operations refuse",
    Operation.CREDENTIALS: "a random password, kept 0600",
    Operation.REPAIR: "copies of the records beside the data, from which lost and damaged files are made again",
    Operation.ADOPT: "data without a record put under a server, with passwords of their own",
}
LACKS = {
    Operation.REPLICATE: "both engines replicate, but the provider does not set it up",
    Operation.PROMOTE: "there are no replicas",
}
