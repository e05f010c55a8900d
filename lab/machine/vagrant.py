"""The one Vagrant adapter; nothing else imports python-vagrant.

Vagrant creates, starts, stops and removes; it provisions nothing. Its commands go through lab.core.process, so that
they are logged, bounded and ended by Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import vagrant

from lab.core import process, waits
from lab.core.home import Home
from lab.core.resources import RESOURCES
from lab.machine.contract import Status

_STATES: dict[str, Status] = {"running": "running", "not_created": "absent", "absent": "absent"}


_Untyped: Any = vagrant.Vagrant


class _Vagrant(_Untyped):  # type: ignore[misc]
    """python-vagrant with its two runners (private, unchanged since 2013) led through our subprocess door."""

    def __init__(self, root: Path, env: dict[str, str], log: Path, seconds: float) -> None:
        super().__init__(root=str(root), env={**os.environ, **env})
        self._ours, self._log, self._seconds = env, log, seconds

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        process.run(
            *self._make_vagrant_command(args),
            cwd=Path(self.root),
            env=self._ours,
            log=self._log,
            timeout=self._seconds,
            timeout_setting="--machine-timeout",
        )

    def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
        words = self._make_vagrant_command(args)
        return process.run(*words, cwd=Path(self.root), env=self._ours, timeout=self._seconds).stdout


class Vagrant:
    """The lab's one Vagrant machine; ``seconds`` bounds each command."""

    def __init__(self, home: Home, provider: str, seconds: float) -> None:
        self._home = home
        self._provider = provider
        self._seconds = seconds
        quiet = {
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
        }
        ours = {
            "LAB_MACHINE": str(home.path / "machine.json"),
            "VAGRANT_DOTFILE_PATH": str(self.dotfiles),
            "VAGRANT_DEFAULT_PROVIDER": provider,
        }
        self._vagrant: Any = _Vagrant(RESOURCES, {**quiet, **ours}, home.log("vagrant"), seconds)
        # boxes are no machine's: with a Vagrantfile in reach, Vagrant would want its description
        self._boxes: Any = _Vagrant(Path("/"), quiet, home.log("vagrant"), seconds)

    @property
    def dotfiles(self) -> Path:
        """Vagrant's own state of this lab."""
        return self._home.path / "vagrant"

    @property
    def machine_id(self) -> str:
        """The provider's id of the machine that Vagrant made, or an empty string."""
        files = self.dotfiles.glob(f"machines/*/{self._provider}/id")
        return next((f.read_text().strip() for f in files), "")

    def up(self) -> None:
        """Create or start. A failure destroys nothing (vagrant-libvirt#1122). Raises: CommandFailed, TimedOut."""
        with self._alone():
            self._vagrant._call_vagrant_command(
                ["up", f"--provider={self._provider}", "--no-provision", "--no-destroy-on-error"]
            )

    def halt(self) -> None:
        """Shut down in order. Raises: CommandFailed, TimedOut."""
        with self._alone():
            self._vagrant.halt()

    def destroy(self) -> None:
        """Remove the machine. Raises: CommandFailed, TimedOut."""
        with self._alone():
            self._vagrant.destroy()

    def status(self) -> Status:
        """What the provider says."""
        state: Any = self._vagrant.status()[0].state
        return _STATES.get(state, "halted")

    def ssh_address(self) -> tuple[str, int]:
        """Where the machine's SSH is, as the provider says."""
        told = self._vagrant.conf()
        return str(told["HostName"]), int(told["Port"])

    def snapshot(self, verb: str, name: str) -> None:
        """``save``, ``restore`` or ``delete``."""
        with self._alone():
            getattr(self._vagrant, f"snapshot_{verb}")(name)

    def snapshots(self) -> list[str]:
        """Names of the snapshots."""
        lines = (line.strip() for line in self._vagrant.snapshot_list())
        return [line for line in lines if line and not line.startswith("==>")]

    def add_box(self, name: str, box: Path) -> None:
        """Make a box file known under ``name`` (kept once per content, since the name carries its checksum)."""
        if not any(known.name == name for known in self._boxes.box_list()):
            self._boxes.box_add(name, str(box), provider=self._provider, force=True)

    def validate(self) -> None:
        """Let Vagrant judge the Vagrantfile with this lab's description. Raises: CommandFailed."""
        self._vagrant._run_vagrant_command(["validate"])

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait out the Vagrant of a client that was killed: it works on, and holds the machine's lock."""
        waits.until(
            "an earlier Vagrant to end",
            lambda: not running(self._home),
            seconds=self._seconds,
            setting="--machine-timeout",
        )
        yield


def running(home: Home) -> list[int]:
    """Process ids of the Vagrant commands of this lab, whoever started them."""
    description = str(home.path / "machine.json")
    return [
        p.pid
        for p in psutil.process_iter(["environ", "cmdline"])
        if (p.info["environ"] or {}).get("LAB_MACHINE") == description
        and any(Path(word).name == "vagrant" for word in p.info["cmdline"] or [])
    ]
