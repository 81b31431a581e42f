"""Runs a program with the system calls and the families of addresses that a systemd unit lets it have.

    python confined.py CALLS FAMILIES PROGRAM ARGUMENT…

Both are lists with blanks. Any other call fails with EPERM. If the kernel can be asked for that, memory
that could be written can't be made executable.
"""

import ctypes
import errno
import os
import socket
import sys

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EQUAL = 4
_SET_MDWE = 65
_REFUSE_EXEC_GAIN = 1


class _Comparison(ctypes.Structure):
    """libseccomp's `struct scmp_arg_cmp`."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def confine(calls: list[str], families: list[str]) -> None:
    """Confine this process, and whatever it becomes."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    filters = ctypes.c_void_p(library.seccomp_init(_ERRNO | errno.EPERM))

    def allow(call: str, *comparisons: _Comparison) -> None:
        number = library.seccomp_syscall_resolve_name(call.encode())
        array = (_Comparison * len(comparisons))(*comparisons)
        # A negative number is that of a call which this machine does not have.
        if number >= 0 and library.seccomp_rule_add_array(filters, _ALLOW, number, len(comparisons), array):
            raise OSError(f"no rule for {call}")

    for call in calls:
        if call != "socket":
            allow(call)
    for family in families:
        allow("socket", _Comparison(0, _EQUAL, getattr(socket, family), 0))
    if library.seccomp_load(filters):
        raise OSError("the filter can't be loaded")


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_SET_MDWE, _REFUSE_EXEC_GAIN, 0, 0, 0)
    confine(sys.argv[1].split(), sys.argv[2].split())
    os.execv(sys.argv[3], sys.argv[3:])
