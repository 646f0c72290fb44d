"""Compressed pages: any browser reads them, and no secret in them weighs on how long they are."""

import gzip
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.served import Browser, serving
from tests.web.test_handing_over import send, token_in
from tests.web.test_tus import content
from web.compression import compressed

PAGE = b'<p>%s</p><input type="hidden" name="csrf_token" value="%s"><p>after it</p>'


@given(st.lists(st.binary(max_size=200), max_size=4), st.binary(max_size=300))
def test_what_was_compressed_reads_back(secrets: list[bytes], rest: bytes) -> None:
    fields = b"".join(b'<input type="hidden" name="a" value="%s">' % secret for secret in secrets)
    assert gzip.decompress(compressed(rest + fields + rest)) == rest + fields + rest


def test_a_long_value_reads_back() -> None:
    page = PAGE % (b"", b"x" * 200_000)
    assert gzip.decompress(compressed(page)) == page


@given(st.text("abcdef0123456789", min_size=16, max_size=16), st.text("abcdef0123456789", min_size=16, max_size=16))
def test_a_guess_beside_a_secret_weighs_the_same_right_or_wrong(secret: str, guess: str) -> None:
    """What BREACH measures: the same words beside the secret that they match, and beside one that they do not."""
    words = b'value="%s"' % guess.encode()
    right, wrong = (len(compressed(PAGE % (words, each.encode()))) for each in (guess, secret))
    assert right == wrong


def test_only_pages_without_other_secrets_are_compressed(tmp_path_factory: pytest.TempPathFactory) -> None:
    asks = {"Accept-Encoding": "gzip"}
    with serving(tmp_path_factory.mktemp("light") / "var") as served:
        for path in (f"/d/{served.code}", "/check", "/safety", "/help/iphone"):
            answer = served.ask("GET", path, asks)
            assert answer.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in answer.headers["Vary"]
            page = gzip.decompress(answer.body)
            for secret in re.findall(rb'type="hidden"[^>]* value="([^"]+)"', page):
                assert secret in answer.body, "it stands in the answer as it is, not compressed"
            assert "Content-Encoding" not in served.ask("GET", path).headers, "who does not ask for it gets it plain"
        browser = Browser(served)
        assert token_in(gzip.decompress(browser.get(f"/d/{served.code}", **asks).body).decode())
        browser = send(served, [("a.bin", content(2000, 5))])
        for path in ("/receipt", "/receipt.json", "/r", "/r/me", "/d", "/d/ZZZZZZ"):
            assert "Content-Encoding" not in browser.get(path, **asks).headers, path
