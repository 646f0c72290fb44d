"""What senders tell reaches whom it is for: the office with its key, counsel with theirs, never without an entry."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.age.recovery import format_identity
from tests.archives import PASSPHRASE
from tests.way_in import run_here
from tests.web.served import Browser, Served, serving
from tests.web.test_handing_over import post, return_code, send
from tests.web.test_tus import content

LONG = "They took the third exit. " * 3000
LINES = "first line\nsecond line"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """One hand-over with everything that a sender can tell, asked and answered; the archive is locked again."""
    with serving(tmp_path_factory.mktemp("told") / "var") as served:
        words = {"when": "about six", "where": LINES, "contact": "Ana, 213 555 0199", "happened": "two vans"}
        receipt = send(served, [("a.bin", content(20_000, 71))], use="court", **words).get("/receipt").text
        number = re.search(r"TG-\d{4}-\d{5}", receipt)
        assert number
        for question in ("Which way?", "Who else?"):
            assert run_here(served.home, "drop", "ask", number[0], question).returncode == 0
        returned = Browser(served)
        assert post(returned, "/r", returned.get("/r").text, code=return_code(receipt)) == 303
        me = returned.get("/r/me").text
        asked = re.search(r'name="question" value="([^"]+)"', me)
        assert asked
        assert post(returned, "/r/me/answer", me, question=asked[1], answer=LONG) == 303
        yield served, number[0]


@pytest.fixture
def unlocked(told: tuple[Served, str], tmp_path: Path) -> Iterator[tuple[Served, str]]:
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    home = told[0].home
    opened = run_here(home, "unlock", "--minutes", "5", "--passphrase-file", str(tmp_path / "passphrase"))
    assert opened.returncode == 0, opened.stderr
    yield told
    run_here(home, "lock")


def test_what_was_handed_over_is_listed_while_locked(told: tuple[Served, str]) -> None:
    served, number = told
    listed = run_here(served.home, "drop", "received", "-i", served.archive.raid.number)
    assert listed.returncode == 0, listed.stderr
    assert number in listed.stdout and "court" in listed.stdout and "1 of 2 answered" in listed.stdout
    (row,) = [json.loads(line) for line in run_here(served.home, "drop", "received", "--json").stdout.splitlines()]
    assert (len(row["items"]), row["use"], row["questions"], row["answered"]) == (2, "court", 2, 1)
    for secret in ("about six", "555 0199", "Which way"):
        assert secret not in listed.stdout


def test_what_was_told_opens_for_the_office_whole_and_only_against_an_entry(unlocked: tuple[Served, str]) -> None:
    served, number = unlocked
    found = json.loads(run_here(served.home, "drop", "told", number, "--json").stdout)
    assert found["told"] == [{"when": "about six", "where": LINES}]
    # What happened is an item of its own, `contact` is counsel's.
    assert found["replies"] == [
        {"question": "Which way?", "answers": [LONG]},
        {"question": "Who else?", "answers": []},
    ]
    page = run_here(served.home, "drop", "told", number, "--reason", "before the hearing").stdout
    assert "about six" in page and "not yet" in page and "555 0199" not in page
    assert page.count("They took the third exit.") + page.count("They took the third\n") > 2000
    log = run_here(served.home, "log", "--last", "3", "--json").stdout
    assert "before the hearing" in log
    assert run_here(served.home, "drop", "told", "TG-2026-99999").returncode == 5


def test_what_was_told_stays_closed_while_locked_and_to_other_roles(told: tuple[Served, str]) -> None:
    served, number = told
    refused = run_here(served.home, "drop", "told", number)
    assert refused.returncode == 12 and "about six" not in refused.stdout + refused.stderr


def test_names_open_with_counsels_identity_and_with_no_other(unlocked: tuple[Served, str], tmp_path: Path) -> None:
    served, number = unlocked
    counsel, recovery = served.archive.founded.counsel, served.archive.founded.recovery
    assert counsel is not None
    source = tmp_path / "card"
    source.mkdir()
    (source / "a.txt").write_text("handed over")
    given = ("import", str(source), "-i", served.archive.raid.number, "--custodian", "M. Rivera")
    assert run_here(served.home, *given).returncode == 0
    (tmp_path / "counsel.txt").write_text(format_identity(counsel))
    (tmp_path / "other.txt").write_text(format_identity(recovery))
    why = ("--reason", "to ask her to testify")
    opened = run_here(served.home, "names", "--counsel", str(tmp_path / "counsel.txt"), "--json", *why)
    assert opened.returncode == 0, opened.stderr
    rows = [json.loads(line) for line in opened.stdout.splitlines()]
    assert [(row["of"], row["text"]) for row in rows] == [(number, "Ana, 213 555 0199"), ("imp-2026-0001", "M. Rivera")]
    assert "to ask her to testify" in run_here(served.home, "log", "--last", "2", "--json").stdout
    refused = run_here(served.home, "names", "--counsel", str(tmp_path / "other.txt"), *why)
    assert refused.returncode == 1 and "Rivera" not in refused.stdout + refused.stderr
    (tmp_path / "none.txt").write_text("no key at all")
    assert run_here(served.home, "names", "--counsel", str(tmp_path / "none.txt"), *why).returncode == 1
    last = json.loads(run_here(served.home, "log", "--last", "1", "--json").stdout.splitlines()[-1])
    assert last["event"] == "refusal", "a wrong key is in the log"
    assert run_here(served.home, "verify").returncode in (0, 3)


def test_a_record_says_with_what_it_came_and_which_use_was_chosen(unlocked: tuple[Served, str]) -> None:
    served, number = unlocked
    assert f"{number}: court" in run_here(served.home, "show", "E-2026-00001").stdout
    (shown,) = [
        json.loads(line) for line in run_here(served.home, "show", "E-2026-00001", "--json").stdout.splitlines()
    ]
    assert shown["handed_over"] == [{"receipt": number, "state": "handed over", "use": "court"}]
