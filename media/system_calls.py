"""Which system calls a media tool may not make, as a filter program for the kernel. No I/O.

Namespaces do not cover everything: keyrings, sockets to the machine beneath a virtual one, and the kernel's ciphers
are the same inside as outside, and much of the kernel that a tool never needs is where kernels break.
Refused calls fail with EPERM, so that a library that only asks goes on; calls of another numbering end the tool.

Standard: seccomp(2), classic BPF as in linux/filter.h; bubblewrap loads it (`--seccomp`) just before the tool starts.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_LOAD_WORD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 1  # the last carries EPERM
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT = 0, 4, 16
_OTHER_NUMBERING = 0x40000000  # x32 on x86-64: another way to every call
_KEPT_SOCKETS = (1, 2, 10)  # Unix, IPv4, IPv6: within the sandbox's own network, which reaches nothing

_CALLS: Mapping[str, tuple[int | None, int | None]] = MappingProxyType(
    {
        # another process's memory and descriptors
        "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
        "pidfd_getfd": (438, 438), "kcmp": (312, 272),
        # keyrings, which no namespace divides
        "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
        # programs, faults, counters and rings inside the kernel
        "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
        "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "fanotify_init": (300, 262),
        # mounts, namespaces, files by their handles
        "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
        "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431),
        "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "unshare": (272, 97),
        "setns": (308, 268), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
        "mknod": (133, None), "mknodat": (259, 33),
        # the machine itself
        "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
        "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
        "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
        "syslog": (103, 116), "clock_settime": (227, 112), "settimeofday": (164, 170), "adjtimex": (159, 171),
        "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
        "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "uselib": (134, None),
        "personality": (135, 92), "lookup_dcookie": (212, 18), "vhangup": (153, 58),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Processor:
    architecture: int
    socket: int
    column: int


_PROCESSORS = MappingProxyType(
    {
        "x86_64": _Processor(architecture=0xC000003E, socket=41, column=0),
        "aarch64": _Processor(architecture=0xC00000B7, socket=198, column=1),
    }
)


_SENDMSG = MappingProxyType(
    {"x86_64": 46, "aarch64": 211, "riscv64": 211, "loongarch64": 211, "ppc64le": 341, "s390x": 370}
)


def sendmsg_number(machine: str) -> int | None:
    """Give the number of sendmsg(2) on a kind of processor; None where it is not known here."""
    return _SENDMSG.get(machine)


def filter_program(machine: str) -> bytes | None:
    """Give the filter for a kind of processor (as `uname -m` names it); None where its numbers are not known here."""
    processor = _PROCESSORS.get(machine)
    return None if processor is None else b"".join(_instructions(processor))


def _instructions(processor: _Processor) -> Iterator[bytes]:
    yield _instruction(_LOAD_WORD, _AT_ARCHITECTURE)
    yield _instruction(_JUMP_EQUAL, processor.architecture, then=1)
    yield _instruction(_RETURN, _KILL)
    yield _instruction(_LOAD_WORD, _AT_NUMBER)
    yield _instruction(_JUMP_AT_LEAST, _OTHER_NUMBERING, otherwise=1)
    yield _instruction(_RETURN, _KILL)
    for numbers in _CALLS.values():
        number = numbers[processor.column]
        if number is not None:
            yield _instruction(_JUMP_EQUAL, number, otherwise=1)
            yield _instruction(_RETURN, _REFUSE)
    yield _instruction(_JUMP_EQUAL, processor.socket, then=1)
    yield _instruction(_RETURN, _ALLOW)
    yield _instruction(_LOAD_WORD, _AT_FIRST_ARGUMENT)
    for family in _KEPT_SOCKETS:
        yield _instruction(_JUMP_EQUAL, family, otherwise=1)
        yield _instruction(_RETURN, _ALLOW)
    yield _instruction(_RETURN, _REFUSE)


def _instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """Give one instruction; a jump passes over `then` instructions where it holds, else over `otherwise`."""
    return struct.pack("=HBBI", code, then, otherwise, value)
