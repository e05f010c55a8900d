"""Every error that the lab reports: an id, an exit code, the cause and the command that mends it.

The library raises; only the task layer (lab/cli/invocation.py) prints and exits. Exit codes are part of the
interface: 1 is a failure nobody foresaw, 2 a wrong command line, 130 Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar


class LabError(Exception):
    """Base of all errors.

    Attributes: ``id`` (stable, kebab-case), ``exit_code``, ``cause`` (one sentence), ``remedy`` (what to type or
    change), ``log`` (the file that holds the whole story, or None), ``step`` (the title of the step that
    failed, where one did)
    """

    id: ClassVar[str] = "lab-error"
    exit_code: ClassVar[int] = 1

    def __init__(self, cause: str, remedy: str, log: Path | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.log = log
        self.step = ""

    def as_dict(self) -> dict[str, object]:
        """The error for programs (``--json``)."""
        return {
            "id": self.id,
            "exit_code": self.exit_code,
            "cause": self.cause,
            "remedy": self.remedy,
            "log": str(self.log) if self.log else None,
        }

    @staticmethod
    def from_dict(told: Mapping[str, Any]) -> LabError:
        """The error again that ``as_dict`` told of, in another process perhaps."""
        kinds = [LabError]
        for kind in kinds:
            kinds += kind.__subclasses__()
        found = next((kind for kind in kinds if kind.id == told["id"]), LabError)
        made = found.__new__(found)
        LabError.__init__(made, told["cause"], told["remedy"], Path(told["log"]) if told["log"] else None)
        return made


class Unforeseen(LabError):
    """A fault of the lab itself."""

    id = "unforeseen"
    exit_code = 1

    def __init__(self, error: Exception, log: Path) -> None:
        super().__init__(
            f"The lab met something that it did not foresee: {type(error).__name__}: {error}.",
            "This is a fault of the lab: please report it with the log. The same command again goes on from here.",
            log,
        )


# --- settings and command line (10-19) ---------------------------------------------------------------------


class BadCommand(LabError):
    """Words that are no task, or that the task does not take."""

    id = "bad-command"
    exit_code = 2

    def __init__(self, why: str, task: str, near: list[str]) -> None:
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        super().__init__(why, f"{hint}./inv {f'{task} --help' if task else '--list'} shows what there is.")


class UnknownSetting(LabError):
    """A key that no setting has."""

    id = "unknown-setting"
    exit_code = 10

    def __init__(self, key: str, where: str, near: list[str]) -> None:
        hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else "./inv show-config lists them all"
        super().__init__(f"{where} sets {key!r}, which is no setting of the lab.", hint)


class BadValue(LabError):
    """A setting whose value cannot be used."""

    id = "bad-value"
    exit_code = 11

    def __init__(self, key: str, value: object, wanted: str, where: str) -> None:
        super().__init__(f"{key} = {value!r} ({where}) cannot be used.", f"Give {wanted}.")


class BadFile(LabError):
    """A file of the user's that cannot be read or parsed."""

    id = "bad-file"
    exit_code = 12

    def __init__(self, path: Path, why: str, remedy: str) -> None:
        super().__init__(f"{path} cannot be read: {why}.", remedy)


class Unsupported(LabError):
    """A combination that the catalogue does not have."""

    id = "unsupported"
    exit_code = 13

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(what, instead)


class NoSuchLab(LabError):
    """A lab name that has no state here."""

    id = "no-such-lab"
    exit_code = 14

    def __init__(self, name: str, known: list[str]) -> None:
        have = f"Labs here: {', '.join(known)}." if known else "There is no lab here yet; make one with ./inv up."
        super().__init__(f"There is no lab named {name!r}.", have)


class OtherOwner(LabError):
    """A name under which another checkout, or another user's folder, has something on this host."""

    id = "other-owner"
    exit_code = 16

    def __init__(self, name: str, what: str) -> None:
        super().__init__(
            f"On this host {name!r} is another checkout's: its {what} is there. Nothing was changed.",
            "Give this one a --name of its own, or remove that one with the ./inv of its own checkout.",
        )


class NotUp(LabError):
    """Something of a lab that is asked for and was never made, or does not run."""

    id = "not-up"
    exit_code = 15

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)


# --- state and files (20-29) -------------------------------------------------------------------------------


class StateBroken(LabError):
    """The state file is not one of ours, or was damaged."""

    id = "state-broken"
    exit_code = 20

    def __init__(self, path: Path, why: str, name: str) -> None:
        super().__init__(
            f"The state file {path} is damaged ({why}).",
            "Databases lie beside it, so nothing is to be removed: ./inv dbod repair rebuilds it from copies "
            "beside them" + (", with --provider=shared." if name.endswith("-shared") else ".")
            if (path.parent / "store").exists()
            else f"Nothing of the lab was touched, and its databases answer on: put the file back from a backup of "
            f"yours, or give a new lab a name of its own: ./inv up --name={name}-2.",
        )


class LabBusy(LabError):
    """Another command holds the lab's lock."""

    id = "lab-busy"
    exit_code = 21

    def __init__(self, name: str, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"Another command is working on lab {name!r} ({holder}).",
            "Wait for it to end, or end it with Ctrl-C in its terminal.",
        )


class DiskFull(LabError):
    """A write failed for lack of room."""

    id = "disk-full"
    exit_code = 22

    def __init__(self, where: str) -> None:
        super().__init__(
            f"The disk is full ({where}).",
            "Free some room (df -h and docker system df say what takes it), then run it again: it goes on.",
        )


# --- the host (30-39) --------------------------------------------------------------------------------------


class MissingTools(LabError):
    """Programs that the host lacks and that could not, or should not, be installed."""

    id = "missing-tools"
    exit_code = 30

    def __init__(self, tools: list[str], why: str, command: str) -> None:
        super().__init__(f"This host lacks {', '.join(tools)}, and {why}.", f"Install them: {command}")


class HostTooSmall(LabError):
    """Too little memory or disk."""

    id = "host-too-small"
    exit_code = 31

    def __init__(self, what: str, have: str, want: str, remedy: str) -> None:
        super().__init__(f"This host has {have} of {what} free; this lab needs {want}.", remedy)


class PortTaken(LabError):
    """A port that the lab was told to publish is in use."""

    id = "port-taken"
    exit_code = 32

    def __init__(self, port: int, service: str) -> None:
        super().__init__(
            f"Port {port} on 127.0.0.1, wanted for {service}, is in use.",
            "End what listens there, then the same command again.",
        )


class DockerUnusable(LabError):
    """No Docker engine answers and none could be started."""

    id = "docker-unusable"
    exit_code = 33

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(f"No Docker engine can be used here: {why}.", remedy)


# --- running things (40-49) --------------------------------------------------------------------------------


class CommandFailed(LabError):
    """A program exited non-zero."""

    id = "command-failed"
    exit_code = 40

    def __init__(self, command: str, code: int, last_lines: str, log: Path | None = None, remedy: str = "") -> None:
        said = f" Last words:\n{last_lines}" if last_lines.strip() else ""
        super().__init__(
            f"`{command}` ended with exit code {code}.{said}",
            remedy or "Mend what it says; the same ./inv command again goes on from here.",
            log,
        )
        self.command = command
        self.code = code
        self.last_lines = last_lines


class TimedOut(LabError):
    """A wait ended without the awaited thing; ``setting`` is the flag that bounds it, empty where none does."""

    id = "timed-out"
    exit_code = 41

    def __init__(self, what: str, seconds: float, setting: str, last: str, log: Path | None = None) -> None:
        seen = f" Last seen: {last}" if last else ""
        super().__init__(
            f"Waited {seconds:.0f} s for {what}.{seen}",
            f"If this machine is only slow, raise {setting} (now {seconds:.0f} s) and run the same command again."
            if setting
            else "That limit is fixed. If this machine is busy, let it come to rest, and run the same command again.",
            log,
        )


class GaveUp(LabError):
    """A wait that ended early, because what was awaited can no longer come."""

    id = "gave-up"
    exit_code = 42

    def __init__(self, what: str, why: str, remedy: str = "", log: Path | None = None) -> None:
        super().__init__(
            f"{what[:1].upper()}{what[1:]} will not come: {why}",
            remedy or "./inv logs collects what every part said; the same command again retries this step.",
            log,
        )


class Interrupted(LabError):
    """Ctrl-C: state is kept, and the text says how to go on."""

    id = "interrupted"
    exit_code = 130

    def __init__(self, resume: str) -> None:
        super().__init__("Interrupted; everything done so far is kept.", f"Go on with: {resume}")


class SshFailed(LabError):
    """The machine could not be reached, or is not the machine that we made."""

    id = "ssh-failed"
    exit_code = 43

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            f"SSH to {where} failed: {why}.", "./inv status says what is up; ./inv up starts what is not."
        )


class HostUnfit(LabError):
    """A machine of the user's cannot be the lab's, as it is."""

    id = "host-unfit"
    exit_code = 34

    def __init__(self, host: str, why: str, remedy: str) -> None:
        super().__init__(f"{host} cannot be used: {why}.", remedy)


class StackFailed(LabError):
    """DevStack's stack.sh ended with an error."""

    id = "stack-failed"
    exit_code = 44

    def __init__(
        self, phase: str, where: str, command: str, last_lines: str, log: Path, cause: str = "", remedy: str = ""
    ) -> None:
        at = f" at {where}" if where else ""
        on = f", on `{command}`" if command else ""
        known = f": {cause}" if cause else ""
        super().__init__(
            f"stack.sh failed in its phase {phase!r}{at}{on}{known}. Last words:\n{last_lines}",
            remedy or "Mend what it says; ./inv up again stops what is half there and runs stack.sh anew.",
            log,
        )


class GitUnreachable(LabError):
    """A git server that does not answer, or has not what is wanted."""

    id = "git-unreachable"
    exit_code = 45

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"git cannot read {url}: {why}.",
            "Make a folder of mirrors where git is reachable (./inv mirror sync), and give it with --mirror=DIR.",
        )


class MirrorLacks(LabError):
    """A folder of git mirrors that has not what a release needs."""

    id = "mirror-lacks"
    exit_code = 46

    def __init__(self, folder: Path, lacking: list[str], release: str) -> None:
        super().__init__(
            f"The mirror {folder} lacks {', '.join(lacking)}, which {release} needs.",
            f"./inv mirror sync --mirror={folder} --release={release} brings it.",
        )


class MirrorStale(LabError):
    """What a mirror keeps was made from other sources than there are now."""

    id = "mirror-stale"
    exit_code = 47

    def __init__(self, folder: Path, mirror: str) -> None:
        super().__init__(
            f"What {folder} keeps was made from other sources than the lab has now.",
            f"Remove that folder: what is in it is fetched and built again where there is a network, and then "
            f"./inv mirror keep --mirror={mirror} --name=LAB keeps it anew.",
        )


class NothingKept(LabError):
    """A mirror that has git's part alone, where nothing else answers."""

    id = "nothing-kept"
    exit_code = 48

    def __init__(self, folder: Path, why: str, mirror: str) -> None:
        super().__init__(
            f"There is no {folder}, and no Python packages can be fetched from here: {why}.",
            f"Where there is a network, make such a lab, then ./inv mirror keep --mirror={mirror} --name=LAB.",
        )


class ApiFailed(LabError):
    """An answer of a service of the cloud that is an error; ``answer`` holds its own words."""

    id = "api-failed"
    exit_code = 49

    def __init__(self, service: str, request: str, answer: str) -> None:
        super().__init__(
            f"{service} answered {request} with: {answer}",
            "./inv status says what is up; ./inv logs collects what every part said.",
        )


# --- database on demand (50-59) ----------------------------------------------------------------------------


class Missing(LabError):
    """An operation that a provider of databases does not have."""

    id = "missing"
    exit_code = 50

    def __init__(self, provider: str, operation: str, why: str) -> None:
        super().__init__(
            f"Provider {provider} does not have {str(operation)!r}: {why}.",
            "./inv dbod-evaluate shows which provider has what.",
        )
        self.why = why


class Refused(LabError):
    """A request that is understood and must not be done; nothing was changed."""

    id = "refused"
    exit_code = 51

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(what, instead)


class NoSuch(Refused):
    """A name or number of something that there is not."""

    id = "no-such"
    exit_code = 52

    @classmethod
    def instance(cls, name: str, known: list[str]) -> NoSuch:
        """An instance that there is not."""
        have = f"Instances here: {', '.join(known)}." if known else "./inv dbod create makes one."
        return cls(f"There is no instance {name!r}.", have)


class DatabaseFailed(LabError):
    """A database server that ended a statement with an error; ``words`` are its own."""

    id = "database-failed"
    exit_code = 53

    def __init__(self, which: str, words: str) -> None:
        super().__init__(
            f"{which[:1].upper()}{which[1:]} said: {words}",
            "./inv dbod logs shows the server's own; mend what it says.",
        )


class OperationFailed(LabError):
    """An operation that met something which nobody foresaw; the service that runs it goes on."""

    id = "operation-failed"
    exit_code = 54

    def __init__(self, what: str, fault: Exception) -> None:
        super().__init__(
            f"{what} met something that it did not foresee: {type(fault).__name__}: {str(fault)[:300]}",
            "This is a fault of the lab: please report it. The operation can be asked for again.",
        )


class PoisonJob(LabError):
    """A job that ended its worker each time that it was begun; ``how`` is how the last one ended."""

    id = "poison-job"
    exit_code = 55

    def __init__(self, what: str, attempts: int, how: str) -> None:
        super().__init__(
            f"{what[:1].upper()}{what[1:]} came to no end in {attempts} tries and is not begun again: {how}.",
            "The job's log and dbod-serve's own output say how each try ended; mend that, and ask for it again.",
        )


class NameTwice(Refused):
    """A name that two things of the cloud have, so that neither is meant; ``ids`` are theirs."""

    id = "name-twice"
    exit_code = 56

    def __init__(self, name: str, ids: list[str], mend: str) -> None:
        super().__init__(
            f"Trove has {len(ids)} of the name {name!r}, and only one can be meant: {', '.join(sorted(ids))}.", mend
        )


class BackupDamaged(LabError):
    """A backup that is not what was written; ``why`` is how that was seen. It is marked, and nothing else changed."""

    id = "backup-damaged"
    exit_code = 57

    def __init__(self, instance: str, backup: str, why: str) -> None:
        super().__init__(
            f"Backup {backup} of {instance} is damaged: {why}. Nothing was changed.",
            f"Make a new one while the database is well (./inv dbod backup --instance={instance}); "
            f"./inv dbod backups --instance={instance} lists the others.",
        )


# --- proofs and studies (60-69) ----------------------------------------------------------------------------


class CheckFailed(LabError):
    """Something looked at is not what it must be; ``seen`` says what it is instead."""

    id = "check-failed"
    exit_code = 60

    def __init__(self, what: str, seen: str) -> None:
        super().__init__(
            f"{what[:1].upper()}{what[1:]} is not as it must be: {seen}",
            "./inv logs collects what every part said; the same command again tries it anew.",
        )
