"""Sealers made ahead: each seals one value, for whom it was asked, whether its thread came to it or not."""

import os
import signal
import threading
import time

import pytest

from archive.age.ahead import SealersAhead
from archive.age.recipients import KeyKind, generate_identity
from archive.age.stream import ValueSealer, open_bytes
from archive.errors import LockedError

ONE, OTHER = generate_identity(KeyKind.HYBRID), generate_identity(KeyKind.HYBRID)
TO_ONE, TO_OTHER = (str(ONE.recipient),), (str(OTHER.recipient),)


def made_ahead(sealers: SealersAhead) -> ValueSealer:
    """Wait for the one that is being made."""
    assert sealers._ready is not None
    return sealers._ready[1].result(timeout=30)


def test_what_was_made_ahead_is_taken_once_and_opens() -> None:
    sealers = SealersAhead()
    sealers.prepare(TO_ONE)
    ready = made_ahead(sealers)
    taken, next_taken = sealers.take(TO_ONE), sealers.take(TO_ONE)
    assert taken is ready
    assert next_taken is not ready
    first, second = taken.seal(b"the same"), next_taken.seal(b"the same")
    assert open_bytes(first, [ONE]) == open_bytes(second, [ONE]) == b"the same"
    assert first[:100] != second[:100]  # Another file key, wrapped anew.


def test_nobody_gets_what_was_made_for_others() -> None:
    sealers = SealersAhead()
    sealers.prepare(TO_ONE)
    made_ahead(sealers)
    sealed = sealers.take(TO_OTHER).seal(b"for the other")
    assert open_bytes(sealed, [OTHER]) == b"for the other"
    with pytest.raises(LockedError):
        open_bytes(sealed, [ONE])
    sealers.prepare(TO_OTHER)  # As after a rotation of the compartment's key.
    made_ahead(sealers)
    assert open_bytes(sealers.take(TO_OTHER).seal(b"now"), [OTHER]) == b"now"


def test_where_no_thread_can_be_started_nothing_is_made_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    sealers = SealersAhead()
    sealers.prepare(TO_ONE)
    assert open_bytes(sealers.take(TO_ONE).seal(b"none the less"), [ONE]) == b"none the less"


def test_a_sealer_seals_one_value() -> None:
    sealer = ValueSealer([ONE.recipient])
    sealer.seal(b"one")
    with pytest.raises(ValueError, match="finished"):
        sealer.seal(b"two")


def test_a_child_process_gets_nothing_that_its_parent_has_too() -> None:
    sealers = SealersAhead()
    sealers.prepare(TO_ONE)
    ready = made_ahead(sealers)
    child = os.fork()
    if child == 0:
        taken = sealers.take(TO_ONE)
        sealers.prepare(TO_ONE)
        made_ahead(sealers)
        opened = open_bytes(sealers.take(TO_ONE).seal(b"in the child"), [ONE])
        os._exit(0 if taken is not ready and opened == b"in the child" else 1)
    until = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child waited for ever")
    assert ended[1] == 0
    assert sealers.take(TO_ONE) is ready
