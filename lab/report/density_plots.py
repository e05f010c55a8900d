"""The density report's plots: those of memory, and here those of time: latency, starts, a noisy neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from lab.density import arm_names
from lab.density.analysis.summary import Arm, Summary
from lab.density.planning.plan import Planned
from lab.report.density_memory_plots import MemoryPlots
from lab.report.density_style import STYLES, label
from lab.report.plots import new_axes, plain


class DensityPlots(MemoryPlots):
    """Draws a run's plots, one set for each engine."""

    def all(self, engine: str, figures: Summary, plans: Sequence[tuple[float, list[Planned]]]) -> None:
        """Every plot of one engine for which there are figures."""
        arms = [figures.arms[engine, name] for name in arm_names.NAMES if (engine, name) in figures.arms]
        measured = [a for a in arms if a.accounts]
        self.memory(engine, measured)
        self.account(engine, measured)
        self._latency(engine, [a for a in arms if a.loads])
        self._starts(engine, [a for a in arms if a.alone or a.together])
        self._noise(engine, [a for a in arms if a.noise.get("quiet") and a.noise.get("noisy")])
        self.ratios(engine, [r for r in figures.ratios if r.engine == engine])
        if plans:
            self.hosts(engine, plans)

    def _latency(self, engine: str, arms: list[Arm]) -> None:
        """Worst p95 against N, every arm at the one objective; windows without a latency along the upper edge."""
        objectives = {r["objective_ms"] for a in arms for r in a.knee if not r["relative"]}
        if not arms or not objectives:
            return
        objective = max(objectives)
        lines = (len(arms) + 2) // 3
        figure = Figure(figsize=(9, 3.0 * lines + 0.4), layout="constrained")
        table = []
        top = 3 * max([objective, *(r.get("worst_p95_upper", 0) for a in arms for r in a.loads)])
        for place, arm in enumerate(arms, 1):
            axes = figure.add_subplot(lines, min(3, len(arms)), place)
            style = STYLES[arm.arm]
            seen: dict[str, list[tuple[int, float]]] = {"kept": [], "missed": [], "lost, or no data": []}
            for row in arm.loads:
                p95 = row.get("worst_p95_upper")
                failed = p95 is None or (row["missed"] and not row["missed"].startswith("worst p95"))
                verdict = "lost, or no data" if failed or p95 is None else "kept" if p95 <= objective else "missed"
                seen[verdict].append((row["n"], top / 1.5 if failed or p95 is None else p95))
                table.append((arm.arm, row["n"], row["phase"], row.get("worst_p95"), p95, verdict))
            for verdict, points in seen.items():
                if points:
                    mark: dict[str, Any] = {"marker": "x", "color": "black"}
                    if not verdict.startswith("lost"):
                        face = style.colour if verdict == "kept" else "white"
                        mark = {"marker": style.marker, "edgecolor": style.colour, "facecolor": face}
                    xs, ys = zip(*points, strict=True)
                    axes.scatter(xs, ys, s=24, label=verdict, zorder=3, **mark)
            axes.axhline(objective, color="black", lw=1, ls="--")
            axes.annotate(
                f"objective {objective:.0f} ms", (0, objective), (2, 3), textcoords="offset points", fontsize=8
            )
            axes.set_yscale("log")
            plain(axes.yaxis)
            axes.set_title(label(arm, processor=True), loc="left", fontsize=10)
            axes.set(xlabel="databases", ylabel="worst p95, ms", xlim=(0, None), ylim=(None, top))
            axes.legend(frameon=False, fontsize=8)
        head = ("arm", "databases", "phase", "worst_p95_ms", "worst_p95_upper_ms", "verdict")
        self._save(f"latency-{engine}", figure, head, table)

    def _starts(self, engine: str, arms: list[Arm]) -> None:
        if not arms:
            return
        figure, axes = new_axes()
        table = []
        for arm in arms:
            for values, line, text in ((arm.alone, "-", "alone"), (arm.together, ":", "side by side")):
                if not values:
                    continue
                style, xs = STYLES[arm.arm], sorted(values)
                shares = [(i + 1) / len(xs) for i in range(len(xs))]
                axes.step(
                    [xs[0], *xs], [0, *shares], line, where="post", color=style.colour, marker=style.marker,
                    markevery=(len(xs), len(xs)), ms=6, label=f"{label(arm, processor=True)}, {text}",
                )  # fmt: skip
                table += [(arm.arm, text, value) for value in xs]
        axes.set_xscale("log")
        plain(axes.xaxis)
        axes.set(
            xlabel="seconds from the order to the first answered query", ylabel="share of starts", ylim=(0, 1.04)
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
            style = STYLES[arm.arm]
            quiet, noisy = (sum(arm.noise[p]) / len(arm.noise[p]) for p in ("quiet", "noisy"))
            axes.plot([quiet, noisy], [y, y], color=style.colour, lw=2, alpha=0.5)
            axes.scatter([quiet], [y], s=36, marker=style.marker, facecolor="white", edgecolor=style.colour, zorder=3)
            axes.scatter([noisy], [y], s=36, marker=style.marker, color=style.colour, zorder=3)
            axes.annotate(f"×{noisy / quiet:.1f}", (max(quiet, noisy), y), (8, -4), textcoords="offset points")
            table.append((arm.arm, quiet, noisy))
        axes.set_yticks(range(len(arms)), [label(a, processor=True) for a in reversed(arms)])
        axes.set_xscale("log")
        plain(axes.xaxis)
        axes.margins(x=0.15, y=0.2)
        axes.set_xlabel("victims' pooled p99, ms: alone (hollow), beside a database at full load (filled)")
        axes.set_title(f"A noisy neighbour, {engine}", loc="left")
        self._save(f"noise-{engine}", figure, ("arm", "quiet_p99_ms", "noisy_p99_ms"), table)
