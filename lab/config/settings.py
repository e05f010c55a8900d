"""What a lab should be: one frozen LabSpec, from lab.toml < environment (TROVE_LAB_*) < flags; unknown keys refused.

``auto`` means: what this host can really do, chosen by lab/config/plan.py, which says why.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from lab.config.addons import ADDONS, BY_NAME
from lab.core.errors import BadFile, BadValue, UnknownSetting

FILE = "lab.toml"
PREFIX = "TROVE_LAB_"
AUTO = "auto"
NOTHING = "nothing"
NOT_SETTINGS = frozenset({"TROVE_LAB_DEBUG", "TROVE_LAB_DEVSTACK_MIRROR"})
"""Variables of the same prefix that are about the tool or its tests, not about a lab."""


def _setting(default: Any, about: str, *, choices: tuple[str, ...] = (), pattern: str = "", low: int = 0) -> Any:
    return field(default=default, metadata={"about": about, "choices": choices, "pattern": pattern, "low": low})


_WORD = r"[a-z0-9][a-z0-9._-]{0,39}"
_NAME = r"[a-z][a-z0-9-]{0,19}"
_HOST = r"|([A-Za-z_][A-Za-z0-9_.-]{0,31}@)?([A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9a-fA-F:]+\])(:\d{1,5})?"
MUST_BE = {
    _NAME: "lower-case letters, digits and - (at most 20, a letter first)",
    _WORD: "a plain word",
    _HOST: "USER@ADDRESS or USER@ADDRESS:PORT",
}
"""What a pattern asks for, in words."""


@dataclass(frozen=True)
class LabSpec:
    """Every setting of a lab. Sizes are GiB, times seconds; a default of 0 or ``auto`` is chosen by the plan."""

    name: str = _setting("lab", "the lab's name", pattern=_NAME)
    provider: str = _setting(AUTO, "what runs the machine", choices=(AUTO, "docker", "libvirt", "virtualbox", "ssh"))
    host: str = _setting("", "a machine of yours, USER@ADDRESS or USER@ADDRESS:PORT (provider ssh)", pattern=_HOST)
    distro: str = _setting(AUTO, "the machine's distribution, by its name in ./inv releases", pattern=_WORD)
    release: str = _setting(AUTO, "the OpenStack release, icehouse to master", pattern=_WORD)
    installer: str = _setting(AUTO, "how OpenStack is installed", choices=(AUTO, "packages", "wheels", "devstack"))
    hypervisor: str = _setting(AUTO, "what runs the guests", choices=(AUTO, "kvm", "qemu", "docker", "lxc"))
    beside: str = _setting(
        NOTHING,
        "a second compute service on the same cloud: virtual machines beside --hypervisor=docker's containers",
        choices=(NOTHING, "kvm", "qemu"),
    )
    datastore: str = _setting("mariadb", "the first database's engine", choices=("mariadb", "postgresql"))
    database: bool = _setting(True, "make a first database (--no-database stops before it)")
    with_: tuple[str, ...] = _setting(
        (),
        "addons, separated by commas: "
        + "; ".join(f"{addon.name} ({addon.about})" for addon in ADDONS)
        + ". A lab keeps those that it has",
    )
    warm: bool = _setting(True, "start from a committed image if one fits (--no-warm builds everything)")
    memory: int = _setting(0, "the machine's memory, or the container's limit (0: what the installer needs)", low=6)
    cpus: int = _setting(0, "the machine's processors (0: all of the host's)")
    disk: int = _setting(0, "a virtual machine's disk (0: what the installer needs)", low=15)
    mirror: str = _setting("", "a folder made by ./inv mirror, used instead of a git server, or of the whole network")
    install: bool = _setting(True, "install what this host lacks (--no-install prints the commands and stops)")
    machine_timeout: int = _setting(300, "how long the machine may take to answer SSH", low=1)
    build_timeout: int = _setting(3600, "how long one image build may take", low=1)
    install_timeout: int = _setting(3600, "how long the OpenStack installation may take", low=1)
    service_timeout: int = _setting(300, "how long a service may take to answer", low=1)
    guest_timeout: int = _setting(900, "how long a guest may take to boot", low=1)
    database_timeout: int = _setting(1800, "how long an instance may take to be ACTIVE", low=1)


DEFAULTS = LabSpec()
FIELDS = {f.name.rstrip("_"): f for f in fields(LabSpec)}
"""Setting to field: ``with``, which Python keeps for itself, is the field ``with_``."""


@dataclass(frozen=True)
class Merged:
    """A spec and, per key, where its value came from (``default``, a file, ``environment`` or ``flag``)."""

    spec: LabSpec
    origins: Mapping[str, str]


def load(flags: Mapping[str, Any], directory: Path, environ: Mapping[str, str] | None = None) -> Merged:
    """Merge lab.toml in ``directory``, ``TROVE_LAB_*`` variables and ``flags`` (None means: not given).

    Raises: UnknownSetting, BadValue, BadFile.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(FIELDS, "default")
    layers = [
        (FILE, _from_file(directory / FILE)),
        ("environment", _from_environment(os.environ if environ is None else environ)),
        ("flag", {k: v for k, v in flags.items() if v is not None}),
    ]
    for origin, layer in layers:
        for key, value in layer.items():
            if key not in FIELDS:
                raise UnknownSetting(key, origin, difflib.get_close_matches(key, FIELDS, 2))
            values[key] = _checked(key, value, origin)
            origins[key] = origin
    return Merged(_spec(values), origins)


def about() -> list[dict[str, Any]]:
    """Every setting for ``show-config`` and the documentation: name, default, about, choices."""
    return [
        {"name": key, "default": f.default, "about": f.metadata["about"], "choices": list(f.metadata["choices"])}
        for key, f in FIELDS.items()
    ]


def from_dict(data: Mapping[str, Any], where: str) -> LabSpec:
    """A spec as a manifest holds it. Raises: UnknownSetting, BadValue."""
    for key in data:
        if key not in FIELDS:
            raise UnknownSetting(key, where, difflib.get_close_matches(key, FIELDS, 2))
    return _spec({key: _checked(key, value, where) for key, value in data.items()})


def to_dict(spec: LabSpec) -> dict[str, Any]:
    """The spec as plain values."""
    return {key: getattr(spec, f.name) for key, f in FIELDS.items()}


def _spec(values: Mapping[str, Any]) -> LabSpec:
    return LabSpec(**{FIELDS[key].name: value for key, value in values.items()})


def _from_file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadFile(
            path, str(error), "Mend the line it names; ./inv show-config prints what is understood."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(path, str(error), "It must be a readable UTF-8 file in TOML.") from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    return {
        key[len(PREFIX) :].lower(): value
        for key, value in environ.items()
        if key.startswith(PREFIX) and key not in NOT_SETTINGS
    }


def _checked(key: str, value: Any, where: str) -> Any:
    wanted, meta = FIELDS[key].default, FIELDS[key].metadata
    if isinstance(wanted, tuple):
        return _as_addons(key, value, where)
    if isinstance(wanted, bool):
        return _as_bool(key, value, where)
    if isinstance(wanted, int):
        return _as_int(key, value, meta["low"], where)
    if not isinstance(value, str):
        raise BadValue(key, value, "text", where)
    if meta["choices"] and value not in meta["choices"]:
        raise BadValue(key, value, "one of " + ", ".join(meta["choices"]), where)
    if meta["pattern"] and not re.fullmatch(meta["pattern"], value):
        raise BadValue(key, value, MUST_BE[meta["pattern"]], where)
    if "\0" in value or "\n" in value:
        raise BadValue(key, value, "text without line breaks", where)
    return value


def _as_addons(key: str, value: Any, where: str) -> tuple[str, ...]:
    """Names of addons, each once, in the table's order; ``nothing`` is what labs without any once recorded."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise BadValue(key, value, "names with commas between", where)
    named = {word.strip() for word in words} - {"", NOTHING}
    for word in sorted(named - BY_NAME.keys()):
        near = difflib.get_close_matches(word, BY_NAME, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise BadValue(key, word, f"names of {', '.join(BY_NAME)}, with commas between{hint}", where)
    return tuple(name for name in BY_NAME if name in named)


def _as_bool(key: str, value: Any, where: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise BadValue(key, value, "true or false", where)


def _as_int(key: str, value: Any, low: int, where: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,12}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadValue(key, value, "a whole number", where)
    if value == FIELDS[key].default:  # 0, where that means: chosen by the plan
        return value
    if not low <= value <= 10**9:
        raise BadValue(key, value, f"a whole number of at least {low}", where)
    return value
