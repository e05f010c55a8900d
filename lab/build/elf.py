"""A program as a file of Linux on x86-64, from its machine code: no compiler, no library, one segment.

Format: System V ABI, AMD64 supplement; man 5 elf.
"""

from __future__ import annotations

import struct

LOAD = 0x400000
DATA = LOAD + 64 + 56
"""Where in memory ``data`` begins: after the file's two headers, which are loaded with it."""


def executable(code: bytes, data: bytes = b"") -> bytes:
    """The file; the program starts at the beginning of ``code``, which lies behind ``data``. Nothing is writable."""
    size = DATA - LOAD + len(data) + len(code)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, DATA + len(data), 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, LOAD, LOAD, size, size, 0x1000)
    return header + segment + data + code
