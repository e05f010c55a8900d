"""The knee search against servers whose knee is known."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.density.measure import knee


@given(st.integers(0, 100), st.integers(1, 10), st.integers(1, 100))
def test_a_sharp_knee_is_found_exactly(true: int, first: int, limit: int) -> None:
    asked: list[int] = []

    def probe(n: int, _: str) -> bool:
        asked.append(n)
        return n <= true

    got = knee.find(probe, first=first, limit=limit)
    assert got.n == min(true, limit)
    assert got.capped == (true >= limit)
    assert got.confirmed == (got.n > 0)
    assert all(1 <= n <= limit for n in asked)
    assert len(asked) <= 2 * max(1, limit).bit_length() + 4


def test_n_and_n_plus_1_are_tried_again_afresh() -> None:
    seen: list[tuple[int, str]] = []

    def probe(n: int, phase: str) -> bool:
        seen.append((n, phase))
        return n <= 5

    assert knee.find(probe, first=2, limit=32) == knee.Knee(5, True, False, tuple((n, n <= 5) for n, _ in seen))
    assert [(n, p) for n, p in seen if p == "confirm"] == [(5, "confirm"), (6, "confirm")]


def test_a_lucky_pass_is_taken_back() -> None:
    """6 passes once and never again: the answer is the 5 that confirms."""
    lucky = [True]

    def probe(n: int, phase: str) -> bool:
        if n == 6 and phase != "confirm" and lucky:
            return lucky.pop()
        return n <= 5

    got = knee.find(probe, first=6, limit=8)
    assert got.n == 5
    assert got.confirmed


def test_a_neighbour_that_passes_after_all_leaves_the_knee_unconfirmed() -> None:
    def probe(n: int, phase: str) -> bool:
        return n <= 4 or (n == 5 and phase == "confirm")

    got = knee.find(probe, first=4, limit=16)
    assert (got.n, got.confirmed) == (4, False)


@pytest.mark.parametrize("seed", range(5))
def test_a_queue_with_noise_is_found_near_its_knee(seed: int) -> None:
    """An M/M/1 server with room for 20: the chance to miss the objective rises with use."""
    noise = random.Random(seed)

    def probe(n: int, _: str) -> bool:
        use = n * 0.045
        return use < 1 and 5 / (1 - use) * noise.uniform(0.9, 1.1) <= 50

    assert 17 <= knee.find(probe, first=2, limit=64).n <= 21
