"""The density report's plots."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lab.core.raw_rows import Row
from lab.density import arm_names
from lab.density.analysis import stats
from lab.density.analysis.summary import APART, CACHE, CLOUD, Arm, Ratio, Summary
from lab.density.planning.plan import Planned
from lab.report.plots import Plots, new_axes, plain

MIB = 1024 * 1024
_HUES = ("#b2182b", "#ef8a62", "#9970ab", "#2166ac", "#67a9cf", "#1b7837", "#8c510a", "#01665e")
COLOURS = dict(zip(arm_names.NAMES, _HUES, strict=True))
PARTS = {
    "guest_ram": ("guest RAM", "#b2182b"),
    "guest_rest": ("guest RAM: cache, once used", "#c9636b"),
    "guest_kernel": ("the guest's kernel", "#d6604d"),
    "vmm": ("QEMU itself", "#ef8a62"),
    "database": ("database", "#2166ac"),
    "agent": ("Trove's guest agent", "#b8860b"),
    "guest_docker": ("the guest's own Docker", "#35978f"),
    "guest_system": ("systemd and the guest's services", "#80cdc1"),
    "shims": ("containerd shims", "#67a9cf"),
    "daemons": ("Docker daemons' growth", "#d1e5f0"),
    "page_tables": ("page tables", "#762a83"),
    "slab": ("kernel slab", "#9970ab"),
    "stacks": ("kernel stacks", "#c2a5cf"),
    "percpu": ("per-CPU", "#e7d4e8"),
}
RESIDUAL = ("residual, unexplained", "#444444")
ASIDE = {
    CACHE: ("QEMU's translation cache, not counted", "#eeeeee"),
    CLOUD: ("the cloud's services, not counted", "#dfe8d0"),
}
PUBLISHED = (
    ("Boden 2014: memory per instance, KVM : Docker\n(15 MySQL, KSM on; no interval published)", 6.0, None, None),
    (
        "Felter 2014, read again: tps with p95 ≤ 20 ms, Docker : KVM\n(MySQL, closed loop; interval over 10 runs)",
        2.88,
        2.75,
        2.96,
    ),
)
"""Only figures whose raw data were read: bodenr/cloudy-docker-kvm-bench; thewmf/kvm-docker-comparison."""


def label(arm: Arm, *, processor: bool = False) -> str:
    """An arm's name in a legend; emulated processor figures say so."""
    return f"{arm.arm} (emulated CPU)" if processor and arm.emulated else arm.arm


class DensityPlots(Plots):
    """Draws a run's plots, one set for each engine."""

    def all(self, engine: str, told: Summary, rows: list[Row], plans: Sequence[tuple[float, list[Planned]]]) -> None:
        """Every plot of one engine for which there are figures."""
        arms = [told.arms[engine, name] for name in arm_names.NAMES if (engine, name) in told.arms]
        self._memory(engine, [a for a in arms if a.accounts])
        self._account(engine, [a for a in arms if a.accounts])
        self._latency(engine, arms, rows)
        self._starts(engine, [a for a in arms if a.alone or a.together])
        self._noise(engine, [a for a in arms if a.noise.get("quiet") and a.noise.get("noisy")])
        self._forest(engine, [r for r in told.ratios if r.engine == engine])
        if plans:
            self._hosts(engine, plans)

    def _memory(self, engine: str, arms: list[Arm]) -> None:
        if not arms:
            return
        figure, axes = new_axes()
        for arm in arms:
            points = [(r["level"], r["lost"] / MIB) for r in arm.ladders]
            axes.plot(*zip(*points, strict=True), "o", ms=3, alpha=0.4, color=COLOURS[arm.arm])
            lines = [stats.line([r["level"] for r in b], [r["lost"] / MIB for r in b]) for b in _blocks(arm.ladders)]
            top = max(n for n, _ in points)
            xs = [0, top]
            slope = arm.slope
            assert slope is not None
            base = sum(line.intercept for line in lines) / len(lines)
            axes.plot(xs, [base + slope.point / MIB * x for x in xs], color=COLOURS[arm.arm], label=_slope_label(arm))
            low, high = ([base + edge / MIB * x for x in xs] for edge in (slope.low, slope.high))
            axes.fill_between(xs, low, high, color=COLOURS[arm.arm], alpha=0.15, lw=0)
        axes.set(xlabel="databases", ylabel="host memory used, MiB", ylim=(0, None), xlim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(f"Host memory against the number of databases, {engine}", loc="left")
        axes.legend(title="MiB for one more", frameon=False)
        table = [(a.arm, r["block"], r["level"], r["lost"]) for a in arms for r in a.ladders]
        self._save(f"memory-{engine}", figure, ("arm", "block", "databases", "bytes"), table)

    def _account(self, engine: str, arms: list[Arm]) -> None:
        if not arms:
            return
        figure, axes = new_axes(height=1.6 + 0.55 * len(arms))
        table = []
        seen: set[str] = set()
        for y, arm in enumerate(reversed(arms)):
            left = 0.0
            slope, unexplained = arm.slope, arm.unexplained
            assert slope is not None
            assert unexplained is not None
            parts = [(name, *PARTS[name], size) for name, size in _split(arm).items()]
            order = list(PARTS)
            parts.sort(key=lambda p: order.index(p[0]))
            parts.append(("residual", *RESIDUAL, slope.point - sum(p[3] for p in parts)))
            for name, text, colour, size in parts:
                table.append((arm.arm, name, round(size)))
                if size <= 0:
                    continue
                axes.barh(y, size / MIB, left=left, color=colour, height=0.62, label=None if name in seen else text)
                seen.add(name)
                left += size / MIB
            for name, (text, colour) in ASIDE.items():
                if size := arm.parts.get(name, 0.0):
                    table.append((arm.arm, name, round(size)))
                    axes.barh(y, max(0.0, size) / MIB, left=left, color=colour, edgecolor="#999999", hatch="////",
                              height=0.62, label=None if name in seen else text)  # fmt: skip
                    seen.add(name)
                    left += max(0.0, size) / MIB
            said = f"unexplained {unexplained.point:+.1%} (worst block {arm.worst:+.1%})"
            axes.text(left, y, f"  {slope.point / MIB:.0f} MiB, {said}", va="center")
        axes.set_yticks(range(len(arms)), [a.arm for a in reversed(arms)])
        axes.set(xlabel="MiB of host memory for one more database", xlim=(0, axes.get_xlim()[1] * 1.35))
        axes.grid(visible=False, axis="y")
        axes.set_title(f"The closed account, {engine}", loc="left")
        known = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        texts = [text for text, _ in (*PARTS.values(), RESIDUAL, *ASIDE.values()) if text in known]
        figure.legend(
            [known[t] for t in texts], texts, loc="outside lower center", ncols=3, frameon=False, fontsize=9
        )
        self._save(f"account-{engine}", figure, ("arm", "part", "bytes"), table)

    def _latency(self, engine: str, arms: list[Arm], rows: list[Row]) -> None:
        found = [(a, [r for r in a.loads if "worst_p95_upper" in r]) for a in arms]
        found = [(a, loads) for a, loads in found if loads]
        if not found:
            return
        figure = Figure(figsize=(9, 3.0 * ((len(found) + 2) // 3)), layout="constrained")
        table = []
        for place, (arm, loads) in enumerate(found, 1):
            axes = figure.add_subplot((len(found) + 2) // 3, 3, place)
            for passed, face in ((True, COLOURS[arm.arm]), (False, "white")):
                some = [r for r in loads if r["passed"] is passed]
                xs, ys = [r["n"] for r in some], [r["worst_p95_upper"] for r in some]
                text = "kept" if passed else "missed"
                axes.scatter(xs, ys, s=22, facecolor=face, edgecolor=COLOURS[arm.arm], label=text, zorder=3)
            objective = max(r["objective_ms"] for r in loads)
            axes.axhline(objective, color="black", lw=1, ls="--")
            axes.annotate(
                f"objective {objective:.0f} ms", (1, objective), (2, 3), textcoords="offset points", fontsize=8
            )
            if arm.knee:
                axes.axvspan(arm.knee[-1]["n"], arm.knee[-1]["n"] + 1, color=COLOURS[arm.arm], alpha=0.2, lw=0)
            axes.set_yscale("log")
            plain(axes.yaxis)
            axes.set_title(label(arm, processor=True), loc="left", fontsize=10)
            axes.set(xlabel="databases", ylabel="worst p95, ms", xlim=(0, None))
            axes.legend(frameon=False, fontsize=8)
            table += [(arm.arm, r["n"], r["phase"], r["worst_p95"], r["worst_p95_upper"], r["passed"]) for r in loads]
        head = ("arm", "databases", "phase", "worst_p95_ms", "worst_p95_upper_ms", "passed")
        self._save(f"latency-{engine}", figure, head, table)

    def _starts(self, engine: str, arms: list[Arm]) -> None:
        if not arms:
            return
        figure, axes = new_axes()
        table = []
        for arm in arms:
            for values, style, text in ((arm.alone, "-", "alone"), (arm.together, ":", "side by side")):
                if not values:
                    continue
                xs = sorted(values)
                shares = [(i + 1) / len(xs) for i in range(len(xs))]
                name = f"{label(arm, processor=True)}, {text}"
                axes.step([xs[0], *xs], [0, *shares], style, where="post", color=COLOURS[arm.arm], label=name)
                table += [(arm.arm, text, value) for value in xs]
        axes.set_xscale("log")
        plain(axes.xaxis)
        axes.set(
            xlabel="seconds from the order to the first answered query", ylabel="share of starts", ylim=(0, 1.02)
        )
        axes.set_title(f"Time to the first query, {engine}", loc="left")
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        self._save(f"start-{engine}", figure, ("arm", "how", "seconds"), table)

    def _noise(self, engine: str, arms: list[Arm]) -> None:
        if not arms:
            return
        figure, axes = new_axes(height=0.9 + 0.45 * len(arms))
        table = []
        for y, arm in enumerate(reversed(arms)):
            quiet, noisy = (sum(arm.noise[p]) / len(arm.noise[p]) for p in ("quiet", "noisy"))
            axes.plot([quiet, noisy], [y, y], color=COLOURS[arm.arm], lw=2, alpha=0.5)
            axes.scatter([quiet], [y], s=36, facecolor="white", edgecolor=COLOURS[arm.arm], zorder=3)
            axes.scatter([noisy], [y], s=36, color=COLOURS[arm.arm], zorder=3)
            axes.annotate(f"×{noisy / quiet:.1f}", (max(quiet, noisy), y), (8, -4), textcoords="offset points")
            table.append((arm.arm, quiet, noisy))
        axes.set_yticks(range(len(arms)), [label(a, processor=True) for a in reversed(arms)])
        axes.set_xscale("log")
        plain(axes.xaxis)
        axes.margins(x=0.15, y=0.2)
        axes.set_xlabel("victims' pooled p99, ms: alone (hollow), beside a database at full load (filled)")
        axes.set_title(f"A noisy neighbour, {engine}", loc="left")
        self._save(f"noise-{engine}", figure, ("arm", "quiet_p99_ms", "noisy_p99_ms"), table)

    def _forest(self, engine: str, ratios: list[Ratio]) -> None:
        ours = [r for r in ratios if not r.emulated]
        if not ours:
            return
        lines: list[tuple[str, float, float | None, float | None, str]] = [
            (f"{r.what},\n{r.top} : {r.bottom}", r.estimate.point, r.estimate.low, r.estimate.high, COLOURS[r.top])
            for r in ours
        ]
        lines += [(text, point, low, high, "#777777") for text, point, low, high in PUBLISHED]
        figure, axes = new_axes(height=1.0 + 0.5 * len(lines))
        for y, (_, point, low, high, colour) in enumerate(reversed(lines)):
            if low is not None and high is not None:
                axes.plot([low, high], [y, y], color=colour, lw=2.5, alpha=0.6)
            axes.plot(point, y, "o" if low is not None else "D", color=colour, ms=6)
            around = f" [{low:.2f}, {high:.2f}]" if low is not None else ""
            axes.annotate(f"{point:.2f}{around}", (high or point, y), (8, -4), textcoords="offset points", fontsize=9)
        axes.axvline(1, color="black", lw=1)
        axes.set_xscale("log")
        ticks = [
            t
            for t in (0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20)
            if 0.5 * min(p[1] for p in lines) < t < 2.5 * max(p[1] for p in lines)
        ]
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
        axes.set_yticks(range(len(lines)), [text for text, *_ in reversed(lines)], fontsize=8)
        axes.margins(x=0.25, y=0.1)
        axes.set_xlabel("ratio (grey: published, other hosts and methods)")
        axes.set_title(f"Ratios, {engine}", loc="left")
        table = [(text.replace("\n", " "), point, low, high) for text, point, low, high, _ in lines]
        self._save(f"ratios-{engine}", figure, ("ratio", "point", "low", "high"), table)

    def _hosts(self, engine: str, plans: Sequence[tuple[float, list[Planned]]]) -> None:
        figure, axes = new_axes()
        table = []
        for drawn, name in enumerate(arm_names.NAMES):
            width = 1.1 * (len(arm_names.NAMES) - drawn)  # what lies on the same hosts stays seen under the next
            points = [
                (size, p.plan.best.hosts) for size, planned in plans for p in planned if p.arm == name and p.plan
            ]
            if points:
                axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[name], label=name, lw=width, ms=width + 4)
                table += [(name, size, hosts) for size, hosts in points]
        if not table:
            return
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        sizes = [size for size, _ in plans]
        axes.set_xticks(sizes, [f"{s:g}" for s in sizes])
        most = max(h for *_, h in table)
        ticks = [2**k for k in range(12) if 2**k <= most * 1.5]
        axes.set_yticks(ticks, [str(t) for t in ticks])
        axes.set(xlabel="memory of one host, GiB (a tenth is left to the host)", ylabel="hosts needed")
        axes.set_title(f"Hosts for 168 databases by memory, {engine}", loc="left")
        axes.legend(frameon=False)
        self._save(f"hosts-{engine}", figure, ("arm", "host_gib", "hosts"), table)


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


def _slope_label(arm: Arm) -> str:
    slope = arm.slope
    assert slope is not None
    return f"{arm.arm}: {slope.point / MIB:.0f} [{slope.low / MIB:.0f}, {slope.high / MIB:.0f}]"
