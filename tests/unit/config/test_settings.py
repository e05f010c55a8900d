"""Settings: layers, origins, and every kind of bad input, tabled and generated."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lab.config import settings
from lab.config.settings import LabSpec
from lab.core.errors import BadFile, BadValue, LabError, UnknownSetting


def load(tmp_path: Path, flags: dict[str, Any] | None = None, toml: str = "", **environ: str) -> settings.Merged:
    (tmp_path / "lab.toml").write_text(toml)
    return settings.load(flags or {}, tmp_path, environ)


def test_defaults_are_valid(tmp_path: Path) -> None:
    assert load(tmp_path).spec == LabSpec()


def test_flag_beats_environment_beats_file(tmp_path: Path) -> None:
    merged = load(
        tmp_path, {"memory": "16"}, "memory = 8\ndisk = 50\ncpus = 3", TROVE_LAB_MEMORY="9", TROVE_LAB_DISK="60"
    )
    assert (merged.spec.memory, merged.spec.disk, merged.spec.cpus) == (16, 60, 3)
    assert (merged.origins["memory"], merged.origins["disk"], merged.origins["cpus"]) == (
        "flag",
        "environment",
        "lab.toml",
    )


def test_with_is_a_setting_although_python_keeps_the_word(tmp_path: Path) -> None:
    for merged in (
        load(tmp_path, {"with": "dashboard, backups,dashboard"}),
        load(tmp_path, toml='with = ["backups", "dashboard"]'),
        load(tmp_path, toml='with = "backups,dashboard"'),
        load(tmp_path, TROVE_LAB_WITH="backups,dashboard"),
    ):
        assert merged.spec.with_ == ("backups", "dashboard")
        kept = json.loads(json.dumps(settings.to_dict(merged.spec)))
        assert settings.from_dict(kept, "a manifest") == merged.spec


def test_what_labs_of_earlier_versions_recorded_of_addons_is_understood() -> None:
    assert settings.from_dict({"with": "nothing"}, "a manifest").with_ == ()
    assert settings.from_dict({"with": "backups"}, "a manifest").with_ == ("backups",)


def test_an_addon_that_there_is_not_names_the_near_one() -> None:
    with pytest.raises(BadValue) as caught:
        settings.from_dict({"with": "backups,dashbord"}, "flag")
    assert "'dashbord'" in caught.value.cause
    assert "did you mean dashboard?" in caught.value.remedy


def test_unknown_key_names_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(UnknownSetting) as caught:
        load(tmp_path, toml="memroy = 8")
    assert "'memory'" in caught.value.remedy
    assert "lab.toml" in caught.value.cause


@pytest.mark.parametrize(
    "line",
    [
        "memory = 1",
        "memory = -5",
        'memory = "lots"',
        "memory = 1.5",
        "memory = true",
        "memory = [1]",
        'memory = "99999999999999999999"',
        'name = ""',
        'name = "A"',
        'name = "../up"',
        'name = "a b"',
        'name = "a;rm"',
        "name = 7",
        'name = "abcdefghijklmnopqrstuvwxyz"',
        'provider = "vmware"',
        'provider = "Docker"',
        'datastore = "oracle"',
        'installer = ""',
        'database = "maybe"',
        "database = 2",
        'distro = "cent os"',
        'release = "$(id)"',
        'mirror = "a\\nb"',
        'with = "volume"',
        "with = true",
        "with = [1]",
    ],
)
def test_bad_values_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadValue) as caught:
        load(tmp_path, toml=line)
    assert caught.value.remedy.startswith("Give ")


@pytest.mark.parametrize("text", ["memory", "= 3", "[a", "memory = 1\nmemory = 2", "\x00", "memory = 8 9"])
def test_bad_files_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadFile):
        load(tmp_path, toml=text)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_bytes(b"\xff\xfe\x00memory")
    with pytest.raises(BadFile):
        settings.load({}, tmp_path, {})


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.lists(st.integers())
)
keys = st.one_of(st.sampled_from(list(settings.FIELDS)), st.text(max_size=12))


@hypothesis_settings(max_examples=300, deadline=None)
@given(flags=st.dictionaries(keys, values, max_size=4))
def test_whatever_is_given_ends_in_a_spec_or_a_lab_error(flags: dict[str, Any]) -> None:
    try:
        spec = settings.load(flags, Path("/nonexistent"), {}).spec
    except LabError as error:
        assert error.remedy
        assert error.exit_code not in (0, 1, 2)
    else:
        assert settings.from_dict(settings.to_dict(spec), "round trip") == spec


def test_about_names_every_setting() -> None:
    assert [row["name"] for row in settings.about()] == list(settings.FIELDS)
    assert all(row["about"] for row in settings.about())
