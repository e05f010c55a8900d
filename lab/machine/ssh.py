"""A machine that is there already, reached over SSH: a server in a cloud, a bare host, a VM of any other tool.

Nothing of it is made here, and it stays when the lab goes: what the lab put on it is written down there, and taken
away again by ``destroy``.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from lab.config import catalog
from lab.core import process
from lab.core.errors import HostUnfit, SshFailed, TimedOut
from lab.core.home import Home
from lab.core.ssh import CONNECT_SECONDS, Address, Remote
from lab.core.waits import Note
from lab.machine import keys, network
from lab.machine.contract import Status, Wanted

SCRIPTS = Path(__file__).with_name("scripts")
OPTIONS = ("BatchMode=yes", "StrictHostKeyChecking=yes", f"ConnectTimeout={CONNECT_SECONDS}")
"""The user's own ssh asks nothing: a host key that the user has not accepted is none that we accept."""
LET_IN = """
umask 077
mkdir -p ~/.ssh
read -r key
grep -qxF "$key" ~/.ssh/authorized_keys 2> /dev/null || printf '%s\\n' "$key" >> ~/.ssh/authorized_keys
cat /etc/ssh/ssh_host_ed25519_key.pub
"""
LEAVE = """
read -r key
file=$(eval echo "~$0")/.ssh/authorized_keys
left=$(grep -vxF "$key" "$file" || :)
printf '%s' "${left:+$left
}" > "$file"
"""
LEAVE_SECONDS = 1800
CONTROL = "ssh.control"
"""The socket of the ssh that leads the ports, in the lab's home: named from there, since such paths must be short."""


class SshMachine:
    """The machine of ``home`` at ``where``, USER@ADDRESS or USER@ADDRESS:PORT; ``seconds`` bounds the wait for it."""

    def __init__(self, home: Home, where: str, seconds: float) -> None:
        self._home = home
        self._where = where
        self._seconds = seconds

    def up(self, wanted: Wanted, note: Note) -> None:
        """See Machine.up: the first time with the user's own key and known hosts, then with the lab's.

        Raises: HostUnfit, SshFailed.
        """
        if not self._home.state.get("machine.address"):
            note(f"entering {self._where} with your own key")
            self._let_in()
        remote = Remote(self.address())
        if remote.address.user != "root" and not remote.run("true", check=False).ok:
            raise HostUnfit(
                self._where,
                f"{remote.address.user} may not become root there without a password",
                f"On it: echo '{remote.address.user} ALL=(ALL) NOPASSWD: ALL' | "
                "sudo tee /etc/sudoers.d/trove-lab (with sudo's password, once).",
            )
        self._arrive(remote, wanted, note)
        remote.close()
        if not self._led():
            note("leading the services' ports here")
            self._lead(wanted.ports)

    def halt(self, note: Note) -> None:
        """See Machine.halt; a machine that is the user's is not switched off. Raises: HostUnfit."""
        raise HostUnfit(
            self._where,
            "it is yours, and the lab switches it neither off nor on",
            f"./inv ssh --name={self._home.name} --command='sudo poweroff' does; ./inv up goes on when it is back.",
        )

    def destroy(self, note: Note) -> None:
        """See Machine.destroy: what the lab put there goes, the machine stays.

        Raises: HostUnfit (it does not answer), CommandFailed.
        """
        if not self._home.state.get("machine.address"):
            return
        note(f"taking from {self._where} what the lab put there")
        remote = Remote(self.address())
        try:
            remote.run("true", timeout=CONNECT_SECONDS)
        except (SshFailed, TimedOut) as error:
            raise HostUnfit(
                self._where,
                f"it does not answer, so what the lab put there stays ({error.cause.rstrip('.')})",
                f"The same command when it answers; if it is gone for good, rm -r {self._home.path} forgets it.",
            ) from error
        remote.run(
            "bash", "-s", stdin=(SCRIPTS / "leave.sh").read_text(),
            timeout=LEAVE_SECONDS, log=self._home.log("leave"),
            remedy=f"See the log's end; ./inv destroy --name={self._home.name} --yes goes on.",
        )  # fmt: skip
        user = remote.address.user
        remote.run("bash", "-c", LEAVE, user, stdin=f"{keys.pair(self._home).public}\n")
        remote.close()
        self._tell("exit")
        self._home.state.forget("machine.address", "machine.ports")

    def status(self) -> Status:
        """See Machine.status: ``running`` where it answers and its ports are led here."""
        if not self._home.state.get("machine.address"):
            return "absent"
        return "running" if self._led() and Remote(self.address()).answers() else "halted"

    def address(self) -> Address:
        """See Machine.address."""
        user, host, port = self._home.state["machine.address"]
        return Address(host, port, user, self._home.path / "id_ed25519", self._home.path / "known_hosts")

    def ports(self) -> dict[str, int]:
        """See Machine.ports."""
        return dict(self._home.state.get("machine.ports", {}))

    def save(self, snapshot: str, note: Note) -> None:
        """See Machine.save. Raises: HostUnfit."""
        raise self._keeps_nothing()

    def restore(self, snapshot: str, note: Note) -> None:
        """See Machine.restore. Raises: HostUnfit."""
        raise self._keeps_nothing()

    def snapshots(self) -> list[str]:
        """See Machine.snapshots: none."""
        return []

    def forget(self, snapshot: str) -> None:
        """See Machine.forget. Raises: HostUnfit."""
        raise self._keeps_nothing()

    def _keeps_nothing(self) -> HostUnfit:
        why = "its disk is not the lab's to keep"
        return HostUnfit(self._where, why, "Take the snapshot where the machine comes from.")

    def _let_in(self) -> None:
        """Have the lab's key accepted, and learn the host key over the connection that the user's key has checked."""
        user, host, port = self._resolved()
        words = [word for option in OPTIONS for word in ("-o", option)]
        done = process.run(
            "ssh", *words, *self._destination(), f"sh -c {shlex.quote(LET_IN)}",
            stdin=f"{keys.pair(self._home).public}\n", timeout=self._seconds, timeout_setting="--machine-timeout",
            check=False,
        )  # fmt: skip
        if not done.ok:
            raise self._refused(done.stderr.strip())
        keys.know(self._home, host, port, done.stdout)
        self._home.state["machine.address"] = [user, host, port]

    def _destination(self) -> list[str]:
        """What follows ``ssh``: the port, and user and host."""
        host, port = split(self._where)
        return [*(["-p", str(port)] if port else []), host]

    def _resolved(self) -> tuple[str, str, int]:
        """User, address and port, as the user's own configuration of ssh has them. Raises: HostUnfit."""
        told = dict(
            line.split(" ", 1)
            for line in process.run("ssh", "-G", *self._destination()).stdout.splitlines()
            if " " in line
        )
        for way in ("proxyjump", "proxycommand"):
            if told.get(way, "none") != "none":
                raise HostUnfit(
                    self._where,
                    f"your ssh goes to it through another ({way} {told[way]})",
                    "Give a machine that this host reaches directly, or lead a port here: ssh -L 2222:ADDRESS:22 …",
                )
        return told["user"], told["hostname"], int(told["port"])

    def _refused(self, said: str) -> HostUnfit | SshFailed:
        """What ssh's words mean, where they tell."""
        by_hand = shlex.join(["ssh", *self._destination()])
        if "Host key verification failed" in said:
            return HostUnfit(
                self._where, "you have not accepted its host key", f"{by_hand} true (compare the key that it shows)"
            )
        if "Permission denied" in said:
            return HostUnfit(self._where, "it takes none of your keys", f"{by_hand.replace('ssh', 'ssh-copy-id', 1)}")
        return SshFailed(self._where, said.splitlines()[-1] if said else "ssh failed")

    def _arrive(self, remote: Remote, wanted: Wanted, note: Note) -> None:
        """Raises: HostUnfit, where the machine is not what the plan takes it for."""
        owner = f"{self._home.owner} {self._home.name}"
        done = remote.run("bash", "-s", owner, stdin=(SCRIPTS / "arrive.sh").read_text())
        told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
        if "owner" in told:
            raise HostUnfit(
                self._where,
                f"lab {told['owner'].split()[-1]!r} of another checkout or name is on it",
                "Destroy that lab where it was made, or give another --host.",
            )
        if told.get("init") != "systemd":
            raise HostUnfit(self._where, "its first process is not systemd", "Give a machine with systemd.")
        if not catalog.plain(told["system"]).startswith(catalog.plain(wanted.system)):
            raise HostUnfit(
                self._where,
                f"it is {told['system']}, not {wanted.system}",
                "./inv releases shows what --distro may be, and which release goes with it.",
            )
        if wanted.kvm and "kvm" not in told:
            raise HostUnfit(self._where, "it has no /dev/kvm", "Leave out --hypervisor=kvm.")
        if (memory := int(told["memory"])) < wanted.memory:
            note(f"{self._where} has {memory} GiB of memory; {wanted.memory} are what a lab takes")

    def _lead(self, wanted: dict[str, int]) -> None:
        """Lead a port of 127.0.0.1 to each service, for as long as both machines run. Raises: SshFailed."""
        ports = network.free_ports(wanted, self.ports())
        leads = [
            word for name, port in ports.items() for word in ("-L", f"127.0.0.1:{port}:127.0.0.1:{wanted[name]}")
        ]
        options = ["ExitOnForwardFailure=yes", "ServerAliveInterval=20", "ControlPersist=yes"]
        words = [word for option in options for word in ("-o", option)]
        (self._home.path / CONTROL).unlink(missing_ok=True)
        *ssh, destination = self.address().ssh_argv()
        done = process.run(
            *ssh, "-f", "-N", "-M", "-S", CONTROL, *words, *leads, destination, cwd=self._home.path, check=False,
            timeout=self._seconds, timeout_setting="--machine-timeout", log=self._home.log("lead"),
        )  # fmt: skip
        if not done.ok:
            raise SshFailed(self._where, process.tail(self._home.log("lead")) or "ssh failed")
        self._home.state["machine.ports"] = ports

    def _led(self) -> bool:
        return self._tell("check")

    def _tell(self, what: str) -> bool:
        """Whether there is an ssh that leads the ports, and it did what it was told."""
        if not (self._home.path / CONTROL).exists():
            return False
        *ssh, destination = self.address().ssh_argv()
        try:
            return process.run(
                *ssh,
                "-S",
                CONTROL,
                "-O",
                what,
                destination,
                cwd=self._home.path,
                check=False,
                timeout=CONNECT_SECONDS,
            ).ok
        except TimedOut:
            return False


def split(where: str) -> tuple[str, int]:
    """``user@host:port`` as ``("user@host", port)``, the port 0 where none is given."""
    found = re.fullmatch(r"(.+?)(?::(\d{1,5}))?", where)
    assert found is not None  # the setting's pattern
    return found[1].replace("[", "").replace("]", ""), int(found[2] or 0)
