"""What a run does: engines, arms, levels, repetitions; two profiles and the checks on what a user may ask for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lab.core.errors import BadValue
from lab.core.units import GIB, MIB
from lab.density import arm_names as names
from lab.density import engine
from lab.density.host.procfs import meminfo

_UNITS = {"": 1, "k": 1024, "m": MIB, "g": GIB, "t": 1024 * GIB}
LEAST_BUDGET = 256 * MIB
OBJECTIVE_MS = 20.0
"""The objective that is the same for all arms, where no other is asked for: published runs are read at it as well."""


@dataclass(frozen=True)
class Profile:
    """Repetitions and sizes. Times in seconds; ``levels`` are N for containers and the shared server."""

    name: str
    blocks: int
    minutes: int
    levels: tuple[int, ...]
    machine_levels: tuple[int, ...]
    idle_blocks: int
    """Blocks whose ladders look at idle processor time."""
    idle_seconds: int
    load_blocks: int
    """Blocks whose ladders end with a short load."""
    window_seconds: int
    settle_seconds: int
    ksm_seconds: int
    fit_blocks: int
    knee_blocks: int
    noise_blocks: int
    knee_limit: int
    machine_knee_limit: int
    slow_tops: tuple[int, ...]
    """How many ordinary machines an emulating host boots in each block (it takes a core a minute and more each)."""
    alone_blocks: int
    """Blocks in which machines also start one by one."""
    boot_seconds: int
    """How long machines may go on booting after their database's first answer."""
    rate: int = 15
    """Transactions a second and database."""


QUICK = Profile(
    "quick", blocks=2, minutes=15, levels=(1, 2, 4, 6), machine_levels=(1, 2, 3),
    idle_blocks=1, idle_seconds=5, load_blocks=1, window_seconds=8, settle_seconds=5, ksm_seconds=15,
    fit_blocks=0, knee_blocks=1, noise_blocks=1, knee_limit=16, machine_knee_limit=2,
    slow_tops=(2, 2), alone_blocks=1, boot_seconds=60,
)  # fmt: skip
FULL = Profile(
    "full", blocks=10, minutes=60, levels=(1, 4, 6, 8, 10, 12), machine_levels=(1, 2, 3, 4, 5, 6),
    idle_blocks=3, idle_seconds=5, load_blocks=1, window_seconds=60, settle_seconds=5, ksm_seconds=20,
    fit_blocks=1, knee_blocks=5, noise_blocks=5, knee_limit=48, machine_knee_limit=12,
    slow_tops=(2, 2, 6, 2, 2, 2, 2, 2, 2, 2), alone_blocks=1, boot_seconds=60,
)  # fmt: skip
TROVE = Profile(
    "trove", blocks=2, minutes=90, levels=(1, 2, 3, 4, 6, 8), machine_levels=(1, 2, 3, 4),
    idle_blocks=2, idle_seconds=30, load_blocks=0, window_seconds=10, settle_seconds=10, ksm_seconds=20,
    fit_blocks=0, knee_blocks=0, noise_blocks=0, knee_limit=0, machine_knee_limit=0,
    slow_tops=(3, 4), alone_blocks=2, boot_seconds=60,
)  # fmt: skip
"""With an arm of Trove's, ladders alone: no budget can be enforced on a cloud's guests, and they get no load."""
TROVE_QUICK = replace(TROVE, name="trove-quick", blocks=1, minutes=45)


@dataclass(frozen=True)
class Spec:
    """One run, as asked for. ``budget`` in bytes.

    ``objective_ms``: the p95 that is asked of every arm alike, beside one relative to each arm's own alone.
    """

    engines: tuple[str, ...]
    arms: tuple[str, ...]
    budget: int
    profile: Profile
    seed: int
    objective_ms: float = OBJECTIVE_MS
    answer_seconds: float = 300.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return asdict(self)


def spec(
    engines: Sequence[str],
    arm_names: Sequence[str],
    budget: str,
    *,
    quick: bool,
    seed: int,
    objective_ms: float = OBJECTIVE_MS,
    answer_seconds: float = 300.0,
) -> Spec:
    """Check what was asked for; no arms: all that need no lab; no budget: 1 GiB (``quick``) or 2.

    Raises: Unsupported, BadValue.
    """
    arm_names = arm_names or names.BARE
    slow = bool(set(names.TROVE) & set(arm_names))
    profile = (TROVE_QUICK if quick else TROVE) if slow else (QUICK if quick else FULL)
    budget = budget or ("1GiB" if quick else "2GiB")
    engine.named(engines)
    if not engines:
        raise BadValue("engine", "", "at least one", "--engine")
    size = parse_size(budget, "--budget")
    total = meminfo()["MemTotal"]
    if size > total:
        raise BadValue("budget", budget, f"at most this machine's memory, {total / GIB:.1f} GiB", "--budget")
    if size < LEAST_BUDGET:
        raise BadValue("budget", budget, f"at least {LEAST_BUDGET // MIB} MiB", "--budget")
    if not 0 < objective_ms <= 60_000:
        raise BadValue("objective", objective_ms, "milliseconds up to a minute", "--objective")
    if not 1 <= answer_seconds <= 3600:
        raise BadValue("answer-seconds", answer_seconds, "1 to 3600 seconds", "--answer-seconds")
    return Spec(
        tuple(dict.fromkeys(engines)), names.checked(arm_names), size, profile, seed, objective_ms, answer_seconds
    )


def from_dict(data: dict[str, Any]) -> Spec:
    """The spec of a manifest."""
    known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data["profile"].items()}
    engines, arm_names = tuple(data["engines"]), tuple(data["arms"])
    return Spec(**{**data, "engines": engines, "arms": arm_names, "profile": Profile(**known)})


def parse_size(text: str, where: str) -> int:
    """``2GiB``, ``512M``, ``1073741824`` as bytes. Raises: BadValue."""
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,3})?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    if not match or float(match[1]) <= 0:
        raise BadValue("size", text, "a size such as 2GiB or 512MiB", where)
    return int(float(match[1]) * _UNITS[match[2]])
