"""The way without scripts, the receipt that proves, and coming back: as a browser that only knows forms does it."""

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest

from archive.catalogue.drops import deliveries_of, newest_consent, visit_by_number
from archive.catalogue.items import list_items
from custody.receipt import parse_receipt
from custody.receipt_checking import verify_receipt
from tests.way_in import ROOT, Watcher, run_here
from tests.web.served import TUS, Browser, Served, serving
from tests.web.test_tus import content, sha256


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("form") / "var") as served:
        yield served


def multipart(fields: list[tuple[str, str]], files: list[tuple[str, bytes]]) -> tuple[bytes, str]:
    """Write a form as a browser does: the fields in their order, then the files."""
    parts = [
        f'--XBOUNDARYX\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        for name, text in fields
    ]
    parts += [
        f'--XBOUNDARYX\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'.encode()
        + b"Content-Type: application/octet-stream\r\n\r\n"
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + b"--XBOUNDARYX--\r\n", "multipart/form-data; boundary=XBOUNDARYX"


def token_in(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, page[:2000]
    return unescape(found[1])


def send(served: Served, files: list[tuple[str, bytes]], /, **fields: str) -> Browser:
    """Open the drop page, send its form, and follow to the receipt."""
    browser = Browser(served)
    page = browser.get(f"/d/{served.code}")
    assert page.status == 200, page.text
    body, kind = multipart([("csrf_token", token_in(page.text)), *fields.items()], files)
    answer = browser.post(f"/d/{served.code}", body, kind)
    assert (answer.status, answer.headers.get("Location")) == (303, "/receipt"), answer.text
    return browser


def return_code(page: str) -> str:
    found = re.search(r'<p class="code"[^>]*>(.*?)</p>', page, re.DOTALL)
    assert found, page
    return " ".join(re.findall(r"\d{4}", found[1]))


def seen_url(page: str) -> str:
    found = re.search(r'src="(/receipt/seen/[^"]+)"', page)
    assert found, "the page does not say that it arrived"
    return found[1]


def files_and_code(browser: Browser) -> tuple[str, str]:
    page = browser.get("/receipt").text
    found = re.search(r"Files: (\d+)", page)
    assert found, page
    return found[1], return_code(page)


def post(browser: Browser, path: str, page: str, **fields: str) -> int:
    body = urlencode({"csrf_token": token_in(page), **fields}).encode()
    return browser.post(path, body, "application/x-www-form-urlencoded").status


def test_files_and_words_go_in_by_a_plain_form_and_nothing_is_in_clear(served: Served) -> None:
    one, two = b"MARK-one-" + content(3_000_000), content(70_000)
    watcher = Watcher([served.home], [b"MARK-one-", b"names-a-neighbour", b"vi a tres agentes"])
    with watcher.watching():
        browser = send(
            served,
            [("names-a-neighbour.mp4", one), ("b.jpg", two), ("", b"")],
            happened="vi a tres agentes",
            told="me dijeron que eran cuatro",
            contact="names-a-neighbour",
            use="court",
        )
    watcher.look()
    assert watcher.found == set()
    page = browser.get("/receipt").text
    assert sha256(one)[:4] in page and return_code(page)
    assert browser.get(seen_url(page)).status == 200
    assert return_code(browser.get("/receipt?lang=ko").text) == return_code(page), "another language loads it again"
    assert post(browser, "/receipt/written", page) == 303
    page = browser.get("/receipt?lang=en").text
    assert 'class="code"' not in page and "Your code was shown on this page before" in page
    archive = served.opened()
    with archive.rooms.database.reading() as session:
        items = [item for item, _ in list_items(session)]
        number = re.search(r"TG-\d{4}-\d{5}", page)
        assert number
        visit = visit_by_number(session, number[0])
        consent = newest_consent(session, visit.id)
    assert consent is not None
    assert (consent.level, consent.audiences) == ("legal_only", "counsel,production,court,immigration_court")
    stored = [archive.stored(item.id) for item in items]
    assert one in stored and two in stored
    statement = next(each for each in stored if b"[What I saw]" in each)
    assert b"vi a tres agentes" in statement and b"[What others told me]\nme dijeron" in statement
    archive.rooms.close()


def test_a_receipt_proves_by_itself_and_a_changed_one_is_refused(served: Served, tmp_path: Path) -> None:
    data = content(50_000, 21)
    browser = send(served, [("a.bin", data)])
    answer = browser.get("/receipt.json")
    assert answer.status == 200 and "attachment" in answer.headers["Content-Disposition"]
    receipt = parse_receipt(answer.body)
    assert [item.sha256.hex for item in receipt.items] == [sha256(data)]
    assert verify_receipt(answer.body, None).finding == "MATCHES"
    assert b"raid" not in answer.body.lower() and served.archive.raid.number.encode() not in answer.body
    path = tmp_path / "receipt.json"
    path.write_bytes(answer.body)
    keys = served.home / "store" / "log" / "verifier-keys"
    independent = [str(ROOT / "scripts" / "check-receipt"), str(path), "--key", str(keys)]
    # The archive "loses" the item; neither the receipt nor whoever checks it needs the archive.
    told = subprocess.run(independent, capture_output=True, check=False)
    assert told.returncode == 3 and b"CANNOT TELL when" in told.stdout and b"DOES NOT" not in told.stdout
    assert run_here(tmp_path / "nowhere", "receipt", "check", str(path), "--log-key", str(keys)).returncode == 3
    changed = json.loads(answer.body)
    changed["items"][0]["sha256"] = hashlib.sha256(b"other").hexdigest()
    forged = json.dumps(changed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    path.write_bytes(forged)
    assert verify_receipt(forged, None).finding == "DOES NOT MATCH"
    assert subprocess.run(independent, capture_output=True, check=False).returncode == 4


def test_coming_back_by_the_code_alone(served: Served) -> None:
    browser = send(served, [("a.bin", content(20_000, 31))])
    page = browser.get("/receipt").text
    code = return_code(page)
    number = re.search(r"TG-\d{4}-\d{5}", page)
    assert number
    asked = run_here(served.home, "drop", "ask", number[0], "Which way did they drive?")
    assert asked.returncode == 0, asked.stderr

    other = Browser(served)
    form = other.get("/r").text
    bangla = code.translate({ord(str(digit)): chr(0x09E6 + digit) for digit in range(10)})
    assert post(other, "/r", form, code=bangla) == 303
    me = other.get("/r/me")
    assert me.status == 200 and number[0] in me.text and "Which way did they drive?" in me.text
    question = re.search(r'name="question" value="([^"]+)"', me.text)
    assert question
    assert post(other, "/r/me/answer", me.text, question=question[1], answer=" ") == 422
    assert "Which way did they drive?" in other.get("/r/me").text, "an empty answer is none"
    assert post(other, "/r/me/answer", me.text, question=question[1], answer="South on Alvarado") == 303
    assert "Which way did they drive?" not in other.get("/r/me").text
    assert post(other, "/r/me/use", me.text, use="press") == 303
    # More can be added, and the same receipt then covers it.
    more = other.get("/r/me/add")
    assert more.headers["Location"] == "/d/-"
    drop = other.get("/d/-").text
    assert 'name="use"' not in drop, "that choice is changed on the page they came from"
    fields = [("csrf_token", token_in(drop)), ("where", "at the corner"), ("contact", "a friend's number")]
    body, kind = multipart(fields, [("more.bin", content(9000, 32))])
    assert other.post("/d/-", body, kind).headers["Location"] == "/r/me?done=added"
    opened = served.opened()
    told = [entry.get("purpose") for entry in opened.last_entries(3)]
    opened.rooms.close()
    assert "answers added by their sender" in told, "what is told later is not lost"
    assert len(parse_receipt(other.get("/receipt.json").body).items) == 2
    assert post(other, "/r/me/stop", other.get("/r/me/stop").text) == 303
    archive = served.opened()
    with archive.rooms.database.reading() as session:
        visit = visit_by_number(session, number[0])
        consent = newest_consent(session, visit.id)
    assert visit.status == "stopped" and consent is not None
    # Chosen, changed, entered for what was added, withdrawn.
    assert (consent.version, consent.level, consent.audiences) == (4, "vault_only", "")
    archive.rooms.close()
    assert other.get("/d/-").status == 404, "after stop nothing more is taken"
    asked = run_here(served.home, "drop", "ask", number[0], "And the colour?")
    assert asked.returncode == 0, asked.stderr
    after = other.get("/r/me").text
    assert "Nothing can be added or answered here any more" in after
    assert "/r/me/add" not in after and "And the colour?" not in after
    assert post(other, "/r/me/answer", after, question=question[1], answer="Late") == 409
    for path in ("/r/me/add", "/r/me/stop"):
        assert other.get(path).headers["Location"] == "/r/me"
    # The answer to a stop may be lost as well: it can be said again, and is entered once.
    assert post(other, "/r/me/stop", after) == 303
    archive = served.opened()
    with archive.rooms.database.reading() as session:
        consent = newest_consent(session, visit.id)
    archive.rooms.close()
    assert consent is not None and consent.version == 4


def test_a_lost_answer_loses_no_code_and_takes_nothing_twice(served: Served) -> None:
    archive = served.opened()
    size = archive.rooms.ledger.size()
    archive.rooms.close()
    browser = Browser(served)
    page = browser.get(f"/d/{served.code}").text
    fields = [("csrf_token", token_in(page)), ("form", "a"), ("use", "press"), ("happened", "I saw it, once")]
    body, kind = multipart([*fields, ("contact", "a friend")], [("a.jpg", content(3000, 71))])
    before = dict(browser.cookies)
    codes = set()
    for _ in range(3):  # Each answer is lost, with its cookies.
        browser.cookies = dict(before)
        assert browser.post(f"/d/{served.code}", body, kind).headers["Location"] == "/receipt"
        browser.cookies = dict(before)
        files, code = files_and_code(browser)  # So is this page: nothing of it arrived.
        assert files == "2", "one photo and one statement"
        codes.add(code)
    assert len(codes) == 1
    stranger = Browser(served)
    stranger.get(f"/d/{served.code}")
    page = browser.get("/receipt").text
    assert stranger.get(seen_url(page)).status == 404
    assert browser.get("/receipt/seen/" + "0" * 64).status == 404, "whoever has not the page cannot say that it came"
    assert return_code(browser.get("/receipt").text) in codes
    assert browser.get(seen_url(page)).headers["Content-Type"] == "image/gif"
    assert return_code(browser.get("/receipt").text) in codes
    other = Browser(served)
    assert post(other, "/r", other.get("/r").text, code=codes.pop()) == 303
    archive = served.opened()
    told = [entry.get("purpose") for entry in archive.last_entries(archive.rooms.ledger.size() - size)]
    archive.rooms.close()
    assert told.count("receipt given, use chosen") == 1 and "use chosen with what was added" not in told
    assert "answers added by their sender" not in told, "the way to reach them was kept twice"


def test_a_receipt_says_of_each_file_whether_it_came_whole_and_the_same(served: Served) -> None:
    browser = Browser(served)
    page = browser.get(f"/d/{served.code}").text
    visit = re.search(r'name="visit" value="([^"]+)"', page)
    assert visit
    data = content(4000, 81)
    same = served.create(4000, visit[1], sha256=sha256(data)).headers["Location"]
    served.patch(same, 0, data)
    served.wait_for(same, "safe")
    body, kind = multipart([("csrf_token", token_in(page)), ("happened", "words have no other copy")], [])
    assert browser.post(f"/d/{served.code}", body, kind).status == 303
    checked = "Every byte was checked when it arrived."
    assert checked in browser.get("/receipt").text
    part = served.create(4000, visit[1]).headers["Location"]
    served.patch(part, 0, content(2000, 82))
    assert served.ask("DELETE", part, TUS).status == 204
    other = served.create(4000, visit[1], sha256=sha256(data)).headers["Location"]
    served.patch(other, 0, content(4000, 83))
    for where, state in ((part, "incomplete"), (other, "differs")):
        served.wait_for(where, state)
    body, kind = multipart([("csrf_token", token_in(page))], [("by-form.bin", content(4000, 84))])
    assert browser.post(f"/d/{served.code}", body, kind).status == 303
    receipt = browser.get("/receipt").text
    assert checked not in receipt
    for words in ("only a part arrived: 1", "arrived changed: 1", "not be compared with those on your phone: 1"):
        assert words in receipt
    assert receipt.count("<b>Only a part arrived. Kept.</b>") == receipt.count("<b>Arrived changed. Kept.</b>") == 1


def test_words_are_a_statement_in_plain_text_whatever_they_look_like(served: Served) -> None:
    words = ("\x00\x01\x02\x03\x7f", "\u202eabc\ud7ff \ufeff\u2028", "%PDF-1.7 \x1b[2J", "\x08" * 40)
    for text in words:
        send(served, [], happened=text)
    archive = served.opened()
    with archive.rooms.database.reading() as session:
        items = [item for item, _ in list_items(session)][-len(words) :]
    assert [item.evidence_kind for item in items] == ["statement"] * len(words)
    formats = [archive.log_of(item)[0].get("format") for item in items]
    archive.rooms.close()
    assert {(each["mime_type"], each["kind"]) for each in formats if each} == {("text/plain", "statement")}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/r/me/answer", 404), ("/r/me/use", 403), ("/r/me/stop", 403), ("/r/out", 409), ("/forget", 409)],
)
def test_what_went_wrong_with_a_form_can_be_read_in_every_language(served: Served, path: str, status: int) -> None:
    browser = Browser(served)
    token = "" if status == 409 else token_in(browser.get("/r").text)
    answer = browser.post(path, urlencode({"csrf_token": token}).encode(), "application/x-www-form-urlencoded")
    assert answer.status == status, answer.text
    links = re.findall(r'<a href="([^"]*\?lang=[^"]+)" lang="([^"]+)"', answer.text)
    assert len(links) == 5
    said = set()
    for link, language in links:
        page = browser.get(link)
        assert (page.status, f'<html lang="{language}"' in page.text) == (200, True), link
        alert = re.search(r'role="alert"><h1>(.*?)</p>', page.text, re.DOTALL)
        assert alert
        said.add(alert[1])
        assert f"({status})" in page.text
    assert len(said) == 5, "the same in five languages, not five times in one"
    assert re.search(r'role="alert"><h1>(.*?)</p>', answer.text, re.DOTALL)[1] in said  # type: ignore[index]
    for nonsense in ("/problem/409/no/such", "/problem/409/<b>", "/problem/x/visits/stopped"):
        assert browser.get(nonsense).status == 404


def test_a_code_that_was_used_is_shown_no_more(served: Served) -> None:
    browser = send(served, [("a.bin", content(2000, 72))])
    code = return_code(browser.get("/receipt").text)
    other = Browser(served)
    assert post(other, "/r", other.get("/r").text, code=code) == 303
    assert 'class="code"' not in browser.get("/receipt").text


def test_a_form_that_is_sent_twice_at_once_is_one_handing_over(served: Served) -> None:
    browser = Browser(served)
    page = browser.get(f"/d/{served.code}").text
    body, kind = multipart([("csrf_token", token_in(page)), ("happened", "pressed twice")], [])
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items()), "Content-Type": kind}
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(served.ask, "POST", f"/d/{served.code}", cookie, body) for _ in range(4)]
        assert [each.result().headers.get("Location") for each in asked] == ["/receipt"] * 4
    assert files_and_code(browser)[0] == "1"


def test_the_choice_of_a_second_sending_holds_and_stands_in_the_log_of_what_was_added(served: Served) -> None:
    browser = send(served, [("a.bin", content(2000, 73))], use="press")
    number = re.search(r"TG-\d{4}-\d{5}", browser.get("/receipt").text)
    assert number
    for seed, chosen, preset in ((74, "legal", "press"), (75, "press", "legal"), (76, "press", "press")):
        page = browser.get(f"/d/{served.code}").text
        assert re.search(rf'value="{preset}" checked', page), "what was chosen before is chosen on the page"
        assert "It holds for everything that you send with this link" in page
        fields = [("csrf_token", token_in(page)), ("form", str(seed)), ("use", chosen)]
        body, kind = multipart(fields, [("more.bin", content(2000, seed))])
        assert browser.post(f"/d/{served.code}", body, kind).status == 303
        words = {"legal": "The legal team only", "press": "Also the press"}[chosen]
        assert f"<dd>{words}</dd>" in browser.get("/receipt").text
        archive = served.opened()
        with archive.rooms.database.reading() as session:
            visit = visit_by_number(session, number[0])
            item = deliveries_of(session, visit.id)[-1].item_id
            assert item is not None
        uses = [use for entry in archive.log_of(item) for use in entry.all("use") if use["item"] == str(item)]
        archive.rooms.close()
        assert [use["level"] for use in uses] == [{"legal": "legal_only", "press": "press_anonymous"}[chosen]]


def test_a_form_that_comes_again_does_not_undo_a_later_choice(served: Served) -> None:
    browser = Browser(served)
    page = browser.get(f"/d/{served.code}").text
    fields = [("csrf_token", token_in(page)), ("form", "b"), ("use", "press"), ("happened", "said before")]
    body, kind = multipart(fields, [("a.bin", content(2000, 77))])
    before = dict(browser.cookies)
    assert browser.post(f"/d/{served.code}", body, kind).status == 303
    code = return_code(browser.get("/receipt").text)
    other = Browser(served)
    assert post(other, "/r", other.get("/r").text, code=code) == 303
    me = other.get("/r/me").text
    assert post(other, "/r/me/use", me, use="legal") == 303
    browser.cookies = before
    assert browser.post(f"/d/{served.code}", body, kind).status == 303
    assert "<dd>The legal team only</dd>" in browser.get("/receipt").text
    assert post(other, "/r/me/stop", other.get("/r/me/stop").text) == 303
    assert browser.post(f"/d/{served.code}", body, kind).status == 404, "after stop nothing comes in"
    assert "<dd>Stopped by you</dd>" in browser.get("/receipt").text


def test_wrong_codes_are_slowed_and_lock_nobody_else(served: Served) -> None:
    browser = send(served, [("a.bin", content(1000, 41))])
    code = return_code(browser.get("/receipt").text)
    guesser = Browser(served)
    form = guesser.get("/r").text
    took = []
    for _ in range(7):
        began = time.monotonic()
        assert post(guesser, "/r", form, code="1111 2222 3333 4444") == 422
        took.append(time.monotonic() - began)
        own = Browser(served)
        assert post(own, "/r", own.get("/r").text, code=code) == 303, "a right code between wrong ones forgives none"
    assert took[6] > max(took[:3]) + 0.5
    for wrong in ("1111 2222 3333 444x", "٤" * 15):
        assert post(guesser, "/r", form, code=wrong) == 422
    returning = Browser(served)
    page = returning.get("/r").text
    began = time.monotonic()
    assert post(returning, "/r", page, code=code) == 303
    assert time.monotonic() - began < 2, "whoever shares the guesser's address and has a right code is not slowed"
    assert returning.get("/r/me").status == 200
    assert Browser(served).get("/r/me").status == 403


def test_a_form_goes_through_a_link_that_takes_little(served: Served) -> None:
    small = served.new_link("--quota-mib", "1", "--once")
    browser = Browser(served)
    page = browser.get(f"/d/{small}").text
    files = [("a.bin", content(300_000, 61)), ("b.bin", content(300_000, 62))]
    body, kind = multipart([("csrf_token", token_in(page))], files)
    assert browser.post(f"/d/{small}", body, kind).status == 303
    assert len(parse_receipt(browser.get("/receipt.json").body).items) == 2
    assert browser.get(f"/d/{small}").status == 200, "whoever began may open the page again"
    assert Browser(served).get(f"/d/{small}").status == 404
    body, kind = multipart([("csrf_token", token_in(page))], [("c.bin", content(1_500_000, 63))])
    assert browser.post(f"/d/{small}", body, kind).status == 413


def test_a_form_of_another_site_is_refused_before_a_byte_is_taken(served: Served) -> None:
    browser = Browser(served)
    browser.get(f"/d/{served.code}")
    before = served.opened()
    body, kind = multipart([("csrf_token", "forged")], [("a.bin", content(5000, 51))])
    assert browser.post(f"/d/{served.code}", body, kind).status == 409
    assert list((served.home / "uploads").iterdir()) == []
    before.rooms.close()
