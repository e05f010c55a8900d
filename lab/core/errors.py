"""Every error that the lab reports: an id, an exit code, the cause and the command that fixes it.

The library raises; only the task layer (lab/cli/invocation.py) prints and exits. Exit codes are part of the
interface: 1 is a failure that nobody foresaw, 2 a wrong command line, 130 Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar


class LabError(Exception):
    """Base of all errors.

    Attributes: ``id`` (stable, kebab-case), ``exit_code``, ``cause`` (one sentence), ``remedy`` (what to type or
    change), ``log`` (the file with the full details, or None), ``step`` (the title of the step that
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
    def from_dict(data: Mapping[str, Any]) -> LabError:
        """The error that ``as_dict`` gave, perhaps in another process."""
        kinds = [LabError]
        for kind in kinds:
            kinds += kind.__subclasses__()
        found = next((kind for kind in kinds if kind.id == data["id"]), LabError)
        made = found.__new__(found)
        LabError.__init__(made, data["cause"], data["remedy"], Path(data["log"]) if data["log"] else None)
        return made


class Unforeseen(LabError):
    """A fault of the lab itself."""

    id = "unforeseen"
    exit_code = 1

    def __init__(self, error: Exception, log: Path) -> None:
        super().__init__(
            f"The lab hit an unexpected error: {type(error).__name__}: {error}.",
            "This is a bug in the lab: please report it, with the log. The same command continues from here.",
            log,
        )


# --- settings and command line (10-19) ---------------------------------------------------------------------


class BadCommand(LabError):
    """A word that is not a task, or that the task does not take."""

    id = "bad-command"
    exit_code = 2

    def __init__(self, why: str, task: str, near: list[str]) -> None:
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        super().__init__(why, f"{hint}./inv {f'{task} --help' if task else '--list'} shows what is available.")


class UnknownSetting(LabError):
    """A key that is not a setting."""

    id = "unknown-setting"
    exit_code = 10

    def __init__(self, key: str, where: str, near: list[str]) -> None:
        hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else "./inv show-config lists them all"
        super().__init__(f"{where} sets {key!r}, which is not a setting of the lab.", hint)


class BadValue(LabError):
    """A setting whose value cannot be used."""

    id = "bad-value"
    exit_code = 11

    def __init__(self, key: str, value: object, wanted: str, where: str) -> None:
        super().__init__(f"{key} = {value!r} ({where}) cannot be used.", f"Give {wanted}.")


class BadFile(LabError):
    """One of the user's files that cannot be read or parsed."""

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
            f"On this host, {name!r} belongs to another checkout: its {what} is there. Nothing was changed.",
            "Give this lab a --name of its own, or remove the other one with the ./inv of its own checkout.",
        )


class NotUp(LabError):
    """A part of a lab that was asked for, but was never made or is not running."""

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
            "Databases are stored beside it, so remove nothing: ./inv dbod repair rebuilds it from the copies "
            "beside them" + (", with --provider=shared." if name.endswith("-shared") else ".")
            if (path.parent / "store").exists()
            else f"Nothing in the lab was touched, and its databases keep answering: restore the file from a backup "
            f"of your own, or give a new lab a name of its own: ./inv up --name={name}-2.",
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
            "Free some space (df -h and docker system df show what uses it); the same command then continues.",
        )


# --- the host (30-39) --------------------------------------------------------------------------------------


class MissingTools(LabError):
    """Programs that the host lacks and that could not, or were not to be, installed."""

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
            f"Port {port} on 127.0.0.1, needed for {service}, is in use.",
            "Stop what listens there, then run the same command again.",
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
        said = f" Its last lines:\n{last_lines}" if last_lines.strip() else ""
        super().__init__(
            f"`{command}` ended with exit code {code}.{said}",
            remedy or "Fix what it reports; the same ./inv command then continues from here.",
            log,
        )
        self.command = command
        self.code = code
        self.last_lines = last_lines


class TimedOut(LabError):
    """A wait that ended in vain; ``setting`` is the flag that bounds it, empty where none does."""

    id = "timed-out"
    exit_code = 41

    def __init__(self, what: str, seconds: float, setting: str, last: str, log: Path | None = None) -> None:
        seen = f" Last seen: {last}" if last else ""
        super().__init__(
            f"Waited {seconds:.0f} s for {what}.{seen}",
            f"If the machine is just slow, raise {setting} (now {seconds:.0f} s) and run the same command again."
            if setting
            else "This limit is fixed. If the machine is busy, let it settle, then run the same command again.",
            log,
        )


class GaveUp(LabError):
    """A wait that ended early, because what it waited for can no longer happen."""

    id = "gave-up"
    exit_code = 42

    def __init__(self, what: str, why: str, remedy: str = "", log: Path | None = None) -> None:
        super().__init__(
            f"Gave up waiting for {what}: {why}",
            remedy or "./inv logs collects what every part said; the same command retries this step.",
            log,
        )


class Interrupted(LabError):
    """Ctrl-C: state is kept, and the text says how to continue."""

    id = "interrupted"
    exit_code = 130

    def __init__(self, resume: str) -> None:
        super().__init__("Interrupted; everything done so far is kept.", f"Continue with: {resume}")


class SshFailed(LabError):
    """The machine could not be reached, or is not the machine that we made."""

    id = "ssh-failed"
    exit_code = 43

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            f"SSH to {where} failed: {why}.", "./inv status shows what is up; ./inv up starts what is not."
        )


class HostUnfit(LabError):
    """A machine of the user's that cannot host the lab as it is."""

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
            f"stack.sh failed in its phase {phase!r}{at}{on}{known}. Its last lines:\n{last_lines}",
            remedy or "Fix what it reports; ./inv up then stops what is half done and runs stack.sh afresh.",
            log,
        )


class GitUnreachable(LabError):
    """A git server that does not answer, or does not have what is needed."""

    id = "git-unreachable"
    exit_code = 45

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"git cannot read {url}: {why}.",
            "Make a folder of mirrors where git is reachable (./inv mirror sync), and pass it with --mirror=DIR.",
        )


class MirrorLacks(LabError):
    """A folder of git mirrors that lacks what a release needs."""

    id = "mirror-lacks"
    exit_code = 46

    def __init__(self, folder: Path, lacking: list[str], release: str) -> None:
        super().__init__(
            f"The mirror {folder} lacks {', '.join(lacking)}, which {release} needs.",
            f"./inv mirror sync --mirror={folder} --release={release} fetches it.",
        )


class MirrorStale(LabError):
    """A mirror's contents were made from different sources than there are now."""

    id = "mirror-stale"
    exit_code = 47

    def __init__(self, folder: Path, mirror: str) -> None:
        super().__init__(
            f"The contents of {folder} were made from different sources than the lab has now.",
            f"Remove that folder: where there is a network, a lab fetches and builds its contents again, and "
            f"./inv mirror keep --mirror={mirror} --name=LAB then stores them anew.",
        )


class NothingKept(LabError):
    """A mirror with git repositories alone, on a host that reaches nothing else."""

    id = "nothing-kept"
    exit_code = 48

    def __init__(self, folder: Path, why: str, mirror: str) -> None:
        super().__init__(
            f"There is no {folder}, and Python packages cannot be fetched from here: {why}.",
            f"Where there is a network, make such a lab, then run ./inv mirror keep --mirror={mirror} --name=LAB.",
        )


class ApiFailed(LabError):
    """A cloud service that answered with an error; ``answer`` is in its own words."""

    id = "api-failed"
    exit_code = 49

    def __init__(self, service: str, request: str, answer: str) -> None:
        super().__init__(
            f"{service} answered {request} with: {answer}",
            "./inv status shows what is up; ./inv logs collects what every part said.",
        )


# --- database on demand (50-59) ----------------------------------------------------------------------------


class Missing(LabError):
    """An operation that a database provider does not offer."""

    id = "missing"
    exit_code = 50

    def __init__(self, provider: str, operation: str, why: str) -> None:
        super().__init__(
            f"Provider {provider} does not have {str(operation)!r}: {why}.",
            "./inv dbod-evaluate shows which provider has what.",
        )
        self.why = why


class Refused(LabError):
    """A request that was understood but must not be carried out; nothing was changed."""

    id = "refused"
    exit_code = 51

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(what, instead)


class NoSuch(Refused):
    """A name or number of something that does not exist."""

    id = "no-such"
    exit_code = 52

    @classmethod
    def instance(cls, name: str, names: list[str]) -> NoSuch:
        """An instance that does not exist."""
        have = f"Instances here: {', '.join(names)}." if names else "./inv dbod create makes one."
        return cls(f"There is no instance {name!r}.", have)


class DatabaseFailed(LabError):
    """A database server that answered a statement with an error; ``words`` are its own."""

    id = "database-failed"
    exit_code = 53

    def __init__(self, which: str, words: str) -> None:
        super().__init__(
            f"{which[:1].upper()}{which[1:]} said: {words}",
            "./inv dbod logs shows the server's own log; fix what it reports.",
        )


class OperationFailed(LabError):
    """An operation that hit an unexpected error; the service that runs it carries on."""

    id = "operation-failed"
    exit_code = 54

    def __init__(self, what: str, fault: Exception) -> None:
        super().__init__(
            f"{what} hit an unexpected error: {type(fault).__name__}: {str(fault)[:300]}",
            "This is a bug in the lab: please report it. The operation can be requested again.",
        )


class PoisonJob(LabError):
    """A job that ended its worker each time it was started; ``how`` is how the last one ended."""

    id = "poison-job"
    exit_code = 55

    def __init__(self, what: str, attempts: int, how: str) -> None:
        super().__init__(
            f"{what[:1].upper()}{what[1:]} did not finish in {attempts} attempts and is not started again: {how}.",
            "The job's log and dbod-serve's own output say how each attempt ended; fix that, then request it again.",
        )


class NameTwice(Refused):
    """A name that two things in the cloud share, so that it means neither; ``ids`` are theirs."""

    id = "name-twice"
    exit_code = 56

    def __init__(self, name: str, ids: list[str], remedy: str) -> None:
        super().__init__(
            f"Trove has {len(ids)} instances or groups named {name!r}: {', '.join(sorted(ids))}.", remedy
        )


class BackupDamaged(LabError):
    """A backup that differs from what was written; ``why`` says how. It is marked, and nothing else is changed."""

    id = "backup-damaged"
    exit_code = 57

    def __init__(self, instance: str, backup: str, why: str) -> None:
        super().__init__(
            f"Backup {backup} of {instance} is damaged: {why}. Nothing was changed.",
            f"Make a new one while the database is healthy (./inv dbod backup --instance={instance}); "
            f"./inv dbod backups --instance={instance} lists the others.",
        )


# --- proofs and studies (60-69) ----------------------------------------------------------------------------


class CheckFailed(LabError):
    """Something that is not as it should be; ``seen`` says what it is instead."""

    id = "check-failed"
    exit_code = 60

    def __init__(self, what: str, seen: str) -> None:
        super().__init__(
            f"{what[:1].upper()}{what[1:]} is not as it should be: {seen}",
            "./inv logs collects what every part said; the same command tries again.",
        )
