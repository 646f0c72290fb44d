"""Step 6 of the way in: the entries and records of what came in, of what was here already, of what was refused."""

from dataclasses import dataclass, replace
from uuid import UUID

from archive.catalogue.records import ImportFile, Item, Json, StoredObject
from archive.keyfiles import OwnerKey
from archive.types import ItemId, ItemRole, NewId, Outcome
from archive.vault import StagedObject
from custody.drafts import Draft, ItemPart, Values
from custody.entries import EventKind
from custody.ledger import Transaction
from ingest.reception import Arrival, CameIn, Linked, Reception, Refused, Result, Stored
from media.credentials import CredentialClaim
from media.policy import Policy
from media.received_as import AFTER_CLEANING
from media.workbench import Examination


@dataclass(slots=True)
class Taken:
    """One arrival between its steps."""

    arrival: Arrival
    key: OwnerKey
    original: StagedObject
    content_mac: bytes | None
    policy: Policy
    handed_in: Json = None
    mark: str = ""
    examination: Examination | None = None
    metadata: StagedObject | None = None
    proof: CredentialClaim | None = None


def enter_item(
    transaction: Transaction, reception: Reception, taken: Taken, number: str, main: UUID | None, new_id: NewId
) -> Stored:
    """Enter a new item under its number; `main` is the item that it is a companion of."""
    examination = taken.examination
    if examination is None:
        raise ValueError("an item is recorded only after it was examined")
    item = Item(
        id=taken.key.owner.id,
        organisation_id=reception.organisation.id,
        incident_id=reception.incident.id,
        number=number,
        role=ItemRole.ORIGINAL,
        parent_id=None,
        companion_id=main,
        evidence_kind=examination.format.kind,
        size=taken.original.sealed.size,
        state="kept",
        content_mac=taken.content_mac,
        recipient=taken.key.recipient,
        received_time=transaction.now,
    )
    values = _item_values(reception, taken, item, examination, new_id)
    came = _came_in("stored", item, taken, transaction)
    entry = transaction.record(
        Draft(
            event=EventKind.INGESTION,
            outcome=Outcome.WARNING if examination.problems or taken.mark else Outcome.SUCCESS,
            actor=reception.actor,
            values=(("purpose", reception.method), *reception.values, *_borne(taken.arrival, came)),
            items=(ItemPart(item_id=item.id, recipient=item.recipient, values=values, first=True),),
        )
    )
    if taken.arrival.bearer is not None:
        taken.arrival.bearer.keep(transaction, came, number, entry)
    digest = taken.original.sealed.sha256.value
    marks = (f"ingest/kept-whole: {taken.mark}",) if taken.mark else ()
    return Stored(
        item=item,
        sha256=digest,
        entry=entry,
        problems=(*marks, *examination.problems),
        handed_in_sha256=_handed_in(taken),
    )


def _item_values(reception: Reception, taken: Taken, item: Item, examination: Examination, new_id: NewId) -> Values:
    arrival, sealed = taken.arrival, taken.original.sealed
    named = {"item": str(item.id)}
    # A file that was stripped keeps neither the name that its sender's telephone gave it nor what the card says of it.
    arrival = replace(arrival, untrusted_name="", untrusted_path="", claims={}) if taken.handed_in else arrival
    told = {
        "original_name": safe_text(arrival.untrusted_name),
        "path": safe_text(arrival.untrusted_path),
        "claims": {safe_text(name): safe_text(value) for name, value in arrival.claims.items()},
    }
    values: list[tuple[str, Json]] = [
        ("fixity", {**named, "stage": "receipt", "sha256": sealed.sha256.hex, "size": sealed.size}),
        ("original_name", {**named, "name": told["original_name"]}),
        ("format", {**named, **examination.format_values()}),
        ("extraction", {**named, **examination.extraction_values()}),
        ("claims", {**named, "sender": told["claims"], "embedded": examination.claim_values()}),
        ("received_as", {**named, **(AFTER_CLEANING if taken.handed_in else examination.received_as).value()}),
        *_credentials(named, examination.credentials, taken.proof),
        ("policy", {**named, **policy_value(taken)}),
        ("record", item.to_log(told)),
    ]
    for purpose, staged in (("original", taken.original), ("metadata", taken.metadata)):
        if staged is not None:
            stored = StoredObject(
                id=new_id(),
                item_id=item.id,
                purpose=purpose,
                blake3=staged.sealed.blake3.value,
                sealed_size=staged.sealed.sealed_size,
            )
            values.append(("record", stored.to_log()))
            values.append(("object", {**named, **_object_value(purpose, staged)}))
    if isinstance(taken.handed_in, dict):
        values.append(("intake", {**named, **taken.handed_in}))
    values += _file_record(reception, arrival, "stored", new_id, item_id=item.id, size=sealed.size)
    return tuple(values)


def _handed_in(taken: Taken) -> str:
    """The digest of what was handed in, where that is not what is kept; else empty."""
    match taken.handed_in:
        case {"handed_in": {"sha256": str(digest)}}:
            return digest
    return ""


def policy_value(taken: Taken) -> dict[str, Json]:
    """What the log says of step 5: under which policy, and whether the stored bytes are those that were handed in."""
    outcome = "stripped" if taken.handed_in else "kept whole, could not be cleaned" if taken.mark else "kept whole"
    value: dict[str, Json] = {"policy_id": taken.policy.id, "outcome": outcome}
    return {**value, "reason": taken.mark} if taken.mark else value


def _credentials(named: dict[str, str], *claims: CredentialClaim | None) -> Values:
    """Say what each proof that came in the file or beside it claims, and whether it holds."""
    values: list[dict[str, Json]] = [claim.value() for claim in claims if claim is not None]
    return tuple(("credentials", {**named, **value}) for value in values)


def enter_duplicate(transaction: Transaction, reception: Reception, taken: Taken, twin: Item, new_id: NewId) -> Linked:
    """Enter, in the log of the item that is here already, that the same content arrived again."""
    arrival, size = taken.arrival, taken.original.sealed.size
    if taken.handed_in:
        arrival = replace(arrival, untrusted_name="", untrusted_path="", claims={})
    duplicate: Json = {
        "item": str(twin.id),
        "name": safe_text(arrival.untrusted_name),
        "path": safe_text(arrival.untrusted_path),
        "claims": {safe_text(name): safe_text(value) for name, value in arrival.claims.items()},
    }
    sealed = taken.original.sealed
    fixity: Json = {"item": str(twin.id), "stage": "receipt", "sha256": sealed.sha256.hex, "size": size}
    values = (
        ("fixity", fixity),
        ("duplicate", duplicate),
        *((("intake", {"item": str(twin.id), **taken.handed_in}),) if isinstance(taken.handed_in, dict) else ()),
        *_file_record(reception, arrival, "linked", new_id, item_id=twin.id, size=size),
    )
    came = _came_in("linked", twin, taken, transaction)
    entry = transaction.record(
        Draft(
            event=EventKind.DUPLICATE_RECEIPT,
            actor=reception.actor,
            values=(("purpose", reception.method), *reception.values, *_borne(arrival, came)),
            items=(ItemPart(item_id=twin.id, recipient=twin.recipient, values=values),),
        )
    )
    if arrival.bearer is not None:
        arrival.bearer.keep(transaction, came, twin.number, entry)
    digest = taken.original.sealed.sha256.value
    return Linked(item_id=twin.id, item_number=twin.number, sha256=digest, size=size, entry=entry)


def enter_refusal(
    transaction: Transaction, reception: Reception, arrival: Arrival, refused: Refused, new_id: NewId
) -> Refused:
    """Enter that a file was not taken in, and why."""
    record = _file_record(reception, arrival, "refused", new_id, code=refused.error.code)
    came = arrival.bearer.refused(transaction.now) if arrival.bearer is not None else ()
    values = (("purpose", reception.method), ("code", refused.error.code), *reception.values, *record, *came)
    transaction.record(Draft(event=EventKind.REFUSAL, outcome=Outcome.FAILURE, actor=reception.actor, values=values))
    return refused


def _came_in(outcome: str, item: Item, taken: Taken, transaction: Transaction) -> CameIn:
    sealed = taken.original.sealed
    sent_sha256, sent_size = sealed.sha256.value, sealed.size
    match taken.handed_in:
        case {"handed_in": {"sha256": str(digest), "size": int(size)}}:
            sent_sha256, sent_size = bytes.fromhex(digest), size
    return CameIn(
        outcome=outcome,
        item_id=item.id,
        recipient=item.recipient,
        sha256=sealed.sha256.value,
        size=sealed.size,
        sent_sha256=sent_sha256,
        sent_size=sent_size,
        now=transaction.now,
        reveals=_reveals(taken.examination),
    )


def _reveals(examination: Examination | None) -> tuple[str, ...]:
    """Name the kinds of what a file says about itself, for whoever brought it."""
    if examination is None:
        return ()
    claims = examination.claims
    devices = {claim.kind for claim in claims.devices}
    found = {
        "place": bool(claims.places),
        "time": bool(claims.times),
        "device": bool(devices - {"software"}),
        "software": "software" in devices,
    }
    return tuple(kind for kind, is_there in found.items() if is_there)


def _borne(arrival: Arrival, came: CameIn) -> Values:
    return arrival.bearer.values(came) if arrival.bearer is not None else ()


def _file_record(
    reception: Reception,
    arrival: Arrival,
    outcome: str,
    new_id: NewId,
    *,
    code: str | None = None,
    item_id: UUID | None = None,
    size: int | None = None,
) -> Values:
    """Give the record that says what became of one file of an import; none for what arrives alone."""
    if reception.batch is None or arrival.path_mac is None:
        return ()
    record = ImportFile(
        id=new_id(),
        import_id=reception.batch.id,
        path_mac=arrival.path_mac,
        outcome=outcome,
        code=code,
        item_id=item_id,
        size=size,
    )
    return (("record", record.to_log({"path": safe_text(arrival.untrusted_path)})),)


def _object_value(purpose: str, staged: StagedObject) -> dict[str, Json]:
    return {"purpose": purpose, "blake3": staged.sealed.blake3.hex, "sealed_size": staged.sealed.sealed_size}


def item_id_of(result: Result) -> ItemId | None:
    """Return the item that a file became, or was already."""
    match result:
        case Stored(item=item):
            return ItemId(item.id)
        case Linked(item_id=item_id):
            return ItemId(item_id)
    return None


def safe_text(untrusted: str) -> str:
    """Make text from outside safe for canonical JSON; what is no UTF-8 is kept, as escapes."""
    try:
        return untrusted.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return untrusted.encode("utf-8", "backslashreplace").decode("utf-8")
