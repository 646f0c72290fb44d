"""What every child does: take its inputs from descriptors, write its answer, or say in one word why it refuses.

The words are those of `media/document_refusals.py`, which knows the sentences for people.
"""

import mmap
import os
import sys
from collections.abc import Callable, Mapping

REFUSED = 3

Inputs = Mapping[str, bytes | mmap.mmap]


class Refusal(Exception):  # noqa: N818  # it is an answer, not an error
    """This file cannot be cleaned, for one reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def answer(arguments: list[str], work: Callable[[Inputs, list[str]], bytes]) -> int:
    """Run `work` over the inputs and write what it gives; a refusal becomes one word and the status 3."""
    inputs: dict[str, bytes | mmap.mmap] = {}
    plain = []
    for argument in arguments:
        name, given, descriptor = argument.partition("=")
        if given and descriptor.isdigit():
            inputs[name] = _mapped(int(descriptor))
        else:
            plain.append(argument)
    try:
        made = work(inputs, plain)
    except Refusal as refusal:
        sys.stderr.write(f"refused: {refusal.reason}\n")
        return REFUSED
    except (MemoryError, RecursionError):
        sys.stderr.write("refused: too-complex\n")
        return REFUSED
    view = memoryview(made)
    while view:
        view = view[os.write(1, view[: 1 << 20]) :]
    return 0


def _mapped(descriptor: int) -> bytes | mmap.mmap:
    """Map a sealed memory file; an empty one cannot be mapped."""
    if os.fstat(descriptor).st_size == 0:
        return b""
    return mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
