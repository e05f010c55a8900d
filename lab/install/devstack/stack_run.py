"""One run of stack.sh: a unit of the machine; started, followed and fetched, and following can begin at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lab.config import catalog
from lab.core import waits
from lab.core.errors import SshFailed, StackFailed, TimedOut
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.core.waits import Note
from lab.install.devstack import stack_log

UNIT = "trove-lab-stack.service"
LOG = "/opt/stack/logs/unit.log"
SUMMARY = "/opt/stack/logs/stack.sh.log.summary"
TOLD = "/opt/stack/logs/failure-told"
"""Where it is, the failure of the last run was reported: the next command begins anew."""
BEGUN = "/opt/stack/logs/begun-with"
"""What the last run was started with: if it ended well while nobody followed it, it need not run again."""
EVERY = 2.0
END_BYTES = 400_000
"""How much of the log's end is read for the reason of a failure."""
START = f"""
rm -f {LOG} {SUMMARY} {TOLD}
echo KEY > {BEGUN}
systemctl reset-failed {UNIT} 2>/dev/null || :
systemctl restart --no-block {UNIT}
"""
LOOK = r"""
systemctl show --property=ActiveState --value "$0"
printf '%s\n' "$(tail -n 1 "$1" 2>/dev/null)"
size=$(stat -c %s "$2" 2>/dev/null || echo 0)
end=$((size > $3 + 2000000 ? $3 + 2000000 : size))
echo "$end"
tail -c "+$(($3 + 1))" "$2" 2>/dev/null | head -c "$((end - $3))"
"""
"""State, last phase line, how many bytes of the log we have after this, and those that we had not."""


@dataclass
class StackRun:
    """``key`` names what it is made from; ``gone`` says why the machine can no longer answer, or None.

    ``seconds`` bounds the whole run.
    """

    remote: Remote
    home: Home
    key: str
    seconds: float
    gone: Callable[[], str | None]
    _phase: str = field(default="starting", init=False)
    _said: str = field(default="", init=False)
    _fetched: int = field(default=0, init=False)
    _rest: str = field(default="", init=False)
    _answered: bool = field(default=True, init=False)

    @property
    def log(self) -> Path:
        """Our copy of the log, with the lab's secrets masked."""
        return self.home.log("stack")

    def run(self, note: Note) -> None:
        """Start it, unless it runs or has failed unseen; follow it to its end.

        Raises: StackFailed, TimedOut (it goes on; the same command follows it), GaveUp (the machine is gone).
        """
        if self._wants_start():
            note("starting stack.sh")
            self.remote.script(START.replace("KEY", self.key))
        self.log.write_text("")
        waits.until(
            "stack.sh",
            self._ended,
            seconds=self.seconds,
            setting="--install-timeout",
            every=EVERY,
            fatal=self._lost,
            transient=(SshFailed, TimedOut),
            describe=lambda: self._phase,
            note=lambda _: self._tell(note),
            log=self.log,
        )
        self.home.state["stack.phases"] = [list(row) for row in self._phases()]

    def _tell(self, note: Note) -> None:
        if self._phase != self._said:
            self._said = self._phase
            note(self._phase)

    def _wants_start(self) -> bool:
        """Not while it runs, nor when it has ended and the end is still to be told."""
        asked = self.remote.run("systemctl", "show", "--property=ActiveState", "--value", UNIT, check=False)
        state = asked.stdout.strip()
        if state == "active":
            return self.remote.run("cat", BEGUN, check=False).stdout.strip() != self.key
        if state == "failed":
            return self.remote.run("test", "-e", TOLD, check=False).ok
        return state != "activating"

    def _ended(self) -> bool:
        self._answered = False
        done = self.remote.run("bash", "-c", LOOK, UNIT, SUMMARY, LOG, str(self._fetched), timeout=60)
        self._answered = True
        state, phase, fetched, text = done.stdout.split("\n", 3)
        self._fetched = int(fetched)
        self._phase = stack_log.plain(phase).strip() or self._phase
        self._keep(text)
        if state == "failed":
            raise self._failed()
        return state == "active"

    def _keep(self, text: str) -> None:
        """Append to our copy in whole lines, so that no secret is cut in two before it is masked."""
        whole, newline, self._rest = (self._rest + text).rpartition("\n")
        with self.log.open("a", encoding="utf-8") as sink:
            sink.write(self.home.secrets.redact(whole + newline))

    def _lost(self) -> str | None:
        return None if self._answered else self.gone()

    def _failed(self) -> StackFailed:
        end = self.remote.run("tail", "-c", str(END_BYTES), LOG, check=False).stdout
        self.remote.run("touch", TOLD)
        why = stack_log.failure(self.home.secrets.redact(end), catalog.load().traps)
        return StackFailed(
            self._phase,
            why.where,
            why.command,
            why.last_lines,
            self.log,
            why.trap.cause if why.trap else "",
            why.trap.remedy if why.trap else "",
        )

    def _phases(self) -> list[tuple[str, int]]:
        text = self.remote.run("cat", SUMMARY, check=False).stdout
        ended = self.remote.run("stat", "-c", "%Y", LOG, check=False).stdout.strip()
        return stack_log.phases(text, datetime.fromtimestamp(int(ended), UTC) if ended else None)
