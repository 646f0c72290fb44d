"""Guesses of codes get slow answers; whoever has a right code, or a visit that has begun, does not wait for them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.way_in import SETTINGS
from tests.web.served import Browser, Served, new_token, serving
from web.pace import line_of


def test_while_one_guesses_at_many_codes_at_once_others_of_the_same_address_are_served(served: Served) -> None:
    known = new_token()
    assert served.create(100, known).status == 201

    def guess(number: int) -> tuple[int, float]:
        began = time.monotonic()
        return served.ask("GET", f"/d/2222{number % 30:02}").status, time.monotonic() - began

    def send() -> float:
        began = time.monotonic()
        assert served.create(100, known).status == 201
        return time.monotonic() - began

    with ThreadPoolExecutor(24) as pool:
        guesses = [pool.submit(guess, number) for number in range(60)]
        time.sleep(1)
        assert max(send() for _ in range(5)) < 1, "a visit that has begun waits for no guess"
        began = time.monotonic()
        assert Browser(served).get(f"/d/{served.code}").status == 200
        assert time.monotonic() - began < 11
        found = [each.result() for each in guesses]
    assert {status for status, _ in found} <= {404, 429}
    slow = [took for status, took in found if status == 404]
    assert sum(slow) > 60, "sixty guesses take as long as slowed ones do"


def test_one_line_of_ipv6_is_one_caller() -> None:
    assert line_of("2001:db8:1:2::5") == line_of("2001:db8:1:2:ffff::1%eth0") != line_of("2001:db8:1:3::5")
    assert line_of("::ffff:192.0.2.7") == line_of("192.0.2.7") == "192.0.2.7" != line_of("192.0.2.8")
    assert line_of("") == "" and line_of("unix") == "unix"


def test_guesses_from_many_addresses_of_one_line_of_ipv6_are_slowed(behind_a_proxy: Served) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda host: guess_from(behind_a_proxy, f"2001:db8:7:2::{host:x}"), range(40)))
    assert {status for status, _ in found} == {404}
    assert sum(took for _, took in found) > 100 and time.monotonic() - began > 12
    assert guess_from(behind_a_proxy, "2001:db8:7:3::1")[1] < 2, "the next line is another caller"


def test_wrong_guesses_from_everywhere_become_slow_and_right_codes_do_not(behind_a_proxy: Served) -> None:
    def right(number: int) -> float:
        began = time.monotonic()
        caller = {"X-Forwarded-For": f"198.51.100.{number}"}
        assert behind_a_proxy.ask("GET", f"/d/{behind_a_proxy.code}", caller).status == 200
        return time.monotonic() - began

    with ThreadPoolExecutor(12) as pool:
        guesses = [pool.submit(guess_from, behind_a_proxy, f"2001:db8:8:{line:x}::1") for line in range(240)]
        while not all(each.done() for each in guesses[:200]):
            time.sleep(0.05)
        time.sleep(0.5)
        assert max(right(number) for number in range(10)) < 2
        found = [each.result() for each in guesses]
    assert {status for status, _ in found} == {404}
    assert max(took for _, took in found[:100]) < 2, "who mistypes when nobody guesses does not wait"
    assert sum(took > 3 for _, took in found[200:]) > 25


def guess_from(served: Served, address: str) -> tuple[int, float]:
    began = time.monotonic()
    answer = served.ask("GET", "/d/ZZZZZZ", {"X-Forwarded-For": address})
    return answer.status, time.monotonic() - began


@pytest.fixture
def behind_a_proxy(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "archive", settings=f"{SETTINGS}\n[web]\nproxies = 1\n") as served:
        yield served
