"""Who may do what, as it is written down for people."""

from pathlib import Path
from uuid import UUID

import pytest

from archive.access import Action, Condition, condition, require
from archive.errors import AccessError
from archive.types import Actor, Role, StaffId

ROOT = Path(__file__).resolve().parents[2]
MARKS = {Condition.ALWAYS: "yes", Condition.SECOND_PERSON: "two", Condition.NEVER: ""}


def table() -> list[str]:
    rows = [("", *(str(role) for role in Role)), ("---",) * (len(Role) + 1)]
    rows += [(str(action), *(MARKS[condition(role, action)] for role in Role)) for action in Action]
    return ["| " + " | ".join(row) + " |" for row in rows]


def test_the_operations_page_shows_the_table() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").splitlines()
    start = next((place for place, line in enumerate(page) if line.endswith(table()[0][2:])), None)
    assert start is not None and page[start : start + len(table())] == table(), "\n" + "\n".join(table())


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("role", list(Role))
def test_what_the_table_does_not_name_is_refused(role: Role, action: Action) -> None:
    actor = Actor(staff_id=StaffId(UUID(int=1)), pseudonym="staff-000000", role=role)
    if condition(role, action) is Condition.NEVER:
        with pytest.raises(AccessError) as caught:
            require(actor, action)
        assert caught.value.code == "access/not-permitted"
    else:
        assert require(actor, action) is condition(role, action)
