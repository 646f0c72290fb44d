"""Hostile text through every field and header: never an error of ours, never a script in a page, and what is kept reads
back the same."""

import base64
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException

from archive.catalogue.items import list_items
from commands.drop_rooms import DropRooms
from commands.serving import application
from ingest.droplinks import Terms
from ingest.entering import safe_text
from tests.conftest import CorpusFinder
from tests.way_in import WayIn
from tests.web.served import TUS, new_token
from tests.web.test_handing_over import multipart, token_in

_WRONG_CODES = 60


class Door:
    """The application in this process, over a small archive."""

    def __init__(self, home: Path) -> None:
        self.archive = WayIn(home)
        self.drop = DropRooms(self.archive.rooms)
        self.app = application(self.archive.rooms, self.drop)
        _, self.code = self.drop.links.give(self.archive.actor, self.archive.raid.number, Terms())
        self._callers = 0

    def client(self) -> FlaskClient:
        return self.app.test_client()

    @property
    def caller(self) -> dict[str, str]:
        """Another address each time, or wrong guesses would be slowed."""
        self._callers += 1
        return {"REMOTE_ADDR": f"10.0.{self._callers // 250 % 250}.{self._callers % 250}"}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with pytest.MonkeyPatch.context() as patched:
        # Thousands of wrong codes are tried here; that they become slow has its own tests.
        patched.setattr("web.pace._FREE_OVERALL", math.inf)
        door = Door(tmp_path_factory.mktemp("hostile") / "var")
        yield door
        door.drop.close()
        door.archive.rooms.close()


@pytest.fixture(scope="module", params=[9, pytest.param(1, marks=pytest.mark.long)], ids=["some", "all"])
def strings(corpus: CorpusFinder, request: pytest.FixtureRequest) -> list[str]:
    texts: set[str] = set(json.loads((corpus("naughty-strings") / "blns.json").read_text(encoding="utf-8")))
    for path in sorted(corpus("web-attack-strings").rglob("*.txt")):
        if path.name != "COPYRIGHT.txt":
            texts |= set(path.read_text(encoding="utf-8", errors="surrogateescape").splitlines())
    return sorted(texts)[:: request.param]


def harmless(text: str, answer: str) -> None:
    """No text from outside stands in a page as markup."""
    if "<" in text and len(text) > 3:
        assert text not in answer
    assert "<script>alert" not in answer.lower()


def test_hostile_text_in_addresses_queries_and_headers_is_answered_in_words(door: Door, strings: list[str]) -> None:
    client = door.client()
    for text in strings:
        for path, query in (
            (f"/d/{quote(text[:300], safe='', errors='surrogateescape')}", {}),
            ("/d", {"code": text}),
            ("/d", {"lang": text}),
        ):
            answer = client.get(path, query_string=query, environ_overrides=door.caller)
            assert answer.status_code < 500, text
            harmless(text, answer.get_data(as_text=True))
        plain = text.encode("latin-1", "replace").decode("latin-1").translate(dict.fromkeys(range(32)))
        headers = {
            name: plain for name in ("Accept-Language", "Accept", "X-Visit", "User-Agent", "Referer", "X-Forwarded-For")
        }
        for path in ("/d", "/receipt", "/r/me", "/check"):
            assert client.get(path, headers=headers, environ_overrides=door.caller).status_code < 500, text


def test_hostile_text_in_the_upload_protocol_is_refused_in_words(door: Door, strings: list[str]) -> None:
    client = door.client()
    for text in strings:
        octets = text.encode("utf-8", "surrogateescape")
        plain = text.encode("latin-1", "replace").decode("latin-1").translate(dict.fromkeys(range(32)))
        meta = ",".join(f"{name} {base64.b64encode(octets).decode()}" for name in ("visit", "code", "filename"))
        answers = [
            client.post(
                "/tus/",
                headers={**TUS, "Upload-Length": "5", "Upload-Metadata": meta},
                environ_overrides=door.caller,
            ),
            client.post("/tus/", headers={**TUS, "Upload-Length": plain, "Upload-Metadata": plain}),
            client.patch("/tus/" + new_token(), headers={**TUS, "Upload-Offset": plain, "Upload-Checksum": plain}),
            client.post("/tus/" + new_token(), headers={**TUS, "X-HTTP-Method-Override": plain}),
            client.post("/tus/" + new_token() + "/digest", headers=TUS, json={"sha256": text}),
        ]
        assert all(400 <= answer.status_code < 500 for answer in answers), text


def test_hostile_names_and_words_read_back_the_same(door: Door, strings: list[str]) -> None:
    client = door.client()
    page = client.get(f"/d/{door.code}").get_data(as_text=True)
    words = [text.replace("\r\n", "\n") for text in strings if text.strip()]
    told = "\n".join(words).encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()
    names = [text for text in strings[:: max(1, len(strings) // 12)] if text.strip() and not set('"\\\r\n') & set(text)]
    fields = [
        ("csrf_token", token_in(page)),
        ("use", "press"),
        *((name, told) for name in ("happened", "told", "where")),
    ]
    body, kind = multipart(
        fields, [(name, f"content {place} of {len(strings)}".encode()) for place, name in enumerate(names)]
    )
    answer = client.post(f"/d/{door.code}", data=body, content_type=kind)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    receipt = client.get("/receipt").get_data(as_text=True)
    assert "<script>alert" not in receipt.lower()
    with door.archive.rooms.database.reading() as session:
        items = [item for item, _ in list_items(session)]
    kept = {door.archive.log_of(item)[0].get("original_name")["name"] for item in items}
    assert {safe_text(name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")) for name in names} <= kept
    stored = [door.archive.stored(item.id) for item in items]
    statement = next(each for each in stored if each.startswith(b"Language of this statement"))
    assert statement.decode().count(told) == 2


def test_hostile_text_in_every_form_is_answered_in_words(door: Door, strings: list[str]) -> None:
    client = door.client()
    token = token_in(client.get("/r").get_data(as_text=True))
    for count, text in enumerate(strings):
        for path in ("/theme", "/forget", "/r", "/r/me/use", "/r/me/answer", "/r/me/stop", "/r/out", "/csp"):
            if path == "/r" and (count >= _WRONG_CODES or sum(map(str.isdigit, text)) == 16):
                continue  # Wrong codes are answered slowly, and one that may be right is hashed: see the tests of both.
            form = {"csrf_token": token, "theme": text, "code": text, "use": text, "answer": text, "question": text}
            answer = client.post(path, data=form, environ_overrides=door.caller)
            assert answer.status_code < 500, (path, text)
            harmless(text, answer.get_data(as_text=True))
            if path == "/forget":
                token = token_in(client.get("/r").get_data(as_text=True))
        assert client.post("/theme", data={"csrf_token": text}).status_code in (400, 409)


def test_forms_that_real_browsers_sent_are_read_part_by_part(door: Door, corpus: CorpusFinder) -> None:
    for path in sorted((corpus("multipart") / "browsers").rglob("request.http")):
        body = path.read_bytes()
        boundary = body.partition(b"\r\n")[0].removeprefix(b"--").decode("ascii", "replace")
        client = door.client()
        answer = client.post(f"/d/{door.code}", data=body, content_type=f"multipart/form-data; boundary={boundary}")
        assert answer.status_code in (400, 409), path  # They bear no token of ours, and nothing of them is taken.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--X",
        b"--X\r\n",
        b"--X\r\n\r\n\r\n--X--\r\n",
        b"--X\r\nContent-Disposition: form-data\r\n\r\nx\r\n--X--\r\n",
        b'--X\r\nContent-Disposition: form-data; name="\xff\xfe"\r\n\r\nx\r\n--X--\r\n',
        b'--X\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nnever ends',
        b'--X\r\nContent-Disposition: form-data; name="files"; filename="a"\r\nX: ' + b"a" * 2_000_000,
        b"no boundary at all " * 100_000,
        b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"a" * 2_000_000 + b"\r\n--X--\r\n",
        b"".join(b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' for _ in range(1200)) + b"--X--\r\n",
    ],
    ids=range(11),
)
def test_broken_forms_are_refused_and_leave_nothing(door: Door, body: bytes) -> None:
    client = door.client()
    before = len(list((door.archive.home / "uploads").iterdir()))
    answer = client.post(f"/d/{door.code}", data=body, content_type="multipart/form-data; boundary=X")
    assert answer.status_code in (400, 409, 422), answer.get_data(as_text=True)
    for kind in ("multipart/form-data", "multipart/form-data; boundary=" + "y" * 300, "text/plain", ""):
        assert client.post(f"/d/{door.code}", data=body, content_type=kind).status_code in (400, 409, 422)
    assert len(list((door.archive.home / "uploads").iterdir())) == before


def test_a_file_in_a_form_that_takes_none_is_refused_and_never_put_on_disk(door: Door) -> None:
    client = door.client()
    token = token_in(client.get("/r").get_data(as_text=True))
    body, kind = multipart([("csrf_token", token), ("code", "1")], [("a.bin", b"M" * 700_000)])
    answer = client.post("/r", data=body, content_type=kind)
    assert answer.status_code in (400, 413)
    large = client.post("/r", data={"csrf_token": token, "code": "1" * 3_000_000})
    assert large.status_code in (400, 413)


def test_every_answer_bears_the_policy_and_every_endpoint_a_rule(door: Door) -> None:
    from archive.access import Action
    from web.security import CONTENT_SECURITY_POLICY, action_of

    client = door.client()
    for path in ("/d", f"/d/{door.code}", "/nope", "/r", "/check", "/exit", "/tus/x", "/sw.js"):
        with client.get(path) as answer:
            headers = answer.headers
        assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY, path
        assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff"
        assert "unsafe" not in headers["Content-Security-Policy"]
    for rule in door.app.url_map.iter_rules():
        assert isinstance(action_of(door.app, rule.endpoint), Action), rule.endpoint


def test_an_application_with_an_endpoint_without_a_rule_does_not_start() -> None:
    from flask import Flask

    from archive.errors import ConfigError
    from web.security import refuse_endpoints_without_rule

    app = Flask("bare")
    app.add_url_rule("/open", view_func=lambda: "open")
    with pytest.raises(ConfigError) as refused:
        refuse_endpoints_without_rule(app)
    assert refused.value.code == "web/no-rule"


def test_every_error_of_the_tree_has_a_status_and_words() -> None:
    from archive import errors
    from web.errors import STATUS, WORDS_BY_CLASS

    drawn = dict(re.findall(r"[├└]── (\w+) .*?web (\d+)", errors.__doc__ or ""))
    for kind in errors.TestigoError.__subclasses__():
        assert kind in STATUS and kind in WORDS_BY_CLASS
        if kind.__name__ in drawn:
            assert str(STATUS[kind]) == drawn[kind.__name__]
    assert not issubclass(HTTPException, errors.TestigoError)
