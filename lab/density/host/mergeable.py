"""A 190-byte program for Linux on x86-64: ask for KSM (PR_SET_MEMORY_MERGE, Linux >= 6.4), then become argv[1].

Docker has no switch for it and the engine images hold no interpreter; the setting survives fork and exec.
"""

from __future__ import annotations

import struct

from lab.build import elf

PR_SET_MEMORY_MERGE = 67
_SYS_PRCTL, _SYS_EXECVE, _SYS_EXIT = 157, 59, 60


def program() -> bytes:
    """The static ELF executable; it exits with 125 where the kernel refuses and 127 where argv[1] cannot run.

    argv[1] is a full path: there is no search.
    """
    code = (
        b"\xb8" + struct.pack("<I", _SYS_PRCTL)  # mov eax, prctl
        + b"\xbf" + struct.pack("<I", PR_SET_MEMORY_MERGE)  # mov edi, option
        + b"\xbe\x01\x00\x00\x00"  # mov esi, 1
        + b"\x31\xd2\x4d\x31\xd2\x4d\x31\xc0"  # xor edx, edx; xor r10, r10; xor r8, r8
        + b"\x0f\x05"  # syscall
        + b"\xbf\x7d\x00\x00\x00"  # mov edi, 125
        + b"\x85\xc0\x75\x1d"  # test eax, eax; jnz exit
        + b"\x48\x8b\x0c\x24"  # mov rcx, [rsp] (argc)
        + b"\x48\x8d\x74\x24\x10"  # lea rsi, [rsp+16] (argv + 1)
        + b"\x48\x8d\x54\xcc\x10"  # lea rdx, [rsp+rcx*8+16] (envp)
        + b"\x48\x8b\x3e"  # mov rdi, [rsi]
        + b"\xb8" + struct.pack("<I", _SYS_EXECVE)  # mov eax, execve
        + b"\x0f\x05"  # syscall
        + b"\xbf\x7f\x00\x00\x00"  # mov edi, 127
        + b"\xb8" + struct.pack("<I", _SYS_EXIT)  # exit: mov eax, exit
        + b"\x0f\x05"  # syscall
    )  # fmt: skip
    return elf.executable(code)
