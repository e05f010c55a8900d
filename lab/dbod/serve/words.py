"""The kinds of words that bodies and answers are made of; DBOD's names where it has them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from lab.dbod.contract import CATEGORIES, DISK_MOST, NAME

TYPES = {"mariadb": "MYSQL", "postgresql": "PG"}
"""DBOD's names of engines: MariaDB stands for MySQL."""
ENGINES = {kind: name for name, kind in TYPES.items()}
Name = Annotated[str, Field(pattern=f"^{NAME}$", examples=["orders"])]
Key = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_.-]{0,63}$", examples=["buffer_pool_size"])]
Number = Annotated[int, Field(ge=1, le=2**63 - 1)]
Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Version = Annotated[str, Field(pattern=r"^[0-9a-zA-Z.-]{0,20}$")]
Memory = Annotated[int, Field(ge=64, le=1024 * 1024, description="MiB")]
Disk = Annotated[int, Field(ge=0, le=DISK_MOST, description="GiB, of data and log each; 0: the default")]
Setting = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f'\"\\]*$")]
SettingKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]*$")]


class DbType(StrEnum):
    """An engine, as DBOD names it."""

    MYSQL = "MYSQL"
    PG = "PG"


class Class(StrEnum):
    """What an instance is for."""

    PROD, REF, TEST = CATEGORIES
