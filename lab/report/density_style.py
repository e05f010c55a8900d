"""How an arm and a part of the account look in every plot: colour, marker and line tell the same thing three times.

Any two colours differ by at least 15 (CIE 1976, seen with deuteranopia): tests/unit/density/test_plots.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from lab.density import arm_names
from lab.density.analysis.summary import CACHE, CLOUD, Arm


@dataclass(frozen=True)
class Style:
    """One arm's ``colour``, ``marker`` and ``line``."""

    colour: str
    marker: str
    line: str | tuple[int, tuple[int, ...]]


STYLES = dict(
    zip(
        arm_names.NAMES,
        (
            Style("#99001f", "s", "-"),
            Style("#f78b6f", "D", "--"),
            Style("#8e6399", "^", "-."),
            Style("#0073bf", "o", "-"),
            Style("#65afe0", "v", "--"),
            Style("#007345", "P", "-"),
            Style("#4c1c0f", "X", ":"),
            Style("#1f9981", "*", (0, (5, 1, 1, 1))),
        ),
        strict=True,
    )
)
PARTS = {
    "guest_ram": ("guest RAM", "#99001f"),
    "guest_rest": ("guest RAM: cache, once used", "#e09292"),
    "guest_kernel": ("the guest's kernel", "#731729"),
    "vmm": ("QEMU itself", "#f78b6f"),
    "database": ("database", "#0073bf"),
    "agent": ("Trove's guest agent", "#bf8226"),
    "guest_docker": ("the guest's own Docker", "#1f9999"),
    "guest_system": ("systemd and the guest's services", "#92e0d1"),
    "shims": ("containerd shims", "#65afe0"),
    "daemons": ("Docker daemons' growth", "#a1d5f7"),
    "page_tables": ("page tables", "#731773"),
    "slab": ("kernel slab", "#796399"),
    "stacks": ("kernel stacks", "#3d004c"),
    "percpu": ("per-CPU", "#f7c3a1"),
}
RESIDUAL = ("residual, unexplained", "#32474c")
ASIDE = {
    CACHE: "QEMU's translation cache, not counted",
    CLOUD: "the cloud's services, not counted",
}
"""Parts that are shown hatched, in white: no colour of theirs is mistaken for a counted part's."""


def label(arm: Arm, *, processor: bool = False) -> str:
    """An arm's name in a plot; emulated processor figures say so."""
    return f"{arm.arm} (emulated CPU)" if processor and arm.emulated else arm.arm


def direct_labels(axes: Axes, ends: Sequence[tuple[float, float, str, str]], gap: float = 0.055) -> None:
    """Write each (x, y, text, colour) at the right edge beside its line's end, moved apart where they would touch.

    ``gap``: the least distance of two labels, as a share of the height of the axes, whose limits must be set.
    """
    low, high = axes.get_ylim()
    right = axes.get_xlim()[1]
    places = [(y - low) / (high - low) for _, y, *_ in sorted(ends, key=lambda e: e[1])]
    for at in range(1, len(places)):
        places[at] = max(places[at], places[at - 1] + gap)
    for (x, y, text, colour), place in zip(sorted(ends, key=lambda e: e[1]), places, strict=True):
        target = low + place * (high - low)
        axes.plot([x, right], [y, target], color=colour, lw=0.6, alpha=0.7, clip_on=False)
        axes.annotate(text, (right, target), (4, 0), textcoords="offset points", color=colour, fontsize=8,
                      va="center", annotation_clip=False)  # fmt: skip
