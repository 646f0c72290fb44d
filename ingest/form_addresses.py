"""The addresses of uploads that forms without scripts bring: kept for their sender alone, until each is in.

A browser without scripts never learns the address of what it sends. Where the server is killed after the last octet,
nobody could finish it while the archive is locked. So the address is sealed to the visit's sender, whose next form
opens it; the archive itself cannot.
"""

import hashlib
from uuid import UUID

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity, parse_recipient
from archive.age.stream import seal_bytes
from archive.catalogue.drop_models import SlipRow
from archive.catalogue.drops import RECEIVING, delivery_of, slips_of, uploads_of
from archive.catalogue.records import Visit
from archive.segments import upload_name
from archive.vault import open_value


def keep_address(session: Session, visit: Visit, address: bytes) -> None:
    """Seal an upload's address to its sender."""
    recipients = [parse_recipient(text) for text in visit.sender_recipients.split()]
    sealed = seal_bytes(address, recipients)
    row = {"delivery_id": _place(bytes.fromhex(upload_name(address))), "visit_id": visit.id, "sealed": sealed}
    session.execute(insert(SlipRow), [row])


def forget_address(session: Session, upload: bytes) -> None:
    """Let go of an address that nobody needs any more."""
    session.execute(delete(SlipRow).where(SlipRow.delivery_id == _place(upload)))


def addresses_of(session: Session, visit_id: UUID, identity: KeyIdentity) -> list[bytes]:
    """Return the addresses of a visit's uploads that are whole and no items yet, as their sender opens them."""
    whole = [row.name for row in uploads_of(session, visit_id) if row.state == RECEIVING and row.is_whole]
    waiting = [_place(name) for name in whole if delivery_of(session, name) is None]
    return [open_value(identity, sealed) for sealed in slips_of(session, waiting).values()]


def _place(upload: bytes) -> UUID:
    return UUID(bytes=hashlib.sha256(b"testigo address\0" + upload).digest()[:16])
