"""The command line as a person meets it: bad input ends in a sentence, a remedy, an exit code; no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.main import program

from lab.core import errors
from tests.golden import same

ROOT = Path(__file__).resolve().parents[3]


def inv(*words: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), *words]
    return subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), **env},
    )


BAD = [
    (["up", "--provider=vmware"], errors.BadValue),
    (["up", "--memory=lots"], errors.BadValue),
    (["up", "--memory=2"], errors.BadValue),
    (["up", "--name=../x"], errors.BadValue),
    (["up", "--name=-"], errors.BadValue),
    (["up", "--datastore=oracle"], errors.BadValue),
    (["up", "--from-manifest=/nonexistent"], errors.BadFile),
    (["up", "--from-manifest=/etc/passwd"], errors.BadFile),
    (["show-config", "--disk=1"], errors.BadValue),
    (["status", "--name=nobody"], errors.NoSuchLab),
    (["status", "--name=Not A Name"], errors.BadValue),
    (["ssh", "--name=nobody"], errors.NoSuchLab),
    (["logs", "--name=nobody"], errors.NoSuchLab),
    (["halt", "--name=nobody"], errors.NoSuchLab),
    (["tunnel", "--name=nobody", "--datastore=oracle"], errors.BadValue),
    (["snapshot", "list", "--name=nobody"], errors.NoSuchLab),
    (["dbod", "bakcup", "--instance=x"], errors.BadValue),
    (["dbod", "create"], errors.BadValue),
    (["dbod", "create", "--instance=Not a name"], errors.BadValue),
    (["dbod", "create", "--instance=x", "--engine=oracle"], errors.BadValue),
    (["dbod", "create", "--instance=x", "--memory=1"], errors.BadValue),
    (["dbod", "create", "--instance=x", "--port=80"], errors.BadValue),
    (["dbod", "create", "--instance=x", "--category=BEST"], errors.BadValue),
    (["dbod", "clone", "--instance=x", "--target=x"], errors.BadValue),
    (["dbod", "restore", "--instance=x", "--time=yesterday"], errors.BadValue),
    (["dbod", "config-put", "--instance=x"], errors.BadValue),
    (["dbod", "config-put", "--instance=x", "--settings=max_connections"], errors.BadValue),
    (["dbod", "config-put", "--instance=x", "--settings=a=b'c"], errors.BadValue),
    (["dbod", "ping", "--instance=x", "--provider=vmware"], errors.BadValue),
    (["dbod", "list", "--provider=trove", "--name=nobody"], errors.NoSuchLab),
    (["dbod", "automatic-backups", "--instance=x", "--every=0"], errors.BadValue),
    (["dbod", "automatic-backups", "--instance=x", "--day=7"], errors.BadValue),
    (["dbod-serve", "--provider=vmware"], errors.BadValue),
    (["dbod-serve", "--port=99999"], errors.BadValue),
    (["dbod-serve", "--provider=trove", "--name=nobody"], errors.NoSuchLab),
    (["dbod-evaluate", "--providers=vmware"], errors.BadValue),
    (["dbod-evaluate", "--engines=oracle"], errors.BadValue),
]


@pytest.mark.parametrize(("words", "kind"), BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else v.__name__)
def test_bad_input(
    words: list[str], kind: type[errors.LabError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """By Invoke's own program, in this process: forty interpreters would import the same for a minute."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        program.run(["invoke", "--search-root", str(ROOT), *words])
    done = capsys.readouterr()
    assert ended.value.code == kind.exit_code, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    said = done.err.splitlines()
    assert said[0].startswith("error: ")
    assert said[1].startswith("remedy: ")
    assert said[-1] == f"[{kind.id}, exit code {kind.exit_code}]"


def test_an_error_of_ours_is_the_process_s_end() -> None:
    done = inv("up", "--provider=vmware")
    assert done.returncode == errors.BadValue.exit_code
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize("words", [["up", "--no-such-flag"], ["no-such-task"], ["snapshot"]], ids=" ".join)
def test_invoke_refuses_what_it_does_not_know(words: list[str]) -> None:
    done = inv(*words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_an_unknown_environment_setting_is_refused(tmp_path: Path) -> None:
    done = inv("show-config", cwd=tmp_path, TROVE_LAB_MEMROY="8")
    assert done.returncode == errors.UnknownSetting.exit_code
    assert "'memory'" in done.stderr


def test_show_config_tells_where_each_value_is_from(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text('disk = 50\nname = "two"')
    shown = json.loads(inv("show-config", "--cpus=3", cwd=tmp_path, TROVE_LAB_MEMORY="9").stdout)
    assert shown["disk"] == {"value": 50, "from": "lab.toml"}
    assert shown["memory"] == {"value": 9, "from": "environment"}
    assert shown["cpus"] == {"value": 3, "from": "flag"}
    assert shown["database"] == {"value": True, "from": "default"}
    shown = json.loads(inv("show-config", "--database", cwd=tmp_path).stdout)
    assert shown["database"] == {"value": True, "from": "flag"}


def test_help_lists_every_task_of_the_readme() -> None:
    listed = inv("--list").stdout
    for task in ("up", "status", "ssh", "tunnel", "logs", "halt", "snapshot", "destroy", "doctor", "test",
                 "dbod", "dbod-evaluate", "dbod-serve"):  # fmt: skip
        assert f"  {task} " in listed


@pytest.mark.parametrize("words", [("dbod", "--help"), ("dbod", "list", "--help"), ("mirror", "--help")], ids=str)
def test_help_is_help_behind_a_task_that_takes_words(words: tuple[str, ...]) -> None:
    """It was taken for an operation, and refused."""
    done = subprocess.run([sys.executable, ROOT / "tasks.py", *words], capture_output=True, text=True, check=False)
    assert f"] {words[0]} [" in done.stdout


def test_error_texts() -> None:
    """The golden: every error with its id, exit code, cause and remedy, as people read them."""
    samples: list[errors.LabError] = [
        errors.Unforeseen(KeyError("x"), Path("/tmp/crash.log")),
        errors.BadCommand("There is no task 'statsu'.", "", ["status"]),
        errors.BadCommand("up takes no --zzz.", "up", []),
        errors.UnknownSetting("memroy", "lab.toml", ["memory"]),
        errors.UnknownSetting("zzz", "flag", []),
        errors.BadValue("memory", "lots", "a whole number", "flag"),
        errors.BadFile(Path("lab.toml"), "line 1", "Mend the line it names."),
        errors.Unsupported("That does not go together.", "This does."),
        errors.NoSuchLab("x", ["a", "b"]),
        errors.NoSuchLab("x", []),
        errors.OtherOwner("lab", "network trove-lab-lab"),
        errors.NotUp("Lab 'x' has no machine yet.", "./inv up --name=x makes it."),
        errors.StateBroken(Path("s.json"), "line 1", "lab"),
        errors.LabBusy("lab", "process 7"),
        errors.DiskFull("/var"),
        errors.MissingTools(["vagrant"], "installing is forbidden", "apt-get install vagrant"),
        errors.HostTooSmall("memory", "3 GiB", "8 GiB", "Close something."),
        errors.PortTaken(5000, "identity"),
        errors.DockerUnusable("no socket", "Start it."),
        errors.CommandFailed("false", 1, "last words"),
        errors.TimedOut("SSH", 300, "--machine-timeout", "refused"),
        errors.TimedOut("KSM to settle", 60, "", ""),
        errors.GaveUp("the guest", "Nova says ERROR"),
        errors.Interrupted("./inv up"),
        errors.SshFailed("127.0.0.1:22", "refused"),
        errors.StackFailed(
            "Starting Keystone",
            "lib/keystone:600",
            "start_keystone",
            "it said",
            Path("stack.log"),
            "it is slow",
            "Wait.",
        ),
        errors.StackFailed("Starting Nova", "", "", "it said", Path("stack.log")),
        errors.GitUnreachable("https://opendev.org/openstack/nova", "could not resolve host"),
        errors.MirrorLacks(Path("/srv/git"), ["stable/2026.1 of openstack/nova"], "2026.1"),
        errors.MirrorStale(Path("/srv/git/kept/2026.1-debian13-docker"), "/srv/git"),
        errors.NothingKept(Path("/srv/git/kept/2026.1-debian13-docker"), "pypi.org does not answer", "/srv/git"),
        errors.ApiFailed("Trove", "GET /instances", "500 oops"),
        errors.Missing("shared", "upgrade", "all databases run one server's version"),
        errors.Refused("The time is before the backup.", "Give a later one."),
        errors.NoSuch.instance("x", ["a", "b"]),
        errors.NoSuch.instance("x", []),
        errors.HostUnfit("ops@203.0.113.7", "its first process is not systemd", "Give a machine with systemd."),
        errors.DatabaseFailed("the shared server", "Access denied"),
        errors.OperationFailed("backup x", KeyError("y")),
        errors.NameTwice("shop", ["b2", "a1"], "Give all but one another name."),
        errors.PoisonJob("backup of x", 3, "the server ended while it ran"),
        errors.BackupDamaged("shop", "1f2e3d4c", "its files are not those that were written"),
        errors.CheckFailed("the guest", "it has no leg on the management network"),
    ]
    kinds = {k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.LabError)}
    assert {type(s) for s in samples} >= kinds - {errors.LabError}
    text = "".join(f"[{s.id} {s.exit_code}]\n{s.cause}\n→ {s.remedy}\n\n" for s in samples)
    same("errors.txt", text)


@pytest.mark.parametrize(
    ("typed", "cause", "remedy"),
    [
        (["statsu"], "There is no task 'statsu'.", "Did you mean status? ./inv --list shows what is available."),
        (["up", "--distor=centos7"], "up takes no --distor.", "--distro"),
        (["up", "--memory"], "--memory needs a value.", "./inv up --help"),
        (["render"], "render needs distro, release.", "./inv render --help"),
    ],
)
def test_a_wrong_command_line_is_told_with_what_is_near(typed: list[str], cause: str, remedy: str) -> None:
    done = subprocess.run([sys.executable, ROOT / "tasks.py", *typed], capture_output=True, text=True, check=False)
    assert done.returncode == errors.BadCommand.exit_code
    assert f"error: {cause}" in done.stderr
    assert remedy in done.stderr
    assert "Traceback" not in done.stderr
