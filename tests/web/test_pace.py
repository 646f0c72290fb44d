"""Guesses of codes get slow answers; whoever has a right code, or a visit that has begun, does not wait for them."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.web.served import Browser, Served, new_token


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
