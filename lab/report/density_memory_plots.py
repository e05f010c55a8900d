"""Plots of memory: against N, the account of one more database, ratios, and what a host of some size holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lab.core.raw_rows import Row
from lab.core.units import GIB, MIB
from lab.density import arm_names
from lab.density.analysis import stats
from lab.density.analysis.stats import Estimate
from lab.density.analysis.summary import APART, Arm, Ratio
from lab.density.planning.plan import RESERVE, Planned
from lab.report import published
from lab.report.density_style import ASIDE, PARTS, RESIDUAL, STYLES, direct_labels
from lab.report.plots import Plots

SMALL = 1 / 3
"""Arms below this share of the dearest one's cost are drawn again in a panel of their own."""
FELTER_MS = (10, 20, 40)


@dataclass(frozen=True)
class Bar:
    """One line of the ratios' plot; without ``low`` and ``high`` a point that was published alone."""

    text: str
    point: float
    low: float | None
    high: float | None
    colour: str
    marker: str = "o"
    interval: bool = True
    """Whether low and high are a 95 % interval, and no range."""


class MemoryPlots(Plots):
    """Draws what a run says about memory."""

    def memory(self, engine: str, arms: Sequence[Arm]) -> None:
        """Host memory against N: all arms, and the small ones again."""
        if not arms:
            return
        figure = Figure(figsize=(9, 4.6), layout="constrained")
        panels = [("all", list(arms)), ("the small ones", _small(arms))]
        panels = [(text, some) for text, some in panels if some]
        for place, (text, some) in enumerate(panels, 1):
            axes = figure.add_subplot(1, len(panels), place)
            _ladders(axes, some)
            axes.set_title(f"Host memory by databases, {engine}: {text}", loc="left", fontsize=9)
        table = [(a.arm, r["block"], r["level"], r["lost"]) for a in arms for r in a.ladders]
        self._save(f"memory-{engine}", figure, ("arm", "block", "databases", "bytes"), table)

    def account(self, engine: str, arms: Sequence[Arm]) -> None:
        """Where one more database's memory is: shares of each arm, and the small ones in MiB."""
        if not arms:
            return
        small = _small(arms) or list(arms)
        figure = Figure(figsize=(9, 2.9 + 0.36 * (len(arms) + len(small))), layout="constrained")
        shares, zoom = figure.subplots(2, 1, height_ratios=[len(arms), len(small)])
        table = [row for arm in arms for row in _bars(shares, arm, len(arms) - 1 - arms.index(arm), 100 / _cost(arm))]
        for arm in small:
            _bars(zoom, arm, len(small) - 1 - small.index(arm), 1 / MIB)
        for axes, some in ((shares, arms), (zoom, small)):
            axes.set_yticks(range(len(some)), [a.arm for a in reversed(some)])
            least, most = axes.get_xlim()
            axes.set_xlim(least, most * 1.6)  # room for the words at the bars' ends
            axes.set_xticks([tick for tick in axes.get_xticks() if least <= tick <= most])
            axes.axvline(0, color="black", lw=0.8)
            axes.grid(visible=False, axis="y")
        shares.set_xlabel("per cent of one more database's memory; a negative residual lies left of nothing")
        shares.set_title(f"The closed account, {engine}", loc="left")
        zoom.set_xlabel("MiB of one more database")
        known: dict[str, Artist] = {}
        for axes in (shares, zoom):
            handles, texts = axes.get_legend_handles_labels()
            known.update({text: handle for text, handle in zip(texts, handles, strict=True) if text not in known})
        order = [t for t in (*(p[0] for p in PARTS.values()), RESIDUAL[0], *ASIDE.values()) if t in known]
        figure.legend(
            [known[t] for t in order], order, loc="outside lower center", ncols=3, frameon=False, fontsize=8
        )
        self._save(f"account-{engine}", figure, ("arm", "part", "bytes"), table)

    def ratios(self, engine: str, ratios: Sequence[Ratio]) -> None:
        """Our ratios and a published one of the same kind, sorted; published throughput in a panel of its own."""
        ours = [r for r in ratios if not r.emulated]
        if not ours:
            return
        bars = [_bar(r) for r in ours]
        bars.append(Bar("Boden 2014: memory per instance,\nKVM : Docker, KSM on", published.BODEN, None, None,
                        "#777777", "d"))  # fmt: skip
        bars.sort(key=lambda b: b.point)
        felter = [(limit, published.felter(limit)) for limit in FELTER_MS]
        theirs = [
            Bar(f"Felter 2014: p95 ≤ {limit} ms,\nDocker : KVM", e.point, e.low, e.high, "#777777", "d")
            for limit, e in felter
        ]
        figure = Figure(figsize=(9, 2.2 + 0.46 * (len(bars) + len(theirs))), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=[len(bars) + 0.8, len(theirs) + 0.8])
        _forest(above, bars)
        above.set_xlabel("above 1: the arm named first needs more (grey: published, another host and method)")
        above.set_title(f"Ratios, {engine}: solid 95 % interval, dotted range of few blocks", loc="left", fontsize=10)
        _forest(below, theirs)
        below.set_xlabel("above 1: the arm named first serves more transactions at that p95")
        below.set_title("Published throughput, from its ten raw runs", loc="left", fontsize=10)
        table = [(b.text.replace("\n", " "), b.point, b.low, b.high) for b in (*bars, *theirs)]
        self._save(f"ratios-{engine}", figure, ("ratio", "point", "low", "high"), table)

    def hosts(self, engine: str, plans: Sequence[tuple[float, list[Planned]]]) -> None:
        """How many databases a host of some memory holds, and the hosts for the whole fleet, one to spare."""
        figure = Figure(figsize=(9, 4.4), layout="constrained")
        holds, needed = figure.subplots(1, 2)
        table = []
        for drawn, name in enumerate(arm_names.NAMES):
            style = STYLES[name]
            some = [(size, p) for size, planned in plans for p in planned if p.arm == name and p.plan]
            rows = [
                (size, int(size * GIB * (1 - RESERVE) / max(p.bytes_each.values())), p.plan.best.hosts)
                for size, p in some
                if p.plan
            ]
            if not rows:
                continue
            sizes = [row[0] for row in rows]
            look: dict[str, Any] = {"color": style.colour, "marker": style.marker, "ls": style.line, "label": name}
            look["ms"] = 4 + 0.8 * (
                len(arm_names.NAMES) - drawn
            )  # what lies on the same hosts stays seen under the next
            holds.plot(sizes, [row[1] for row in rows], **look)
            needed.plot(sizes, [row[2] + 1 for row in rows], **look)
            table += [(name, *row, row[2] + 1) for row in rows]
        if not table:
            return
        sizes = [size for size, _ in plans]
        for axes, text in (
            (holds, "databases that one host holds"),
            (needed, "hosts for 168 databases, one to spare"),
        ):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log", base=2)
            axes.set_xticks(sizes, [f"{s:g}" for s in sizes])
            low, high = axes.get_ylim()
            ticks = [2**k for k in range(20) if low <= 2**k <= high]
            axes.set_yticks(ticks, [str(tick) for tick in ticks])
            axes.set_xlabel(f"memory of a host, GiB ({RESERVE:.0%} left to it)")
            axes.set_title(f"{text}, {engine}", loc="left", fontsize=10)
        figure.legend(
            *holds.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9
        )
        head = ("arm", "host_gib", "databases_a_host", "hosts", "hosts_with_one_to_spare")
        self._save(f"hosts-{engine}", figure, head, table)


def _small(arms: Sequence[Arm]) -> list[Arm]:
    """The arms that a plot of all leaves at its foot; none if there are none."""
    dearest = max(_cost(a) for a in arms)
    some = [a for a in arms if _cost(a) <= SMALL * dearest]
    return some if len(some) < len(arms) else []


def _cost(arm: Arm) -> float:
    slope = arm.slope
    assert slope is not None
    return slope.point


def _ladders(axes: Axes, arms: Sequence[Arm]) -> None:
    ends = []
    for arm in arms:
        style, slope = STYLES[arm.arm], arm.slope
        assert slope is not None
        points = [(r["level"], r["lost"] / MIB) for r in arm.ladders]
        axes.plot(*zip(*points, strict=True), style.marker, ms=3, alpha=0.4, color=style.colour)
        lines = [stats.line([r["level"] for r in b], [r["lost"] / MIB for r in b]) for b in _blocks(arm.ladders)]
        top = max(n for n, _ in points)
        base = sum(line.intercept for line in lines) / len(lines)
        axes.plot([0, top], [base, base + slope.point / MIB * top], color=style.colour, ls=style.line)
        low, high = ([base, base + edge / MIB * top] for edge in (slope.low, slope.high))
        axes.fill_between([0, top], low, high, color=style.colour, alpha=0.15, lw=0)
        ends.append((top, base + slope.point / MIB * top, f"{arm.arm}\n{_mib(slope)}", style.colour))
    axes.set(xlabel="databases", ylabel="host memory used, MiB", ylim=(0, None))
    axes.set_xlim(0, max(end[0] for end in ends))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    direct_labels(axes, ends, gap=0.085)


def _mib(estimate: Estimate) -> str:
    if estimate.blocks == 1:
        return f"{estimate.point / MIB:.1f}, one block"
    return f"{estimate.point / MIB:.1f} [{estimate.low / MIB:.1f}, {estimate.high / MIB:.1f}]"


def _bars(axes: Axes, arm: Arm, y: int, scale: float) -> list[tuple[str, str, int]]:
    """One arm's account in one line, negative parts to the left of nothing; gives the rows of the table."""
    cost = _cost(arm)
    parts = sorted(_split(arm).items(), key=lambda p: list(PARTS).index(p[0]))
    named = [(name, *PARTS[name], size) for name, size in parts]
    named.append(("residual", *RESIDUAL, cost - sum(size for _, size in parts)))
    ends = {True: 0.0, False: 0.0}
    for _, text, colour, size in named:
        axes.barh(y, size * scale, left=ends[size > 0], color=colour, height=0.62, label=text)
        ends[size > 0] += size * scale
    aside = [(name, text, arm.parts[name]) for name, text in ASIDE.items() if arm.parts.get(name, 0.0) > 0]
    for _, text, size in aside:
        axes.barh(y, size * scale, left=ends[True], color="white", edgecolor="#666666", hatch="////", height=0.62,
                  label=text)  # fmt: skip
        ends[True] += size * scale
    unexplained = arm.unexplained
    assert unexplained is not None
    said = f"{cost / MIB:.1f} MiB, unexplained {unexplained.point:+.1%} (worst block {arm.worst:+.1%})"
    axes.annotate(said, (ends[True], y), (5, 0), textcoords="offset points", va="center", fontsize=8)
    sizes = [*((name, size) for name, _, _, size in named), *((name, size) for name, _, size in aside)]
    return [(arm.arm, name, round(size)) for name, size in sizes]


def _bar(ratio: Ratio) -> Bar:
    estimate, style = ratio.estimate, STYLES[ratio.top]
    text = f"{ratio.what},\n{ratio.top} : {ratio.bottom}"
    interval = estimate.how != "range"
    return Bar(text, estimate.point, estimate.low, estimate.high, style.colour, style.marker, interval)


def _forest(axes: Axes, bars: Sequence[Bar]) -> None:
    axes.axvline(1, color="black", lw=1, zorder=1)
    for y, bar in enumerate(reversed(bars)):
        around = ""
        if bar.low is not None and bar.high is not None:
            line = "-" if bar.interval else ":"
            axes.plot([bar.low, bar.high], [y, y], color=bar.colour, lw=2.5, ls=line, zorder=2)
            spread = (
                f" [{bar.low:.2f}, {bar.high:.2f}]" if bar.interval else f" range {bar.low:.2f} to {bar.high:.2f}"
            )
            around = spread if bar.low < bar.high else ", one block"
        axes.plot(bar.point, y, bar.marker, color=bar.colour, ms=6, zorder=3)
        # above the line, on white: the mark at 1 goes through no figure
        axes.annotate(
            f"{bar.point:.2f}{around}", (bar.point, y), (0, 7), textcoords="offset points", fontsize=8, ha="center",
            zorder=4, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    axes.set_xscale("log")
    edges = [e for b in bars for e in (b.point, b.low, b.high) if e]
    low, high = min(*edges, 1) / 1.6, max(*edges, 1) * 1.6
    axes.set_xlim(low, high)
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50) if low < t < high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(bars)), [bar.text for bar in reversed(bars)], fontsize=8)
    axes.set_ylim(-0.6, len(bars) - 0.3)


def _blocks(rows: list[Row]) -> list[list[Row]]:
    blocks = sorted({r["block"] for r in rows})
    return [[r for r in rows if r["block"] == b] for b in blocks]


def _split(arm: Arm) -> dict[str, float]:
    """The parts that count; a guest's RAM by the guest's own account, where it was asked and has it to itself."""
    parts = {name: size for name, size in arm.parts.items() if name not in APART}
    inside = {name: size for name, size in arm.guest.items() if name in PARTS}
    if not inside or "guest_ram" not in parts:
        return parts
    inside["guest_system"] = inside.get("guest_system", 0.0) + arm.guest["other_programs"]
    inside["guest_kernel"] = arm.guest["kernel"]
    rest = parts["guest_ram"] - sum(inside.values())
    if rest < 0:  # clones share theirs
        return parts
    del parts["guest_ram"]
    return {**parts, **inside, "guest_rest": rest}
