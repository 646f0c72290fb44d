"""Who may do what: one table of role × action → condition, and the proof that an access was entered in the log. No I/O.

The table stands in `docs/operations.md` too; a test compares them. What it allows is a
necessary condition; holds, consent and a second person come on top of it.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from archive.errors import AccessError
from archive.types import Actor, Role


class Action(StrEnum):
    """What a person may ask of the archive."""

    RECEIVE = "receive"
    CREATE_INCIDENT = "create-incident"
    LIST_INCIDENTS = "list-incidents"
    LIST_RECORDS = "list-records"
    OPEN_RECORD = "open-record"
    RELEASE_KEY = "release-key"
    DESCRIBE = "describe"
    READ_LOG = "read-log"
    AUDIT = "audit"
    BUILD_PACKET = "build-packet"
    PLACE_HOLD = "place-hold"
    LIFT_HOLD = "lift-hold"
    DESTROY = "destroy"
    RELEASE_COMPELLED = "release-compelled"
    UNLOCK = "unlock"
    RUN_JOBS = "run-jobs"
    BACK_UP = "back-up"
    ADMIT_STAFF = "admit-staff"
    ROTATE_KEYS = "rotate-keys"
    READ_EXPOSURE = "read-exposure"
    VISIT = "visit"
    DELIVER = "deliver"
    RETURN = "return"
    GIVE_DROP_LINK = "give-drop-link"
    LIST_DROP_LINKS = "list-drop-links"
    JUDGE_REPORT = "judge-report"
    ASK_SENDER = "ask-sender"
    READ_TOLD = "read-told"
    OPEN_NAMES = "open-names"


ANYONE = frozenset({Action.VISIT, Action.DELIVER, Action.RETURN})
"""What needs no account: open the public pages, send through a drop link, come back with a return code."""


class Condition(StrEnum):
    """Under what condition a role may do an action."""

    NEVER = "never"
    ALWAYS = "always"
    SECOND_PERSON = "with a second person"


_ALL_STAFF = frozenset({Role.ATTORNEY, Role.COORDINATOR, Role.TECHNICIAN, Role.AUDITOR})

_ALWAYS: dict[Action, frozenset[Role]] = {
    Action.RECEIVE: frozenset({Role.OBSERVER, Role.ATTORNEY, Role.COORDINATOR, Role.TECHNICIAN}),
    Action.CREATE_INCIDENT: frozenset({Role.DISPATCHER, Role.ATTORNEY, Role.COORDINATOR, Role.TECHNICIAN}),
    Action.LIST_INCIDENTS: _ALL_STAFF | {Role.DISPATCHER},
    Action.LIST_RECORDS: _ALL_STAFF,
    Action.OPEN_RECORD: _ALL_STAFF,
    Action.RELEASE_KEY: frozenset({Role.ATTORNEY, Role.COORDINATOR}),
    Action.DESCRIBE: frozenset({Role.ATTORNEY, Role.COORDINATOR, Role.TECHNICIAN}),
    Action.READ_LOG: _ALL_STAFF,
    Action.AUDIT: _ALL_STAFF,
    Action.BUILD_PACKET: frozenset({Role.ATTORNEY, Role.COORDINATOR}),
    Action.PLACE_HOLD: frozenset({Role.ATTORNEY, Role.COORDINATOR}),
    Action.UNLOCK: frozenset({Role.ATTORNEY, Role.COORDINATOR, Role.TECHNICIAN}),
    Action.RUN_JOBS: frozenset({Role.COORDINATOR, Role.TECHNICIAN}),
    Action.BACK_UP: frozenset({Role.COORDINATOR, Role.TECHNICIAN}),
    Action.ADMIT_STAFF: frozenset({Role.COORDINATOR}),
    Action.ROTATE_KEYS: frozenset({Role.COORDINATOR}),
    Action.READ_EXPOSURE: _ALL_STAFF,
    Action.VISIT: frozenset(Role),
    Action.DELIVER: frozenset(Role),
    Action.RETURN: frozenset(Role),
    Action.GIVE_DROP_LINK: frozenset({Role.DISPATCHER, Role.ATTORNEY, Role.COORDINATOR}),
    Action.LIST_DROP_LINKS: _ALL_STAFF | {Role.DISPATCHER},
    Action.JUDGE_REPORT: frozenset({Role.DISPATCHER, Role.COORDINATOR}),
    Action.ASK_SENDER: frozenset({Role.ATTORNEY, Role.COORDINATOR}),
    Action.READ_TOLD: frozenset({Role.ATTORNEY, Role.COORDINATOR}),
    Action.OPEN_NAMES: frozenset({Role.ATTORNEY, Role.COORDINATOR}),
}

_SECOND_PERSON: dict[Action, frozenset[Role]] = {
    Action.LIFT_HOLD: frozenset({Role.ATTORNEY, Role.COORDINATOR}),
    Action.DESTROY: frozenset({Role.ATTORNEY, Role.COORDINATOR}),
    Action.RELEASE_COMPELLED: frozenset({Role.ATTORNEY, Role.COORDINATOR}),
}


def condition(role: Role, action: Action) -> Condition:
    """Look up the table; what it does not name is never allowed."""
    if role in _ALWAYS.get(action, frozenset()):
        return Condition.ALWAYS
    if role in _SECOND_PERSON.get(action, frozenset()):
        return Condition.SECOND_PERSON
    return Condition.NEVER


def require(actor: Actor, action: Action) -> Condition:
    """Return the condition under which `actor` may do `action`.

    Raises: AccessError `access/not-permitted` where the table says never.
    """
    found = condition(actor.role, action)
    if found is Condition.NEVER:
        raise AccessError(
            "access/not-permitted",
            f"Your role ({actor.role}) does not allow this ({action}). Nothing was changed or opened. "
            "Ask a coordinator to do it or to give you the role that may.",
            evidence={"actor": actor.pseudonym, "action": str(action)},
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAccess:
    """The proof that an access stands in the log. Only `custody.ledger` makes one.

    `entry` is the entry's number; `owners` are the owner ids whose keys it permits to unwrap.
    """

    entry: int
    owners: frozenset[UUID]
    purpose: str
