"""The search for the largest N that passes: geometric ramp, bisection, then N and N+1 confirmed by fresh trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Probe = Callable[[int, str], bool]
"""Tries N instances and says whether they passed; the second argument is the phase: ramp, bisect, confirm."""


@dataclass(frozen=True)
class Knee:
    """``n`` passes; ``confirmed`` if fresh trials agreed on n and n+1; ``capped`` if the limit itself passed."""

    n: int
    confirmed: bool
    capped: bool
    tried: tuple[tuple[int, bool], ...]


def find(probe: Probe, *, first: int, limit: int, confirm: int = 1) -> Knee:
    """Search 1..``limit`` from ``first`` upwards (doubling), with ``confirm`` fresh trials of both N and N+1.

    A disagreement in a confirming trial moves the answer down by one and confirms again: the smaller N is the honest
    one. ``n`` is 0 when even one instance fails.
    """
    tried: list[tuple[int, bool]] = []

    def passes(n: int, phase: str) -> bool:
        verdict = probe(n, phase)
        tried.append((n, verdict))
        return verdict

    good, bad = 0, limit + 1
    n = max(1, min(first, limit))
    while good < limit:
        if passes(n, "ramp"):
            good = n
            n = min(n * 2, limit)
        else:
            bad = n
            break
    while bad - good > 1:
        middle = (good + bad) // 2
        if passes(middle, "bisect"):
            good = middle
        else:
            bad = middle
    agreed = True
    if confirm:
        while good:
            if all(passes(good, "confirm") for _ in range(confirm)):
                break
            good -= 1
        if good < limit:
            agreed = not any(passes(good + 1, "confirm") for _ in range(confirm))
    return Knee(good, bool(confirm) and agreed and good > 0, good == limit, tuple(tried))
