"""What breaks under Trove: in the guest, in the control plane, and between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

from lab import cloud, guestshell, waits
from lab.dbod.cloudhost import Access, CloudHost
from lab.dbod.contract import Operation, Request
from lab.dbod.faults import Fault, Watch
from lab.dbod.hoststrikes import FILL, refused
from lab.dbod.seen import PREFIX
from lab.dbod.trial import Trial
from lab.errors import GaveUp, Refused, TimedOut
from lab.remote import Remote

AMQP = "5672"
AGENT = "trove-guestagent"
TASKMANAGER = ("trove-taskmanager*", "devstack@tr-tmgr*")
"""Its unit's name, as Debian's packages and as DevStack have it."""
UNDER_WAY = 3.0
"""Seconds after a request in which the task manager has begun with it."""
ENDS = 300.0
SERVER = {"mariadb": "mariadbd", "postgresql": "postgres"}
FILESYSTEM = {"mariadb": "/var/lib/mysql", "postgresql": "/var/lib/postgresql"}


def _access(trial: Trial) -> Access:
    return cast(CloudHost, trial.provider).access


def _server(trial: Trial) -> Any:
    admin = cloud.connect(_access(trial).home.clouds_yaml, "admin")
    return next(s for s in admin.compute.servers(all_projects=True) if s.name == PREFIX + trial.name)


@contextlib.contextmanager
def _guest(trial: Trial) -> Iterator[Remote]:
    access, server = _access(trial), _server(trial)
    said = guestshell.console(cloud.connect(access.home.clouds_yaml, "admin"), server)
    address = guestshell.address(server)
    if address is None:
        raise GaveUp("the guest", "it has no leg on the management network")
    guest = guestshell.shell(access.home, access.remote, address, said)
    try:
        yield guest
    finally:
        guest.close()


@contextlib.contextmanager
def agent_killed(trial: Trial, watch: Watch) -> Iterator[None]:
    """SIGKILL; its unit may start it again."""
    with _guest(trial) as guest:
        guest.run("systemctl", "kill", "--signal=KILL", AGENT)
    yield


@contextlib.contextmanager
def agent_stopped(trial: Trial, watch: Watch) -> Iterator[None]:
    """Stopped for two minutes, then started."""
    with _guest(trial) as guest:
        guest.run("systemctl", "stop", AGENT)
        yield
        guest.run("systemctl", "start", AGENT)


@contextlib.contextmanager
def database_killed(trial: Trial, watch: Watch) -> Iterator[None]:
    """SIGKILL from outside its container: what the kernel does, and what Docker's restart policy answers."""
    with _guest(trial) as guest:
        guest.run("pkill", "--signal", "KILL", "--oldest", "--exact", SERVER[trial.engine])
    yield


@contextlib.contextmanager
def guest_rebooted(trial: Trial, watch: Watch) -> Iterator[None]:
    """By Nova, hard: Trove is not told."""
    admin = cloud.connect(_access(trial).home.clouds_yaml, "admin")
    admin.compute.reboot_server(_server(trial), "HARD")
    yield


@contextlib.contextmanager
def rabbitmq_restarted(trial: Trial, watch: Watch) -> Iterator[None]:
    """All of Trove's parts speak through it."""
    _access(trial).remote.run("systemctl", "restart", "rabbitmq-server", timeout=ENDS)
    yield


@contextlib.contextmanager
def network_cut(trial: Trial, watch: Watch) -> Iterator[None]:
    """For two minutes; then the network is whole again."""
    remote, address = _access(trial).remote, str(guestshell.address(_server(trial)))
    rule = ("INPUT", "--source", address, "--protocol", "tcp", "--dport", AMQP, "--jump", "DROP")
    remote.run("iptables", "--insert", *rule)
    try:
        yield
    finally:
        remote.run("iptables", "--delete", *rule)


@contextlib.contextmanager
def disk_full(trial: Trial, watch: Watch) -> Iterator[None]:
    """For half a minute; then the room is given back."""
    filler = f"{FILESYSTEM[trial.engine]}/filler"
    with _guest(trial) as guest:
        try:
            guest.run("bash", "-c", FILL, "fill", filler, timeout=ENDS)
            watch.user = refused(trial)
            yield
        finally:
            guest.run("rm", "--force", filler)


@contextlib.contextmanager
def create_orphaned(trial: Trial, watch: Watch) -> Iterator[None]:
    """SIGKILL while it makes a second instance; its unit starts it again."""
    access = _access(trial)
    provider = cast(CloudHost, trial.provider)
    made = ""
    try:
        made = provider.ask(Request(Operation.CREATE, trial.other, engine=trial.engine), trial.other)
        waits.pause(UNDER_WAY)
        access.remote.run("systemctl", "kill", "--signal=KILL", *TASKMANAGER)
        yield
        ended = _ended(lambda: str(access.user.instance(made)["status"]), {"ACTIVE", "HEALTHY", "ERROR"})
        watch.evidence.append(f"{watch.seconds:.1f} s: the instance that was being made: {ended}")
    finally:
        try:
            trial.do(Operation.DESTROY, trial.other)
        except Refused as error:
            watch.evidence.append(f"its user cannot delete it: {error.cause}")
            access.operator.act(made, "reset_status")
            trial.do(Operation.DESTROY, trial.other)
            watch.evidence.append("an operator's reset of its status let him")


@contextlib.contextmanager
def backup_orphaned(trial: Trial, watch: Watch) -> Iterator[None]:
    """SIGKILL just after the backup was asked for."""
    access = _access(trial)
    instance = next(i["id"] for i in access.user.instances() if i["name"] == PREFIX + trial.name)
    trial.do(Operation.BACKUP)  # else there is nothing that this cloud could back up to
    backup = access.user.back_up(instance, "orphaned")
    access.remote.run("systemctl", "kill", "--signal=KILL", *TASKMANAGER)
    yield
    ended = _ended(
        lambda: next(str(b["status"]) for b in access.user.backups(instance) if b["id"] == backup),
        {"COMPLETED", "FAILED"},
    )
    watch.evidence.append(f"{watch.seconds:.1f} s: the backup that was asked for: {ended}")


def _ended(status: Callable[[], str], ends: set[str]) -> str:
    """The status when it is one of ``ends``, or what it still is after ``ENDS`` s."""
    try:
        waits.until("it", lambda: status() in ends, seconds=ENDS, setting="cloudstrikes.ENDS", every=2.0)
    except TimedOut:
        return f"still {status()} after {ENDS:.0f} s"
    return str(status())


FAULTS = (
    Fault("The guest agent is killed", agent_killed),
    Fault("The guest agent stays down", agent_stopped, hold=120.0),
    Fault("The database's process is killed", database_killed),
    Fault("The guest is rebooted from outside", guest_rebooted),
    Fault("RabbitMQ is restarted", rabbitmq_restarted),
    Fault("The guest is cut off from RabbitMQ", network_cut, hold=120.0),
    Fault("The instance's disk is full", disk_full, hold=30.0),
    Fault("The task manager is killed in the middle of a create", create_orphaned),
    Fault("The task manager is killed in the middle of a backup", backup_orphaned),
)
