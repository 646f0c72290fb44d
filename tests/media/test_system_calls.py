"""The filter of system calls refuses what its table names, and nothing else, on both kinds of processor."""

import re
import struct
from pathlib import Path

import pytest

from media.system_calls import _CALLS, filter_program

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SOCKET = {"x86_64": 41, "aarch64": 198}
READ = {"x86_64": 0, "aarch64": 63}
ALLOWED, REFUSED, KILLED = 0x7FFF0000, 0x00050001, 0x80000000


def verdict(program: bytes, architecture: int, number: int, argument: int = 0) -> int:
    """Run a filter the way the kernel does: a naive second reader of classic BPF."""
    given = struct.pack("=iIQ6Q", number, architecture, 0, argument, 0, 0, 0, 0, 0)
    held, place = 0, 0
    while True:
        code, then, otherwise, value = struct.unpack_from("=HBBI", program, place * 8)
        place += 1
        match code:
            case 0x20:
                (held,) = struct.unpack_from("=I", given, value)
            case 0x15:
                place += then if held == value else otherwise
            case 0x35:
                place += then if held >= value else otherwise
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"an unknown instruction {code}")


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_every_call_of_the_table_is_refused_and_no_other(machine: str) -> None:
    program = filter_program(machine)
    assert program is not None
    architecture, column = ARCHITECTURES[machine], list(ARCHITECTURES).index(machine)
    refused = {number for number in range(600) if verdict(program, architecture, number, argument=1) == REFUSED}
    assert refused == {numbers[column] for numbers in _CALLS.values() if numbers[column] is not None}
    assert verdict(program, architecture, READ[machine]) == ALLOWED


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_sockets_are_those_of_the_sandbox_alone(machine: str) -> None:
    program = filter_program(machine)
    assert program is not None
    kept = {
        family
        for family in range(64)
        if verdict(program, ARCHITECTURES[machine], SOCKET[machine], argument=family) == ALLOWED
    }
    assert kept == {1, 2, 10}


def test_calls_by_another_numbering_end_the_tool() -> None:
    program = filter_program("x86_64")
    assert program is not None
    assert verdict(program, 0x40000003, 3) == KILLED
    assert verdict(program, ARCHITECTURES["x86_64"], 0x40000000 + 101) == KILLED


def test_an_unknown_processor_has_no_filter() -> None:
    assert filter_program("vax") is None


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_are_those_of_the_kernel(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not installed (linux-libc-dev)")
    text = HEADERS[machine].read_text()
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)\n", text)}
    column = list(HEADERS).index(machine)
    ours = {name: numbers[column] for name, numbers in _CALLS.items() if name in known}
    assert len(ours) > 40
    assert ours == {name: known[name] for name in ours}
