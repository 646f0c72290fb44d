"""A process that dies in place of one of its changes to the disk, or at a step."""

import os
from collections.abc import Callable


class PowerGone(Exception):
    """The test's own crash."""


def killed_at(call: int, act: Callable[[], object]) -> bool:
    """Run `act` in a child that dies in place of its `call`-th change to the disk; tell whether it came that far."""
    child = os.fork()
    if child == 0:
        left = call

        def dying(real: Callable[..., object]) -> Callable[..., object]:
            def step(*args: object, **kwargs: object) -> object:
                nonlocal left
                left -= 1
                if left == 0:
                    os._exit(9)
                return real(*args, **kwargs)

            return step

        for name in ("rename", "replace", "fsync", "write", "unlink", "mkdir"):
            setattr(os, name, dying(getattr(os, name)))
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9
