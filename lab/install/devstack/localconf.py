"""DevStack's local.conf for any release of the catalog, rendered from localconf/local.conf.j2."""

from __future__ import annotations

import dataclasses
import functools
import re
import secrets
import shlex
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from lab.config import catalog
from lab.config.rows import HYPERVISORS, Distro, Preparation, Release, Setting
from lab.core.errors import BadValue
from lab.core.resources import RESOURCES
from lab.core.secrets import ALPHABET, LENGTH
from lab.core.state import write_atomically
from lab.host.git_mirrors import GIT_BASE

TEMPLATES = RESOURCES / "localconf"
PATCHES = "/opt/stack/patches"
"""Where the lab's patches lie on the machine."""
_NAME = re.compile(r"[A-Z][A-Z0-9_]*|https?_proxy|no_proxy")
_SHELL_OWN = frozenset({"BASHOPTS", "BASHPID", "EUID", "IFS", "PATH", "PPID", "SHELLOPTS", "UID"})
_URL = re.compile(r"(https?|git|ssh|file)://[\w.@:/~%+-]+|/[\w.@:/~%+-]*")


@dataclass(frozen=True)
class Facts:
    """What probing found on the machine; the defaults are those of a virtual machine.

    ``volumes``: LVM and iSCSI work; ``openvswitch``: the kernel has the module; ``nofile``: the limit of open files
    can be raised; ``ksm``: /sys/kernel/mm/ksm can be written.
    """

    volumes: bool = True
    openvswitch: bool = True
    nofile: bool = True
    ksm: bool = True


@dataclass(frozen=True)
class Spec:
    """One local.conf. ``settings`` are the user's own and win over the catalog's.

    ``driven``: the lab runs stack.sh with it, and brings its own guests.
    """

    release: Release
    distro: Distro
    password: str
    service_token: str
    hypervisor: str = "qemu"
    git_base: str = GIT_BASE
    facts: Facts = field(default_factory=Facts)
    settings: Mapping[str, str] = field(default_factory=dict)
    driven: bool = False

    @property
    def words(self) -> frozenset[str]:
        """What the catalog's rows may ask for in ``when``."""
        # neither nova-docker nor Nova's lxc can attach a volume
        volumes = self.facts.volumes and self.hypervisor in ("kvm", "qemu")
        absent = {f"no-{name}" for name, there in dataclasses.asdict(self.facts).items() if not there}
        machine = {self.hypervisor, self.distro.name, self.distro.family, f"python{self.distro.python}"}
        machine.add("driven" if self.driven else "by-hand")
        return frozenset(machine | absent - {"no-volumes"} | {"volumes" if volumes else "no-volumes"})

    @property
    def given(self) -> dict[str, str]:
        """What stands for ``{service_token}``, ``{git_base}``, ``{trove}`` and so on in the catalog's rows."""
        return {
            "service_token": self.service_token,
            "git_base": self.git_base.rstrip("/"),
            "nova_docker": self.release.nova_docker.ref,
            "trove": self.release.trove.ref,
            "patches": PATCHES,
        }


def render(spec: Spec) -> str:
    """The text of local.conf. Raises: BadValue (a value that DevStack cannot carry)."""
    _check(spec)
    rows, name, words = catalog.load(), spec.release.name, spec.words
    settings = [
        dataclasses.replace(
            row, set={k: v.format(**spec.given) for k, v in row.set.items() if k not in spec.settings}
        )
        for row in rows.rows(rows.settings, name, words)
    ]
    plugins = [
        dataclasses.replace(row, url=row.url.format(**spec.given), ref=row.ref.format(**spec.given))
        for row in rows.rows(rows.plugins, name, words)
    ]
    template = _environment().get_template("local.conf.j2")
    return template.render(
        release=spec.release,
        distro=spec.distro,
        repositories="" if spec.driven else spec.distro.repositories,
        hypervisor=spec.hypervisor,
        password=spec.password,
        git_base=spec.given["git_base"],
        devstack_url=devstack_url(spec),
        guest_image=rows.guest_image(name),
        preparations=preparations(spec),
        services=rows.rows(rows.services, name, words),
        plugins=plugins,
        settings=[row for row in settings if row.set and not row.file],
        extra=spec.settings,
        files=_files(settings),
    )


def preparations(spec: Spec) -> list[Preparation]:
    """What must be done on the machine before stack.sh, as commands for the stack user in DevStack's directory."""
    rows = catalog.load()
    return [
        dataclasses.replace(row, run=tuple(command.format(**spec.given) for command in row.run))
        for row in rows.rows(rows.preparations, spec.release.name, spec.words)
    ]


def devstack_url(spec: Spec) -> str:
    """Where DevStack itself is cloned from; kilo's commit is only on GitHub, unless a mirror is used."""
    base = spec.given["git_base"]
    own = spec.release.devstack.url if base == GIT_BASE else ""
    return own or f"{base}/openstack/devstack"


def render_command(distro: str, release: str, hypervisor: str = "qemu", out: str = "") -> str:
    """``./inv render``: the file's text, or with ``out`` the file (mode 0600) and a line that says so.

    Secrets are made for this file. Raises: Unsupported, BadValue, DiskFull.
    """
    rows = catalog.load()
    rows.check(distro, release, "devstack", hypervisor=hypervisor)
    password, token = ("".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) for _ in range(2))
    text = render(Spec(rows.release(release), rows.distro(distro), password, token, hypervisor))
    if not out:
        return text
    try:
        write_atomically(Path(out), text, 0o600)
    except OSError as error:
        raise BadValue("out", out, f"a file that can be written ({error.strerror})", "flag") from error
    return f"wrote {out} (it holds new passwords: mode 0600)"


def sh(value: object) -> str:
    """``value`` as one shell word on one line, which bash and DevStack's line-wise inc/meta-config read back alike.

    Raises: BadValue (no shell variable can hold NUL, and files are UTF-8).
    """
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadValue("a setting", text, "text that UTF-8 can write", "local.conf") from error
    if "\0" in text:
        raise BadValue("a setting", text, "text without NUL", "local.conf")
    if not any(ord(c) < 32 or ord(c) == 127 for c in text):
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\{ord(m[0]):03o}", escaped) + "'"


def _check(spec: Spec) -> None:
    if spec.hypervisor not in HYPERVISORS:
        raise BadValue("hypervisor", spec.hypervisor, "one of " + ", ".join(HYPERVISORS), "local.conf")
    for name, value in (("password", spec.password), ("service token", spec.service_token)):
        if not re.fullmatch(r"[A-Za-z0-9]+", value):
            # DevStack puts it into URLs and sed commands as it is; the value itself is not to be shown
            raise BadValue(name, "********", "letters and digits only, as DevStack needs them", "local.conf")
    if not _URL.fullmatch(spec.git_base):
        raise BadValue("git base", spec.git_base, "a URL or an absolute path, without blanks or quotes", "local.conf")
    for name in spec.settings:
        if not _NAME.fullmatch(name) or name in _SHELL_OWN:
            raise BadValue("a setting's name", name, "a DevStack variable, such as HOST_IP", "local.conf")


def _files(settings: list[Setting]) -> list[dict[str, Any]]:
    """Rows that set options of configuration files, by file."""
    files: dict[str, list[dict[str, Any]]] = {}
    for row in settings:
        if row.file:
            options = [(*key.split("."), value) for key, value in row.set.items()]
            files.setdefault(row.file, []).append({"why": row.why, "options": options})
    return [{"path": path, "rows": rows} for path, rows in files.items()]


def _comment(text: str) -> str:
    return textwrap.fill(text, 100, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # a shell file; every value goes through sh
    )
    environment.filters.update(sh=sh, comment=_comment)
    return environment
