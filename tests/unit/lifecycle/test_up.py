"""up's refusals: one sentence, and nothing left behind; a folder that was there stays."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.config import settings
from lab.config.plan import Facts
from lab.core import run_log
from lab.core.errors import BadValue, LabError, MissingTools, Unsupported
from lab.core.home import Home
from lab.core.progress import Events, Recorded
from lab.lifecycle import up

YES, NO = (True, "it answers"), (False, "there is none")


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """``up`` with flags, on a host that has Docker and lacks nothing; labs lie in ``tmp_path``."""
    monkeypatch.setattr("lab.lifecycle.up.Home", lambda name: Home(name, tmp_path))
    monkeypatch.setattr("lab.lifecycle.up.packages.missing", lambda parts: [])
    monkeypatch.setattr("lab.lifecycle.up.client.usable", lambda: None)
    monkeypatch.setattr(
        "lab.lifecycle.up.doctor.facts", lambda install: Facts(docker=YES, libvirt=NO, virtualbox=NO, kvm=NO)
    )

    def run(**flags: str) -> object:
        with (tmp_path.parent / "events").open("w") as sink:
            return up.up(settings.load(flags, tmp_path, {}), "", Recorded(Events(sink)))

    return run


@pytest.mark.parametrize(
    "flags",
    [{"provider": "virtualbox"}, {"provider": "libvirt"}, {"hypervisor": "kvm"}, {"release": "kilo"},
     {"hypervisor": "lxc", "installer": "packages"}, {"mirror": "/nowhere"},
     {"beside": "qemu", "hypervisor": "qemu"}],
    ids=str,
)  # fmt: skip
def test_a_refused_lab_leaves_nothing(start: Callable[..., object], flags: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises((Unsupported, BadValue)):
        start(name="x", **flags)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_shows_the_plan_and_what_would_stop_it(
    start: Callable[..., object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It ended in the error, and what had been planned was not shown."""
    monkeypatch.setattr(
        "lab.lifecycle.up.doctor.facts", lambda install: Facts(docker=YES, libvirt=YES, virtualbox=NO, kvm=NO)
    )
    report = up.dry_run(settings.load({"name": "x", "distro": "centos-7"}, tmp_path, {}), "")
    chosen = {choice["setting"]: choice["value"] for choice in report["choices"]}
    assert (chosen["installer"], chosen["distro"], chosen["provider"]) == ("devstack", "centos7", "libvirt")
    assert "makes no machine of centos7" in report["hindrance"]["cause"]
    assert [step["name"] for step in report["steps"]] == ["host"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays_and_keeps_what_was_refused(
    start: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine").touch()
    with pytest.raises(Unsupported):
        start(name="x", provider="libvirt")
    assert (tmp_path / "x" / "mine").exists()
    run_log.RUN.add("ended", exit=13)  # as the command line does
    rows = [json.loads(line) for line in (tmp_path / "x" / "logs" / run_log.FILE).read_text().splitlines()]
    assert [row["event"] for row in rows] == ["ended"]


def test_nothing_is_installed_for_what_is_refused(
    start: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's packages came first: what the plan then refused had been installed for nothing."""
    done: list[object] = []
    monkeypatch.setattr("lab.lifecycle.up.packages.missing", lambda parts: ["x"])
    monkeypatch.setattr("lab.lifecycle.up.packages.ensure", lambda *words: done.append(words))
    with pytest.raises(Unsupported):
        start(name="x", provider="libvirt")
    assert done == []


def test_a_host_that_lacks_nothing_is_probed_once(
    start: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice, it booted a kernel with KVM twice, and asked a git server twice, before each new lab."""
    probed: list[bool] = []

    def facts(install: bool) -> Facts:
        probed.append(install)
        return Facts(docker=YES, libvirt=NO, virtualbox=NO, kvm=NO)

    def stop(*_: object) -> None:
        raise LabError("the test ends here", "")

    monkeypatch.setattr("lab.lifecycle.up.doctor.facts", facts)
    monkeypatch.setattr("lab.lifecycle.up.Lab", stop)
    with pytest.raises(LabError, match="the test ends here"):
        start(name="x")
    assert probed == [True]


def test_what_the_plan_takes_is_what_is_installed(
    start: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a distribution that only a virtual machine has, Docker's parts were installed, and then it was refused."""
    wanted: list[tuple[str, ...]] = []

    def ensure(parts: tuple[str, ...], *_: object) -> None:
        wanted.append(parts)
        raise MissingTools(["virsh"], "the test ends here", "")

    monkeypatch.setattr(
        "lab.lifecycle.up.doctor.facts", lambda install: Facts(docker=YES, libvirt=YES, virtualbox=NO, kvm=NO)
    )
    monkeypatch.setattr("lab.lifecycle.up.packages.missing", lambda parts: ["x"])
    monkeypatch.setattr("lab.lifecycle.up.packages.ensure", ensure)
    with pytest.raises(MissingTools):
        start(name="x", provider="libvirt")
    assert "libvirt" in wanted[0]


def test_a_failure_with_a_log_keeps_the_log(
    start: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(parts: object, note: object, log: Path, install: bool) -> None:
        log.write_text("E: Unable to locate package")
        raise LabError("apt failed", "mend it", log)

    monkeypatch.setattr("lab.lifecycle.up.packages.ensure", fail)
    monkeypatch.setattr("lab.lifecycle.up.packages.missing", lambda parts: ["x"])
    with pytest.raises(LabError):
        start(name="x")
    assert (tmp_path / "x" / "logs" / "host.log").exists()


def test_a_host_where_nothing_may_be_installed_keeps_nothing(
    start: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(parts: object, note: object, log: Path, install: bool) -> None:
        raise MissingTools(["dockerd"], "installing was forbidden", "apt-get install docker.io")

    monkeypatch.setattr("lab.lifecycle.up.packages.ensure", refuse)
    monkeypatch.setattr("lab.lifecycle.up.packages.missing", lambda parts: ["x"])
    with pytest.raises(MissingTools):
        start(name="x")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, ...]]:
    """A lab that is there, with what it was given: what it has of addons after an ``up`` with flags."""
    monkeypatch.setattr("lab.lifecycle.up.Home", lambda name: Home(name, tmp_path))

    def run(there: object, ports: dict[str, int], installer: str = "packages", **flags: str) -> tuple[str, ...]:
        home = Home("x", tmp_path)
        home.make()
        home.state["spec"] = {"name": "x", "installer": installer, "with": there}
        home.state["machine.ports"] = ports
        return up._planned(home, settings.load({"name": "x", **flags}, tmp_path, {})).spec.with_

    return run


LED = {"ssh": 1, "object-store": 2, "dashboard": 3}


@pytest.mark.parametrize(
    ("there", "flags", "after"),
    [
        ([], {}, ()),
        ("nothing", {"with": "dashboard"}, ("dashboard",)),
        (["backups"], {}, ("backups",)),
        (["backups"], {"with": "nothing"}, ("backups",)),
        (["backups"], {"with": "dashboard"}, ("backups", "dashboard")),
        (["dashboard"], {"with": "backups"}, ("backups", "dashboard")),
        (["dashboard"], {"with": "backups,dashboard"}, ("backups", "dashboard")),
    ],
    ids=str,
)
def test_a_lab_keeps_its_addons_and_is_given_those_that_are_named(
    lab: Callable[..., tuple[str, ...]], there: object, flags: dict[str, str], after: tuple[str, ...]
) -> None:
    """``--with`` took the place of what the lab had."""
    assert lab(there, LED, **flags) == after


def test_an_addon_that_a_running_lab_cannot_be_given_says_so(lab: Callable[..., tuple[str, ...]]) -> None:
    with pytest.raises(Unsupported) as caught:
        lab(["backups"], {"ssh": 1, "object-store": 2}, **{"with": "dashboard"})
    assert "no port" in caught.value.cause
    assert caught.value.remedy.startswith("./inv up --name=x-2 --with=dashboard")
    with pytest.raises(Unsupported, match="devstack installer has no backups"):
        lab([], LED, "devstack", **{"with": "backups"})
