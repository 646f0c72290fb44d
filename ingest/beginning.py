"""The entries with which an import begins and goes on: from where, by whom it was handed over, what was listed.

What somebody tells when an import goes on is entered as well, also of files that are in already: nothing that was told
is dropped.
"""

from pathlib import Path
from uuid import UUID

from archive.catalogue.accounts import organisation, read_secret
from archive.catalogue.incidents import import_files
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import ImportBatch, Organisation
from archive.types import Owner, OwnerKind
from custody.canonical import Json
from custody.drafts import Draft, OwnedPart, Values
from custody.entries import EventKind
from custody.ledger import Ledger, Transaction
from ingest.entering import safe_text
from ingest.folder import Listing
from ingest.listed import Macs, drop_list, keep_list, source_mac, stand, told_list
from ingest.reconciliation import ImportRequest


def enter_new(
    ledger: Ledger, locks: Path, key: bytes, import_id: UUID, request: ImportRequest, listing: Listing
) -> ImportBatch:
    """Enter an import, with the list of what its source holds. `key` is the intake key."""
    # The list is kept before the import is entered: without it nothing could tell what is gone.
    keep_list(locks, import_id, Macs(key, import_id), listing)
    try:
        with ledger.transaction() as transaction:
            ours = organisation(transaction.session)
            batch = ImportBatch(
                id=import_id,
                organisation_id=ours.id,
                number=next_numbers(transaction.session, NumberKind.IMPORT, transaction.now.year)[0],
                incident_id=request.incident.id,
                status="running",
                source_mac=source_mac(key, request.source),
                started_time=transaction.now,
            )
            told: dict[str, Json] = {"source": safe_text(str(request.source)), **_told(request, listing)}
            values: Values = (("record", batch.to_log(told)), ("listing", told_list(listing)))
            transaction.record(_draft("import begun", request, transaction, ours, values))
    except BaseException:  # Raised again.
        drop_list(locks, import_id)
        raise
    return batch


def enter_going_on(ledger: Ledger, batch: ImportBatch, request: ImportRequest, listing: Listing) -> None:
    """Enter that an import goes on, with what is told now."""
    with ledger.transaction() as transaction:
        macs = Macs(read_secret(transaction.session, "intake-key"), batch.id)
        ended = stand(macs, listing, import_files(transaction.session, batch.id), (), ()).ended
        late: dict[str, Json] = {path: dict(told) for path, told in request.claims.items() if path in ended and told}
        going_on: dict[str, Json] = {"import": batch.number, **_told(request, listing), "late_claims": late}
        ours = organisation(transaction.session)
        transaction.record(_draft("import gone on with", request, transaction, ours, (("going_on", going_on),)))


def _draft(purpose: str, request: ImportRequest, transaction: Transaction, ours: Organisation, values: Values) -> Draft:
    reason: Values = (("reason", safe_text(request.reason)),) if request.reason else ()
    return Draft(
        event=EventKind.IMPORT,
        actor=request.actor,
        values=(("purpose", purpose), *values, *reason),
        owned=_custodian(transaction, ours, request.custodian),
    )


def _told(request: ImportRequest, listing: Listing) -> dict[str, Json]:
    return {
        "mounted": "read-only" if listing.mounted_read_only else "writable",
        "device": safe_text(request.device) if request.device else None,
        "write_blocker": safe_text(request.write_blocker) if request.write_blocker else None,
    }


def _custodian(transaction: Transaction, ours: Organisation, name: str | None) -> tuple[OwnedPart, ...]:
    """Close a custodian's name under the identity keyring, which the office cannot open."""
    if not name:
        return ()
    recipients = tuple(str(recipient) for recipient in transaction.keyrings.standing().identity.recipients)
    values: Values = (("custodian_claim", safe_text(name)),)
    return (OwnedPart(owner=Owner(kind=OwnerKind.IDENTITY, id=ours.id), recipients=recipients, values=values),)
