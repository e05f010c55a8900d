"""Invoke tasks: parse, call, print. No logic here."""

from __future__ import annotations

from invoke.context import Context

from lab import cli
from lab.settings import Merged


@cli.spec_task
def show_config(c: Context, merged: Merged) -> None:
    """Print every setting, its value and where that came from."""
    cli.emit(cli.show_config(merged))
