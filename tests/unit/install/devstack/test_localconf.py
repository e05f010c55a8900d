"""local.conf: goldens for every release, the report's Listing 1, and values that must survive bash."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.config import catalog
from lab.config.rows import HYPERVISORS, Release
from lab.core.errors import BadValue, Unsupported
from lab.host.git_mirrors import GIT_BASE
from lab.install.devstack.localconf import Facts, Spec, render, render_command, sh
from tests.golden import same

ROWS = catalog.load()
RELEASES = [release for release in ROWS.releases if release.distros]
HEADER = re.compile(r"\[\[.+\|.*\]\]")  # as DevStack's inc/meta-config has it
CONTAINER = Facts(volumes=False, openvswitch=False, nofile=False, ksm=False)


def spec(release: str = "2026.1", distro: str = "", **more: object) -> Spec:
    row = ROWS.release(release)
    return Spec(row, ROWS.distro(distro or row.distros[0]), "Secret1", "Token2", **more)  # type: ignore[arg-type]


def localrc(text: str) -> str:
    """The localrc section, cut out by lines as DevStack does it."""
    lines, inside = [], False
    for line in text.split("\n"):
        if HEADER.match(line):
            inside = line.startswith("[[local|localrc]]")
        elif inside:
            lines.append(line)
    return "\n".join(lines)


def sourced(text: str, names: list[str]) -> dict[str, str]:
    """Values that bash has after reading the localrc section."""
    script = (
        'enable_plugin() { PLUGINS+="$*;"; }\n' + localrc(text) + "\nset +u\n"
        'for name in "$@"; do printf "%s\\0" "${!name}"; done'
    )
    argv = ["bash", "-c", script, "bash", *names]
    done = subprocess.run(argv, capture_output=True, check=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    assert not done.stderr, done.stderr
    return dict(zip(names, done.stdout.decode().split("\0")[:-1], strict=True))


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: r.name)
def test_golden(release: Release) -> None:
    same(f"localconf/{release.name}.conf", render(spec(release.name)))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("container", spec("2026.1", facts=CONTAINER, settings={"HOST_IP": "10.99.99.1"})),
        ("mirror", spec("kilo", git_base="/srv/git/")),
        ("nova-docker-hooks", spec("kilo", hypervisor="docker")),
        ("nova-docker-plugin", spec("mitaka", hypervisor="docker")),
        ("lxc", spec("2026.1", hypervisor="lxc")),
        (
            "driven",
            spec("2026.1", hypervisor="docker", facts=CONTAINER, settings={"HOST_IP": "10.99.99.1"}, driven=True),
        ),
        ("centos7", spec("train", "centos7")),
        ("rocky9", spec("2026.1", "rocky9")),
    ],
)
def test_golden_of_special_cases(name: str, wanted: Spec) -> None:
    same(f"localconf/{name}.conf", render(wanted))


def test_listing_1_of_the_report() -> None:
    """Every setting of the report's Listing 1, with the refs that exist today."""
    text = render(spec("icehouse", "ubuntu1404"))
    projects = ("KEYSTONE", "NOVA", "NEUTRON", "SWIFT", "GLANCE", "CINDER", "HEAT", "TROVE", "HORIZON")
    wanted = {
        **{f"{project}_BRANCH": "icehouse-eol" for project in projects},
        **dict.fromkeys(("ADMIN_PASSWORD", "DATABASE_PASSWORD", "RABBIT_PASSWORD", "SERVICE_PASSWORD"), "Secret1"),
        "SERVICE_TOKEN": "Token2",
        "LOGDAYS": "1",
        "LOGFILE": "/opt/stack/logs/stack.sh.log",
        "SCREEN_LOGDIR": "/opt/stack/logs/screen",
        "HOST_IP": "10.0.2.15",
        "FIXED_RANGE": "172.31.1.0/24",
        "FLOATING_RANGE": "192.168.56.0/25",
        "FLAT_INTERFACE": "eth1",
    }
    assert sourced(text, list(wanted)) == wanted
    assert "\nENABLED_SERVICES+=,trove,tr-api,tr-tmgr,tr-cond\n" in text
    assert {"trove", "tr-api", "tr-tmgr", "tr-cond", "n-net"} < set(
        sourced(text, ["ENABLED_SERVICES"])["ENABLED_SERVICES"].split(",")
    )


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: r.name)
def test_each_render_is_bash_and_sets_nothing_twice(release: Release) -> None:
    for distro in release.distros:
        for hypervisor in HYPERVISORS if release.nova_docker.how != "none" else ("kvm", "qemu", "lxc"):
            for facts in (Facts(), CONTAINER):
                text = render(spec(release.name, distro, hypervisor=hypervisor, facts=facts))
                names = re.findall(r"^(?:export )?([A-Z]\w*)=", localrc(text), re.MULTILINE)
                assert len(names) == len(set(names))
                assert "{" not in re.sub(r"\$\{?\w+", "", localrc(text)), "a placeholder was left"
    subprocess.run(["bash", "-n"], input=localrc(text), text=True, check=True)


def test_workarounds_only_where_the_facts_ask_for_them() -> None:
    names = ("OVS_DATAPATH_TYPE", "ULIMIT_NOFILE", "ENABLE_KSM", "userspace-ovs", "volume_support")
    assert not [name for name in names if name in render(spec())]
    assert [name for name in names if name in render(spec(facts=CONTAINER))] == list(names)
    assert "c-vol" in render(spec())
    assert "c-vol" not in render(spec(facts=Facts(volumes=False)))


def test_hypervisors_that_cannot_attach_volumes_get_no_cinder() -> None:
    for hypervisor in ("lxc", "docker"):
        text = render(spec("icehouse", hypervisor=hypervisor))
        assert "c-vol" not in text
        assert "trove_volume_support = False" in text


def test_nova_docker_does_not_run_the_script_that_hides_local_conf() -> None:
    for release in ("icehouse", "juno", "kilo", "liberty", "mitaka", "ocata"):
        text = render(spec(release, hypervisor="docker"))
        assert "VIRT_DRIVER=docker" in text
        assert "#   cp /opt/stack/nova-docker/contrib/devstack/lib/nova_plugins/hypervisor-docker" in text
        assert "#   bash" not in text
        assert ("enable_plugin nova-docker" in text) == (release in ("mitaka", "ocata"))


def test_own_settings_win() -> None:
    text = render(spec("icehouse", settings={"HOST_IP": "192.0.2.7", "http_proxy": "http://proxy:3128"}))
    assert sourced(text, ["HOST_IP", "http_proxy"]) == {"HOST_IP": "192.0.2.7", "http_proxy": "http://proxy:3128"}
    assert text.count("HOST_IP=") == 1


def test_a_mirror_serves_everything() -> None:
    text = render(spec("kilo", git_base="file:///srv/git"))
    assert "github.com" not in text
    assert "opendev.org" not in localrc(text)


# --- whatever a user gives ---------------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
PIECES = [*"'\"\\$`)\n\r\t!#;&|x =*~\x7f\x01é字\u2028\x85%", "$(", "[[a|b]]", "\n[[", "{a,b}", "\\n"]
SHELLY = st.lists(st.sampled_from(PIECES), max_size=20).map("".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(WORDS | SHELLY, min_size=1, max_size=25), st.sampled_from(["icehouse", "2026.1"]))
def test_any_value_parses_back_in_bash(values: list[str], release: str) -> None:
    wanted = {f"LAB_{i}": value for i, value in enumerate(values)}
    text = render(spec(release, settings=wanted))
    assert sourced(text, list(wanted)) == wanted
    assert sourced(text, ["ADMIN_PASSWORD"]) == {"ADMIN_PASSWORD": "Secret1"}


@settings(max_examples=200, deadline=None)
@given(WORDS | SHELLY)
def test_a_shell_word_is_one_line(value: str) -> None:
    assert "\n" not in sh(value)
    assert not HEADER.match(f"NAME={sh(value)}")


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_no_file_can_hold_is_refused(value: str) -> None:
    with pytest.raises(BadValue):
        render(spec(settings={"LAB_X": value}))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20).filter(lambda t: not re.fullmatch(r"[A-Za-z0-9]+", t)))
def test_passwords_that_devstack_cannot_carry_are_refused_unseen(value: str) -> None:
    with pytest.raises(BadValue) as caught:
        render(Spec(ROWS.release("2026.1"), ROWS.distro("debian13"), value, "Token2"))
    assert caught.value.cause == "password = '********' (local.conf) cannot be used."
    assert caught.value.remedy == "Give letters and digits only, as DevStack needs them."


@pytest.mark.parametrize("name", ["", "A B", "a", "A-B", "1A", "A=1\nB", "PATH", "EUID", "x;id"])
def test_names_that_are_no_variables_are_refused(name: str) -> None:
    with pytest.raises(BadValue):
        render(spec(settings={name: "x"}))


@pytest.mark.parametrize("url", ["", "opendev.org", "https://a b", "file://$(id)", "../git", "https://x/'", "-oX"])
def test_git_bases_that_git_cannot_take_are_refused(url: str) -> None:
    with pytest.raises(BadValue):
        render(spec(git_base=url))


def test_unknown_hypervisor() -> None:
    with pytest.raises(BadValue, match="xen"):
        render(spec(hypervisor="xen"))


# --- ./inv render ------------------------------------------------------------------------------------------


def test_render_command_prints_or_writes(tmp_path: Path) -> None:
    plugin = "enable_plugin trove https://opendev.org/openstack/trove stable/2026.1"
    assert plugin in render_command("debian13", "2026.1")
    out = tmp_path / "local.conf"
    assert str(out) in render_command("ubuntu1404", "icehouse", "qemu", str(out))
    assert out.stat().st_mode & 0o777 == 0o600
    assert "[[local|localrc]]" in out.read_text()


def test_render_command_makes_new_secrets() -> None:
    first, second = (render_command("debian13", "2026.1") for _ in range(2))
    assert first != second


def test_render_command_refuses() -> None:
    with pytest.raises(Unsupported, match=r"stack.sh of icehouse refuses debian13"):
        render_command("debian13", "icehouse")
    with pytest.raises(BadValue, match="out"):
        render_command("debian13", "2026.1", out="/proc/nowhere/local.conf")
    assert GIT_BASE.startswith("https://")
