"""Between Invoke and the library: settings as flags, errors as one sentence, a remedy and an exit code."""

from __future__ import annotations

import errno
import functools
import inspect
import json as jsonlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import invoke.context
import invoke.tasks

from lab.config import settings
from lab.config.settings import Merged
from lab.core.errors import DiskFull, Interrupted, LabError, Unforeseen
from lab.core.home import cache
from lab.core.run_log import RUN

DEBUG = "TROVE_LAB_DEBUG"
"""Set in the environment: errors show their traceback."""


def task(body: Callable[..., Any]) -> Any:
    """An Invoke task whose LabErrors end as text on standard error and an exit code."""
    return invoke.tasks.task(_guarded(body))


def spec_task(body: Callable[..., Any]) -> Any:
    """A task that takes every setting of LabSpec as a flag and gets them merged as ``merged``.

    ``--no-X`` exists for the settings that are on by default, as Invoke makes it.
    """
    signature = inspect.signature(body)
    own = [p for p in signature.parameters.values() if p.name != "merged"]
    flags = [
        inspect.Parameter(f.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=f.default is True or None)
        for f in settings.FIELDS.values()
    ]

    @functools.wraps(body)
    def wrapper(context: invoke.context.Context, *args: Any, **kwargs: Any) -> Any:
        given = {key: kwargs.pop(f.name, None) for key, f in settings.FIELDS.items()}
        # where the default is on, Invoke gives True typed or not: --X undoes a --no-X that the lab remembers
        given = {k: None if v is True and f"--{k.replace('_', '-')}" not in sys.argv else v for k, v in given.items()}
        return body(context, *args, merged=settings.load(given, Path.cwd()), **kwargs)

    guarded = _guarded(wrapper)
    guarded.__signature__ = signature.replace(parameters=[*own, *flags])  # type: ignore[attr-defined]
    del guarded.__wrapped__  # type: ignore[attr-defined]  # else Invoke looks at the body's signature
    help_texts = {key.replace("_", "-"): _help(f.metadata) for key, f in settings.FIELDS.items()}
    return invoke.tasks.task(guarded, help=help_texts, auto_shortflags=False)


def lab_name(name: str | None) -> str:
    """The lab that a command is about: its flag, else environment, lab.toml, default."""
    return str(settings.load({"name": name}, Path.cwd()).spec.name)


def show_config(merged: Merged) -> dict[str, Any]:
    """The merged settings with their origins."""
    values = settings.to_dict(merged.spec)
    return {key: {"value": values[key], "from": merged.origins[key]} for key in values}


def emit(data: object) -> None:
    """JSON on standard output, alone."""
    print(jsonlib.dumps(data, indent=1, sort_keys=True))


def words(text: str) -> tuple[str, ...]:
    """A flag's comma-separated words."""
    return tuple(word for word in text.split(",") if word)


def folder(text: str, kind: str) -> Path:
    """The folder that a flag names, else a new one under results/."""
    return Path(text) if text else Path("results") / f"{kind}-{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}"


def reader_gone() -> NoReturn:
    """End well: the reader of a pipe has gone (``| head``), which is no error, and nothing more can be said."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _help(metadata: Mapping[str, Any]) -> str:
    choices = metadata["choices"]
    return str(metadata["about"]) + (f" ({', '.join(choices)})" if choices else "")


def _guarded(body: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(body)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        RUN.begin(sys.argv[1:])
        try:
            given = body(*args, **kwargs)
        except LabError as error:
            end(error)
        except KeyboardInterrupt:
            end(Interrupted("the same command again"))
        except BrokenPipeError:
            reader_gone()
        except Exception as error:  # noqa: BLE001  # the last net: a person gets a sentence, the log the traceback
            end(DiskFull(str(error)) if getattr(error, "errno", 0) == errno.ENOSPC else _unforeseen(error))
        else:
            RUN.add("ended", exit=0)
            return given

    return wrapper


def end(error: LabError) -> NoReturn:
    """Say what failed, record it, and end with its exit code."""
    _explain(error)
    RUN.add("ended", exit=error.exit_code, error=error.as_dict())
    sys.exit(error.exit_code)


def _unforeseen(error: Exception) -> LabError:
    folder = RUN.folder or cache() / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"crash-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    return Unforeseen(error, path)


def _explain(error: LabError) -> None:
    if os.environ.get(DEBUG):
        traceback.print_exc()
    lines = [f"error: {error.cause}", f"remedy: {error.remedy}"]
    if error.step:
        lines.append(f"step: {error.step}")
    if error.log:
        lines.append(f"log: {error.log}")
    print("\n".join([*lines, f"[{error.id}, exit code {error.exit_code}]"]), file=sys.stderr)
