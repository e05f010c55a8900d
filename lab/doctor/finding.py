"""One finding of the doctor's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail", "info"]


@dataclass(frozen=True)
class Finding:
    """``ok``, ``info``: nothing to do; ``warn``: the lab does without; ``fail``: it does not work. ``fix`` may be
    empty."""

    id: str
    title: str
    status: Status
    detail: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """For programs."""
        return asdict(self)
