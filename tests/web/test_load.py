"""Many phones at once: nobody is refused, whoever asks is answered soon, and the server's memory stays small."""

from pathlib import Path

import pytest

from tests.web.load import run_load
from tests.web.served import Served


def test_some_phones_at_once_are_all_served(tmp_path: Path) -> None:
    served = Served(tmp_path / "var").start()
    try:
        load = run_load(served, phones=12, size=300_000, rate=250_000)
        assert load.errors == []
        assert load.memory_mib < 400
    finally:
        served.stop()


@pytest.mark.long
def test_two_hundred_phones_at_once_are_all_served(tmp_path: Path) -> None:
    served = Served(tmp_path / "var").start("--threads", "256")
    try:
        load = run_load(served, phones=200, size=5_000_000, rate=250_000)
    finally:
        served.stop()
    print(
        f"200 phones, 5 MB each at 2 Mbit/s, and one fast client: {load.seconds:.0f} s, p99 of a HEAD "
        f"{1000 * load.p99():.0f} ms, server {load.memory_mib:.0f} MiB, fast upload {load.fast_rate / 1e6:.0f} MB/s"
    )
    assert load.errors == []
    assert load.memory_mib < 400
    assert load.p99() < 0.5
