"""A dispatcher opens a report, says what became of it and gives out drop links; sees no evidence and no person."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from archive.access import Action, Condition, condition
from archive.catalogue.accounts import list_staff
from archive.types import Role
from custody.drafts import Draft
from custody.entries import EventKind
from tests.cli.conftest import Run
from tests.way_in import YEAR, WayIn

RAID = f"I-{YEAR}-0001"


@pytest.fixture
def as_dispatcher(home: Path, run: Run) -> Run:
    """The command line, whose user's account is a dispatcher's."""
    with WayIn.existing(home) as archive, archive.rooms.ledger.transaction() as transaction:
        (mine,) = list_staff(transaction.session)
        values = (("purpose", "account changed"), ("record", replace(mine, role=Role.DISPATCHER).to_log()))
        transaction.record(Draft(event=EventKind.METADATA_MODIFICATION, actor=archive.actor, values=values))
    return run


def test_a_report_is_opened_confirmed_and_marked_unfounded_while_locked(as_dispatcher: Run) -> None:
    made = as_dispatcher("incident", "new", "--title", "Raid at 6th", "--json")
    number = json.loads(made.stdout)["incident"]
    confirmed = as_dispatcher("incident", "confirm", number, "--reason", "two on the spot")
    assert (confirmed.exit_code, confirmed.stdout) == (0, f"{number} is confirmed.\n")
    again = as_dispatcher("incident", "confirm", number)
    assert again.exit_code == 8
    assert "confirmed already. Nothing was changed." in again.stderr
    assert as_dispatcher("incident", "unfounded", number, "--reason", "a film was shot there").exit_code == 0
    listed = [json.loads(line) for line in as_dispatcher("incident", "ls", "--json").stdout.splitlines()]
    assert {one["incident"]: one["status"] for one in listed} == {RAID: "open", number: "unfounded"}
    assert as_dispatcher("incident", "confirm", f"I-{YEAR}-0099").exit_code == 5


def test_drop_links_are_given_out_and_revoked_by_a_dispatcher(as_dispatcher: Run) -> None:
    given = as_dispatcher("drop", "new", "-i", RAID, "--json")
    assert given.exit_code == 0, given.output
    link = json.loads(given.stdout)["drop_link"]
    assert as_dispatcher("drop", "revoke", link, "--reason", "seen in public").exit_code == 0
    assert as_dispatcher("drop", "ls").exit_code == 0


def test_a_dispatcher_sees_no_evidence_and_no_person(as_dispatcher: Run) -> None:
    item = f"E-{YEAR}-00001"
    for words in (
        ["ls"],
        ["show", item],
        ["preview", item],
        ["item", "key", item, "--reason", "r"],
        ["incident", "ls", "--titles"],
        ["hold", "ls"],
        ["staff", "ls"],
        ["jobs"],
        ["log"],
        ["unlock"],
        ["drop", "rescue", "--all"],
        ["drop", "ask", f"TG-{YEAR}-00001", "q"],
        ["packet", "build", item, "--to", "x", "--basis", "y", "/no/such/packet"],
        ["import", "/no/such/card", "-i", RAID],
        ["exposure"],
    ):
        refused = as_dispatcher(*words)
        assert refused.exit_code == 6, (words, refused.output)
    allowed = {action for action in Action if condition(Role.DISPATCHER, action) is not Condition.NEVER}
    assert allowed == {
        Action.CREATE_INCIDENT,
        Action.JUDGE_REPORT,
        Action.LIST_INCIDENTS,
        Action.GIVE_DROP_LINK,
        Action.LIST_DROP_LINKS,
        Action.VISIT,
        Action.DELIVER,
        Action.RETURN,
    }


def test_what_became_of_a_report_stands_in_the_log_and_its_title_stays_readable(run: Run, unlocked: WayIn) -> None:
    assert run("incident", "confirm", RAID, "--reason", "seen by two").exit_code == 0
    entry = unlocked.last_entries(1)[0]
    assert (entry.get("purpose"), entry.get("reason")) == ("report confirmed", "seen by two")
    listed = json.loads(run("incident", "ls", "--titles", "--json").stdout)
    assert (listed["status"], bool(listed["title"])) == ("confirmed", True)
    assert run("verify", "--full").exit_code in (0, 3)
    unlocked.rooms.publisher.publish()
    catalogue = unlocked.home / "catalogue.sqlite"
    unlocked.rooms.close()
    for path in unlocked.home.glob("catalogue.sqlite*"):
        path.rename(path.with_name(f"lost-{path.name}"))
    rebuilt = run("rebuild")
    assert (rebuilt.exit_code in (0, 3), catalogue.is_file()) == (True, True), rebuilt.output
    listed = json.loads(run("incident", "ls", "--json").stdout)
    assert listed["status"] == "confirmed"


def test_no_card_is_written_for_a_link_that_takes_nothing_more(as_dispatcher: Run, tmp_path: Path) -> None:
    made = json.loads(as_dispatcher("drop", "new", "-i", RAID, "--json").stdout)
    assert as_dispatcher("drop", "card", made["code"], str(tmp_path / "open.html")).exit_code == 0
    assert as_dispatcher("drop", "revoke", made["drop_link"]).exit_code == 0
    refused = as_dispatcher("drop", "card", made["code"], str(tmp_path / "closed.html"))
    assert refused.exit_code == 8
    assert "drop/closed" in refused.stderr and "revoked" in refused.stderr
    assert not (tmp_path / "closed.html").exists()


@pytest.mark.parametrize("words", [("--files", "99999999999999999999"), ("--quota-mib", "99999999999999")])
def test_a_link_that_would_allow_more_than_can_be_counted_is_wrong_use(as_dispatcher: Run, words: tuple[str]) -> None:
    refused = as_dispatcher("drop", "new", "-i", RAID, *words)
    assert refused.exit_code == 2, refused.output
    assert "cli/unforeseen" not in refused.stderr
