"""From raw rows to figures: everything that the report and the planner say is computed here, from the rows alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean

from lab.core.raw_rows import Row, finished, of
from lab.density.analysis import account, stats
from lab.density.analysis.account import Account
from lab.density.analysis.stats import Estimate
from lab.density.arm_names import TROVE

STATE = "dropped"
"""The state of the headline: after the page cache was emptied, so that who read a file first does not matter."""
REFERENCE = "container"
CACHE = "tcg_cache"
"""The part that only an emulated machine has."""
CLOUD = "cloud"
"""The services of the cloud that Trove's arms live in: they grow with time and with what they are asked."""
APART = (CACHE, CLOUD)
"""Parts that are measured, shown, and counted in no cost or ratio."""
OWN_SETTINGS = ("shared", *TROVE)
"""Arms whose settings differ by their nature: a larger pool, Trove's own template."""
Name = tuple[str, str]
"""(engine, arm)."""


@dataclass
class Arm:
    """Figures of one arm with one engine. Bytes, seconds, milliseconds; lists have one entry a block."""

    engine: str
    arm: str
    emulated: bool = False
    accounts: dict[int, Account] = field(default_factory=dict)
    """By block: the closed account of its ladder."""
    warm: dict[int, float] = field(default_factory=dict)
    worked: dict[int, float] = field(default_factory=dict)
    """By block: bytes per database that a short load added to the idle memory (clones diverge)."""
    idle: dict[int, float] = field(default_factory=dict)
    """By block: processor seconds per minute and database, KSM's daemon included."""
    merged: dict[int, float] = field(default_factory=dict)
    """By block: bytes per database that KSM saved."""
    guest: dict[str, float] = field(default_factory=dict)
    """Bytes per machine by the guests' own account, mean over blocks."""
    alone: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    active: list[float] = field(default_factory=list)
    """Seconds until Trove called an instance ACTIVE that was asked for alone."""
    fit: list[Row] = field(default_factory=list)
    knee: list[Row] = field(default_factory=list)
    loads: list[Row] = field(default_factory=list)
    noise: dict[str, list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    loud: int = 0
    trials: int = 0
    ladders: list[Row] = field(default_factory=list)

    @property
    def slopes(self) -> dict[int, float]:
        """By block: bytes of host memory for one more database, without the parts that are apart."""
        return {block: a.slope - sum(a.parts.get(part, 0.0) for part in APART) for block, a in self.accounts.items()}

    @property
    def slope(self) -> Estimate | None:
        """Bytes of host memory for one more database, without the parts that are apart."""
        return stats.mean(list(self.slopes.values())) if self.accounts else None

    @property
    def unexplained(self) -> Estimate | None:
        """What no part of the account explains of the raw slope, signed, by block."""
        return stats.mean([a.unexplained for a in self.accounts.values()]) if self.accounts else None

    @property
    def worst(self) -> float:
        """The block whose account leaves most unexplained, signed."""
        return max((a.unexplained for a in self.accounts.values()), key=abs, default=0.0)

    @property
    def others(self) -> Estimate | None:
        """What processes in no part took meanwhile, in bytes per database: out of the slope, and unexplained."""
        return stats.mean([a.others for a in self.accounts.values()]) if self.accounts else None

    @property
    def parts(self) -> dict[str, float]:
        """The account's parts in bytes per database, mean over blocks."""
        names = sorted({n for a in self.accounts.values() for n in a.parts})
        return {n: fmean(a.parts.get(n, 0.0) for a in self.accounts.values()) for n in names}


@dataclass(frozen=True)
class Ratio:
    """``top`` over ``bottom`` in ``what``; ``emulated`` if a processor figure of an emulator is in it."""

    what: str
    engine: str
    top: str
    bottom: str
    estimate: Estimate
    worst: float
    """The largest of the blocks' own ratios."""
    emulated: bool = False


@dataclass
class Summary:
    """A run's figures."""

    arms: dict[Name, Arm]
    ratios: list[Ratio]
    same: bool
    """Whether version, settings (but for the shared server's) and data were the same, by the servers' own word."""
    stopped: int
    """Trials that the time limit left undone."""
    withdrawn: int = 0
    """Rows under load that count in nothing: their generators had one seed."""
    settings: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    """By engine: settings that differ between arms, each arm's value as its server told it."""


def summarise(rows: list[Row]) -> Summary:
    """All figures of a run."""
    rows = finished(rows)
    done = {r["trial"] for r in of(rows, "trial", status="done")}
    arms: dict[Name, Arm] = {}
    for row in of(rows, "trial"):
        arm = arms.setdefault((row["engine"], row["arm"]), Arm(row["engine"], row["arm"]))
        arm.trials += 1
        arm.loud += bool(row["loud"])
        if row["status"] == "failed":
            arm.failed.append(f"block {row['block'] + 1}, {row['test']}: {row['why']}")
    for name, arm in arms.items():
        mine = [r for r in rows if (r.get("engine"), r.get("arm")) == name and r.get("trial") in done]
        _memory(arm, mine)
        _times(arm, mine)
        arm.fit, arm.knee, arm.loads = of(mine, "fit"), _drawn(of(mine, "knee")), _drawn(of(mine, "load"))
        for phase in ("quiet", "noisy"):
            noise = _drawn(of(mine, "noise", phase=phase))
            arm.noise[phase] = [r["pooled_p99"] for r in noise if "pooled_p99" in r]
    differ = _differ(of(rows, "settings"))
    loaded = [r for kind in ("load", "noise") for r in of(rows, kind)]
    withdrawn = len(loaded) - len(_drawn(loaded))
    return Summary(arms, list(_ratios(arms)), _same(of(rows, "identity")), _undone(rows), withdrawn, differ)


def _drawn(rows: list[Row]) -> list[Row]:
    """Rows of loads whose generators each had a seed of its own; without one all asked at the same moments."""
    return [r for r in rows if "draw" in r]


def _same(identities: list[Row]) -> bool:
    """Whether version and data are equal in every arm, and settings in those whose settings are the bench's."""
    whole = {(r["engine"], r["version"], r["data"]) for r in identities}
    settings = {(r["engine"], r["settings"]) for r in identities if r["arm"] not in OWN_SETTINGS}
    return all(len(seen) == len({one[0] for one in seen}) for seen in (whole, settings))


def _differ(told: list[Row]) -> dict[str, dict[str, dict[str, str]]]:
    """By engine and setting what the arms' servers have, where that is not the same in all."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for engine in sorted({r["engine"] for r in told}):
        arms = {r["arm"]: r["values"] for r in told if r["engine"] == engine}
        names = sorted({name for values in arms.values() for name in values})
        each = {name: {arm: values.get(name, "–") for arm, values in arms.items()} for name in names}
        found[engine] = {name: values for name, values in each.items() if len(set(values.values())) > 1}
    return found


def _undone(rows: list[Row]) -> int:
    """Trials that the last attempt's time limit left."""
    left = 0
    for row in rows:
        left = {"prepared": 0, "stopped": row.get("left", 0)}.get(row["kind"], left)
    return left


def _memory(arm: Arm, rows: list[Row]) -> None:
    rows = _last(rows)
    for block, ladder in _by_block(of(rows, "memory")).items():
        arm.emulated = bool(ladder[0]["emulated"])
        steps = [r for r in ladder if r["state"] == STATE and r["level"] > 0]
        warm = [r for r in ladder if r["state"] == "warm" and r["level"] > 0]
        if len({r["level"] for r in steps}) < 2:
            continue
        levels = [r["level"] for r in steps]
        arm.accounts[block] = account.close(levels, steps)
        arm.warm[block] = stats.line([r["level"] for r in warm], [_lost(ladder, r) for r in warm]).slope
        arm.ladders += [{**r, "lost": _lost(ladder, r)} for r in steps]
        last = steps[-1]
        if worked := [r for r in ladder if r["state"] == "worked" and "draw" in r["load"]]:
            arm.worked[block] = (_lost(ladder, worked[-1]) - _lost(ladder, last)) / last["level"]
        if last["ksm"]:
            arm.merged[block] = stats.line(levels, [r["ksm"]["saved"] for r in steps]).slope
    tops = [r for r in of(rows, "memory", state=STATE) if r["guest"].get("answered")]
    for name in sorted({n for r in tops for n in r["guest"]} - {"answered"}):
        arm.guest[name] = fmean(r["guest"].get(name, 0) / r["guest"]["answered"] for r in tops)
    for row in of(rows, "idle"):
        arm.idle[row["block"]] = (row["cpu"] + row["ksmd"]) * 60 / row["seconds"] / row["level"]


def _last(rows: list[Row]) -> list[Row]:
    """Rows without those of ladders that were taken again."""
    last = {r["trial"]: r["attempt"] for r in of(rows, "closure")}
    return [r for r in rows if r.get("attempt", 1) == last.get(r["trial"], 1)]


def _lost(ladder: list[Row], row: Row) -> int:
    """What the host lost since level 0, without other programs' memory and the parts that are apart; bytes."""
    zero = next(r for r in ladder if r["level"] == 0)
    foreign = account.others(row) - account.others(zero)
    apart = sum(row["parts"].get(part, 0) - zero["parts"].get(part, 0) for part in APART)
    return int(account.available(zero) - account.available(row) - foreign - apart)


def _times(arm: Arm, rows: list[Row]) -> None:
    for row in of(rows, "start"):
        # those of the enforced budget have a phase: memory was scarce by intent
        if not row["error"] and "phase" not in row:
            (arm.alone if row["together"] == 1 else arm.together).append(row["seconds"])
            if row["together"] == 1 and row.get("active") is not None:
                arm.active.append(row["active"])


def _ratios(arms: dict[Name, Arm]) -> Iterable[Ratio]:
    for engine in sorted({e for e, _ in arms}):
        base = arms.get((engine, REFERENCE))
        if base is None:
            continue
        for (e, name), arm in arms.items():
            if e != engine or name == REFERENCE:
                continue
            # a ratio above 1 means: the arm named first needs more
            for what, top, bottom, processor in (
                ("memory for one more database", arm.slopes, base.slopes, False),
                ("idle processor time", arm.idle, base.idle, True),
            ):
                blocks = sorted(set(top) & set(bottom))
                pairs = [(top[b], bottom[b]) for b in blocks if top[b] > 0 and bottom[b] > 0]
                if pairs:
                    estimate = stats.ratio([t for t, _ in pairs], [b for _, b in pairs])
                    worst = max(t / b for t, b in pairs)
                    yield Ratio(what, engine, name, REFERENCE, estimate, worst, processor and arm.emulated)


def _by_block(rows: list[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["block"]].append(row)
    return dict(found)
