"""Another configuration for an instance: tried first, taken back where the server will not start with it."""

from __future__ import annotations

from collections.abc import Mapping

from lab.core.errors import LabError, Refused
from lab.core.waits import Note
from lab.dbod.dockerhost.instances import Instance


def put(instance: Instance, settings: Mapping[str, str], note: Note) -> dict[str, str]:
    """Set ``settings`` on top of those there are, restart, and give all of them. Raises: Refused, nothing changed."""
    record = instance.record
    if kept := sorted(key for key in settings if instance.engine.kept.fullmatch(key)):
        raise Refused(f"{', '.join(kept)} cannot be set: the host needs it as it is.", "Leave it out.")
    wanted = {**record.settings, **settings}
    instance.configure(wanted, name=".new")
    try:
        code, said, printed = instance.servers.try_out(instance.server(), list(instance.engine.check))
    finally:
        (instance.folder / "server.cnf.new").unlink()
    if why := instance.engine.refusal(code, said, wanted):
        raise Refused(f"{record.engine} refuses these settings: {why}.", "Mend them; nothing was changed.")
    # abbreviations, loose_ and disable_ would be other ways to what the host keeps
    if unknown := sorted(key for key in settings if key not in instance.engine.names(printed) and "." not in key):
        raise Refused(f"{record.engine} {record.version} has no setting {', '.join(unknown)}.", "Write it in full.")
    note("a throw-away server takes the settings; restarting")
    running = instance.servers.running(record.name)
    instance.stop()
    instance.configure(wanted)
    try:
        if running:
            instance.start()
    except LabError as error:
        instance.stop()
        instance.configure(record.settings)
        instance.start()
        raise Refused(
            f"{record.name} does not start with these settings: {error.cause.splitlines()[-1]}",
            "Mend them; they were taken back.",
        ) from error
    return wanted
