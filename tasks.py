"""Invoke tasks: parse, call, print. No logic here."""

from __future__ import annotations
