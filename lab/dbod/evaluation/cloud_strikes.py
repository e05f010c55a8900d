"""What breaks under Trove: in the guest, in the control plane, and between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

from openstack.connection import Connection

from lab.cloud import access as cloud
from lab.cloud import guest_shell
from lab.core import waits
from lab.core.errors import CheckFailed, Refused, TimedOut
from lab.core.ssh import Remote
from lab.dbod.contract import Operation, Request
from lab.dbod.evaluation.faults import Fault, Watch
from lab.dbod.evaluation.host_strikes import FILL, refused
from lab.dbod.evaluation.trial import Trial
from lab.dbod.providers.trove import CloudHost
from lab.dbod.providers.trove_instances import Access
from lab.dbod.providers.trove_view import PREFIX

AMQP = "5672"
AGENT = "trove-guestagent"
TASKMANAGER = ("trove-taskmanager*", "devstack@tr-tmgr*")
"""Its unit's name, as Debian's packages and as DevStack have it."""
ENDS = 300.0
SERVER = {"mariadb": "mariadbd", "postgresql": "postgres"}
FILESYSTEM = {"mariadb": "/var/lib/mysql", "postgresql": "/var/lib/postgresql"}


def _access(trial: Trial) -> Access:
    return cast("CloudHost", trial.provider).access


def _admin(trial: Trial) -> Connection:
    return cloud.connect(_access(trial).home.clouds_yaml, "admin")


def _server(trial: Trial, name: str = "") -> Any:
    wanted = PREFIX + (name or trial.name)
    return next((s for s in _admin(trial).compute.servers(all_projects=True) if s.name == wanted), None)


@contextlib.contextmanager
def _guest(trial: Trial) -> Iterator[Remote]:
    access, server = _access(trial), _server(trial)
    address = guest_shell.address(server) if server else None
    if address is None:
        raise CheckFailed("the guest", "it has no leg on the management network")
    said = guest_shell.console(_admin(trial), server)
    with contextlib.closing(guest_shell.shell(access.home, access.remote, address, said)) as guest:
        yield guest


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
        try:
            yield
        finally:
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
    _admin(trial).compute.reboot_server(_server(trial), "HARD")
    yield


@contextlib.contextmanager
def rabbitmq_restarted(trial: Trial, watch: Watch) -> Iterator[None]:
    """All of Trove's parts speak through it."""
    _access(trial).remote.run("systemctl", "restart", "rabbitmq-server", timeout=ENDS)
    yield


@contextlib.contextmanager
def network_cut(trial: Trial, watch: Watch) -> Iterator[None]:
    """For two minutes; then the network is whole again."""
    remote, address = _access(trial).remote, str(guest_shell.address(_server(trial)))
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
    """SIGKILL when Nova has begun with a second instance; the task manager's unit starts it again."""
    access = _access(trial)
    made = cast("CloudHost", trial.provider).instances.ask(
        Request(Operation.CREATE, trial.other, engine=trial.engine), trial.other
    )
    try:
        waits.until("Nova to begin", lambda: _server(trial, trial.other), seconds=ENDS)
        access.remote.run("systemctl", "kill", "--signal=KILL", *TASKMANAGER)
        yield
        ended = _ended(watch, lambda: str(access.user.instance(made)["status"]), {"ACTIVE", "HEALTHY", "ERROR"})
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
    """SIGKILL when the backup is no longer new."""
    access = _access(trial)
    trial.do(Operation.BACKUP)  # else there is nothing that this cloud could back up to
    instance = next((i["id"] for i in access.user.instances() if i["name"] == PREFIX + trial.name), "")
    backup = access.user.back_up(instance, "orphaned")

    def status() -> str:
        return next((str(b["status"]) for b in access.user.backups(instance) if b["id"] == backup), "gone")

    waits.until("Trove to begin", lambda: status() != "NEW", seconds=ENDS, every=0.2)
    access.remote.run("systemctl", "kill", "--signal=KILL", *TASKMANAGER)
    yield
    watch.evidence.append(f"{watch.seconds:.1f} s: the backup: {_ended(watch, status, {'COMPLETED', 'FAILED'})}")


@contextlib.contextmanager
def resize_orphaned(trial: Trial, watch: Watch) -> Iterator[None]:
    """SIGKILL when Nova has begun to give the guest another flavor."""
    access = _access(trial)
    seen = next(i for i in access.user.instances() if i["name"] == PREFIX + trial.name)
    larger = access.offer.flavor(access.offer.memory(seen["flavor"]["id"]) + 1)
    access.user.act(seen["id"], "resize", flavorRef=larger)
    waits.until("Nova to begin", lambda: "RESIZE" in _server(trial).status, seconds=ENDS)
    access.remote.run("systemctl", "kill", "--signal=KILL", *TASKMANAGER)
    yield
    ends = {"ACTIVE", "HEALTHY", "ERROR"}
    ended = _ended(watch, lambda: str(access.user.instance(seen["id"])["status"]), ends)
    watch.evidence.append(f"{watch.seconds:.1f} s: Trove says {ended}, Nova {_server(trial).status}")
    if ended not in ends:
        access.operator.act(seen["id"], "reset_status")
        watch.evidence.append("an operator's reset of its status let its user go on")


def _ended(watch: Watch, status: Callable[[], str], ends: set[str]) -> str:
    """The status when it is one of ``ends``, or what it still is after ``ENDS`` s; it is watched meanwhile."""

    def over() -> bool:
        watch.look()
        return status() in ends

    try:
        waits.until("its end", over, seconds=ENDS, every=2.0)
    except TimedOut:
        return f"still {status()} after {ENDS:.0f} s"
    return status()


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
    Fault("The task manager is killed in the middle of a resize", resize_orphaned),
)
