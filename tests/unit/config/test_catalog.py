"""The catalog: every row loads, bad rows and bad pairs are refused with what works."""

from __future__ import annotations

import ast
import dataclasses
import io
import json
import re
from itertools import product
from pathlib import Path

import pytest
from rich.console import Console

from lab.config import catalog, matrix, plan, schema, settings
from lab.config.rows import FACTS, Release
from lab.core.errors import BadFile, LabError, Unsupported
from lab.core.resources import RESOURCES
from lab.doctor import hardware

ROWS = catalog.load()
RELEASES = (
    "icehouse juno kilo liberty mitaka newton ocata pike queens rocky stein train ussuri victoria wallaby xena yoga "
    "zed 2023.1 2023.2 2024.1 2024.2 2025.1 2025.2 2026.1 2026.2 master"
)
DEVSTACK = [release for release in ROWS.releases if release.distros]
RELEASE = {"packages": "2025.1", "wheels": "2026.2", "devstack": "2026.1"}
"""One for each installer."""
DISTROS = (
    "ubuntu1404 ubuntu1604 ubuntu1804 ubuntu2004 ubuntu2204 ubuntu2404 ubuntu2604 centos7 centos-stream9 "
    "centos-stream10 rocky9 rocky10 debian12 debian13"
)


def test_every_release_and_distribution_has_a_row() -> None:
    assert " ".join(r.name for r in ROWS.releases) == RELEASES
    assert " ".join(d.name for d in ROWS.distros) == DISTROS


@pytest.mark.parametrize("release", DEVSTACK, ids=lambda r: r.name)
def test_refs_are_whole(release: Release) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", release.devstack.commit)
    assert re.fullmatch(r"[0-9a-f]{40}", release.trove.commit)
    assert (release.nova_docker.how in ("lab", "none")) == (release.nova_docker.commit == "")
    assert {"KEYSTONE_BRANCH", "NOVA_BRANCH", "REQUIREMENTS_BRANCH"} < set(release.branches)
    if release.state == "end of life":
        alive = {ref for ref in release.branches.values() if not ref.endswith("-eol")}
        assert alive <= {"stable/2024.2"}, "python-troveclient alone still has a branch of 2024.2"


def test_mixed_refs() -> None:
    yoga = ROWS.release("yoga")
    assert (yoga.devstack.ref, yoga.branches["NOVA_BRANCH"]) == ("unmaintained/yoga", "unmaintained/yoga")
    assert (yoga.trove.ref, yoga.branches["TROVE_CLIENT_BRANCH"]) == ("yoga-eol", "yoga-eol")


def test_every_release_has_a_distribution_and_a_machine() -> None:
    for release in ROWS.releases:
        for distro in release.distros:
            assert ROWS.distro(distro).providers, distro


def test_scripts_that_rows_name_are_there() -> None:
    for distro in ROWS.distros:
        assert not distro.repositories or (RESOURCES / distro.repositories).is_file()


def test_a_checksum_is_one() -> None:
    boxes = [box for distro in ROWS.distros for box in distro.boxes]
    assert all(re.fullmatch(r"([0-9a-f]{64})?", box.sha256) for box in boxes)


REFUSALS = {
    ("ubuntu1404", "2026.1", "devstack", "", ""): (
        "DevStack's stack.sh of 2026.1 refuses ubuntu1404.",
        "2026.1 works on debian13, debian12, ubuntu2404, centos-stream9, centos-stream10, rocky9 or rocky10; "
        "ubuntu1404 takes icehouse, juno, kilo, liberty, mitaka, newton or ocata.",
    ),
    ("debian12", "2025.1", "packages", "", ""): (
        "The packages installer has no OpenStack 2025.1 on debian12.",
        "It has 2025.1 on debian13; ./inv releases shows what --installer=devstack has.",
    ),
    ("centos7", "train", "devstack", "docker", ""): (
        "Provider docker has no machine of centos7.",
        "centos7 runs under libvirt or virtualbox; docker has debian12 or debian13.",
    ),
    ("debian12", "2024.1", "devstack", "docker", "docker"): (
        "There is no Nova driver for Docker in 2024.1.",
        "There is one in icehouse, juno, kilo, liberty, mitaka, ocata, 2025.1, 2025.2 or 2026.1; "
        "for 2024.1 give --hypervisor=kvm, qemu or lxc.",
    ),
    ("debian13", "2025.1", "wheels", "", ""): (
        "The wheels installer has no OpenStack 2025.1 on debian13.",
        "It has 2026.1 or 2026.2 on debian13; ./inv releases shows what the others have.",
    ),
    ("debian13", "2026.2", "devstack", "", ""): (
        "The lab does not know DevStack's branch of 2026.2 yet.",
        "./inv up --release=2026.2 takes it from PyPI; ./inv releases --distro=debian13 has the others.",
    ),
    ("debian13", "2026.1", "rpm", "", ""): ("There is no installer 'rpm'.", "Give packages, wheels or devstack."),
    ("debian13", "2026.1", "devstack", "vmware", ""): (
        "There is no provider 'vmware'.",
        "Give docker, libvirt, virtualbox or ssh.",
    ),
}


@pytest.mark.parametrize("bad", REFUSALS, ids=" ".join)
def test_bad_pairs_are_refused_with_what_works(bad: tuple[str, str, str, str, str]) -> None:
    with pytest.raises(Unsupported) as caught:
        ROWS.check(*bad)
    assert (caught.value.cause, caught.value.remedy) == REFUSALS[bad]


def test_every_pair_is_accepted_or_refused_and_what_is_named_works() -> None:
    for distro in ROWS.distros:
        for release in ROWS.releases:
            for installer in ROWS.installers:
                try:
                    ROWS.check(distro.name, release.name, installer)
                except Unsupported:
                    assert distro.name not in ROWS.distros_for(release.name, installer)
                else:
                    assert release.name in ROWS.releases_on(distro.name, installer)


@pytest.mark.parametrize(
    ("name", "near"), [("icehose", "icehouse"), ("2026.3", "2026.2"), ("Zed", "zed"), ("", None), ("\0", None)]
)
def test_unknown_release_names_the_near_one(name: str, near: str | None) -> None:
    with pytest.raises(Unsupported) as caught:
        ROWS.release(name)
    assert repr(name) in caught.value.cause
    assert ("Did you mean" in caught.value.remedy) == bool(near)
    assert near is None or f"Did you mean {near}?" in caught.value.remedy


def test_unknown_distro() -> None:
    with pytest.raises(Unsupported, match="no distribution 'debian31'") as caught:
        ROWS.distro("debian31")
    assert "Did you mean debian13?" in caught.value.remedy


def test_ranges_include_both_ends() -> None:
    rows = [dataclasses.replace(ROWS.guest_images[0], why="x", since="kilo", until="mitaka", when=("qemu",))]
    held = [r.name for r in ROWS.releases if ROWS.rows(tuple(rows), r.name, frozenset({"qemu", "debian"}))]
    assert held == ["kilo", "liberty", "mitaka"]
    assert not ROWS.rows(tuple(rows), "kilo", frozenset({"kvm"}))


def test_one_guest_image_story_for_each_release() -> None:
    for release in ROWS.releases:
        assert len(ROWS.rows(ROWS.guest_images, release.name)) == 1


def test_no_setting_comes_from_two_rows() -> None:
    """Rows that both hold must not set the same thing: the order of rows would decide."""
    for release in ROWS.releases:
        for word, who in product(("kvm", "qemu", "docker", "lxc"), ("driven", "by-hand")):
            words = frozenset({word, "centos7", "el", "python3.9", *FACTS} - {"volumes", "driven", "by-hand"} | {who})
            names = [(row.file, n) for row in ROWS.rows(ROWS.settings, release.name, words) for n in row.set]
            assert len(names) == len(set(names)), release.name


BROKEN = {
    "unknown key": ('python = "3.13"', 'pyton = "3.13"', "unknown key 'pyton' (perhaps 'python')"),
    "unknown state": ('state = "development"', 'state = "dead"', "'dead', not one of"),
    "wrong type": ("memory = 12", 'memory = "12"', "'12', not of type int"),
    "missing key": ('token = "trixie"\n', "", "lacks 'token'"),
    "no such release": ('packages = "2025.1"', 'packages = "zod"', "names release 'zod', which has no row"),
    "no such distribution": ('distro = "debian13"', 'distro = "debian14"', "names distribution 'debian14'"),
    "no such machine": ('when = ["no-ksm"]', 'when = ["no-kms"]', "asks for 'no-kms', which no machine can be"),
    "doubled": ('name = "rocky10"', 'name = "rocky9"', "distribution 'rocky9' has two rows"),
    "shell in an option": ('"DEFAULT.trove_volume_support" = "False"', '"DEFAULT.x" = "$(id)"', "plain value"),
    "not TOML": ('name = "master"', "name = master", "Invalid value"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_catalog_is_refused_by_name(name: str, tmp_path: Path) -> None:
    old, new, says = BROKEN[name]
    text = catalog.FILE.read_text()
    assert old in text
    path = tmp_path / "catalog.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BadFile) as caught:
        catalog.load(path)
    assert str(path) in caught.value.cause
    assert says in caught.value.cause


def test_a_missing_catalog_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile):
        catalog.load(tmp_path / "absent.toml")


def test_schema_takes_no_bool_for_an_int() -> None:
    @dataclasses.dataclass(frozen=True)
    class Row:
        size: int

    with pytest.raises(schema.SchemaError, match=r"here\.size is True, not of type int"):
        schema.build(Row, {"size": True}, "here")


def test_matrix_has_every_pair_once() -> None:
    pairs = matrix.pairs()
    keys = [(p.release, p.distro, p.installer) for p in pairs]
    assert (
        len(keys)
        == len(set(keys))
        == sum(len(r.distros) for r in ROWS.releases) + 1 + len(ROWS.installers["wheels"].locks)
    )
    assert json.loads(json.dumps(matrix.as_json(pairs)))[0]["distro"] == "ubuntu1404"
    for pair in pairs:
        ROWS.check(pair.distro, pair.release, pair.installer)
        assert (pair.proven, pair.note) == ROWS.proof(pair.distro, pair.release, pair.installer)


def test_matrix_table_has_every_release() -> None:
    first = [str(cell) for cell in matrix.table(matrix.pairs()).columns[0].cells]
    assert set(first) == set(RELEASES.split())


def test_matrix_is_of_one_distribution_or_release_if_asked() -> None:
    assert {pair.distro for pair in matrix.pairs("centos-7")} == {"centos7"}
    assert {pair.release for pair in matrix.pairs(release="2025.1")} == {"2025.1"}
    with pytest.raises(Unsupported, match="havana"):
        matrix.pairs(release="havana")


def test_matrix_table_can_be_read_in_80_columns() -> None:
    console = Console(width=80, file=io.StringIO())
    console.print(matrix.table(matrix.pairs()))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_was_parsed_is_what_the_catalog_says() -> None:
    """docs/devstack-parsed.md is written by tests/integration/install/devstack/test_parses.py."""
    table = (RESOURCES / "docs/devstack-parsed.md").read_text().partition("<!-- results -->\n")[2].splitlines()
    assert table == [
        f"| {r.name} | {r.devstack.ref} | {r.devstack.commit} | {r.trove.ref} | {r.trove.commit} "
        f"| {', '.join(r.distros)} |"
        for r in DEVSTACK
    ]


def test_errors_say_how_to_go_on() -> None:
    with pytest.raises(LabError) as caught:
        ROWS.check("ubuntu1404", "master", "devstack")
    assert caught.value.exit_code == 13


def test_every_column_of_the_catalogue_is_read_by_somebody() -> None:
    """Data that no code obeys promise what is not there."""
    package = RESOURCES / "lab"
    columns = {
        node.target.id
        for row in ast.parse((package / "config/rows.py").read_text()).body
        if isinstance(row, ast.ClassDef)
        for node in row.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    read = {
        node.attr
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    assert columns - read == set()


@pytest.mark.parametrize("name", ROWS.installers)
def test_plan_doctor_and_readme_say_the_same_sizes(name: str) -> None:
    row = ROWS.installers[name]
    yes = (True, "")
    spec = settings.load({"installer": name, "release": RELEASE[name]}, Path("/"), {})
    decided = plan.decide(spec.spec, {}, plan.Facts(yes, yes, yes, (False, "")))
    assert (decided.spec.memory, decided.spec.disk) == (row.memory, row.disk)
    assert {choice.setting for choice in decided.choices} >= {"memory", "disk"}
    if name == "packages":
        assert f"may use {row.memory}" in hardware.memory(row.memory).detail
        assert f"{row.room} GiB of free disk" in " ".join((RESOURCES / "README.md").read_text().split())
