"""The study's protocol: estimator, samples, exclusions and stopping rule, which ``protocol.toml`` says."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".toml")
_TEXT = FILE.read_bytes()
_SAID: dict[str, dict[str, Any]] = tomllib.loads(_TEXT.decode())
DIGEST = hashlib.sha256(_TEXT).hexdigest()

CONFIDENCE = float(_SAID["estimator"]["confidence"])
BLOCKS = int(_SAID["estimator"]["blocks"])
"""With fewer blocks an interval would promise more than it holds: the range is given instead."""
RUNS = int(_SAID["estimator"]["runs"])
MOMENTS = int(_SAID["sample"]["moments"])
SAMPLE_SECONDS = float(_SAID["sample"]["seconds"])
UNEXPLAINED = float(_SAID["ladder"]["unexplained"])
"""A ladder whose account leaves more than this share of its raw slope unexplained is taken again."""
ATTEMPTS = int(_SAID["ladder"]["attempts"])
LOST = float(_SAID["window"]["lost"])
CHANCE = float(_SAID["window"]["chance"])
"""Fewer transactions than Poisson arrivals give this rarely are missing, and not chance."""
