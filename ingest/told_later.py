"""What a client tells of its upload after it was made: the digest that it has worked out meanwhile, or all, sealed.

It is read once, at the last octet. So it is acknowledged only where it was durable before that.
"""

from pathlib import Path

from archive.age.keyring import Keyring
from archive.age.recipients import parse_recipient
from archive.catalogue.database import Database
from archive.catalogue.drops import RECEIVING, upload_by_name, visit_by_id
from archive.catalogue.records import Visit
from archive.errors import ConflictError
from archive.segments import upload_name
from archive.turns import no_such_upload
from archive.uploadtold import keep_told, told_by_address
from ingest.arrival import ArrivalKey
from ingest.told import Told


class ToldLater:
    """Keeps what is told of uploads that are under way."""

    def __init__(self, *, root: Path, database: Database, arrival: ArrivalKey) -> None:
        self._root = root
        self._database = database
        self._arrival = arrival

    def digest(self, address: bytes, sha256: str) -> None:
        """Take the SHA-256 that a client has computed meanwhile; the first word counts.

        Raises: ConflictError `uploads/digest-told`, `uploads/told-too-late`; NotFoundError `uploads/no-such-upload`.
        """
        told = Told.parse(told_by_address(self._root, address))
        if told.sha256 not in (None, sha256):
            raise _another_digest()
        if told.sha256 is None:
            self._keep(address, told.with_digest(sha256))

    def note(self, address: bytes, sealed: bytes) -> None:
        """Take what a phone tells of a file that it has sealed; the newer word counts, but for the SHA-256 the first.

        Raises: InputError `uploads/not-opened`; as `digest`.
        """
        told = Told.parse(told_by_address(self._root, address))
        note = self._arrival.open_note(sealed)
        if told.sha256 not in (None, note.get("sha256", told.sha256)):
            raise _another_digest()
        self._keep(address, told.with_note(note))

    def _keep(self, address: bytes, told: Told) -> None:
        visit = self._visit_under_way(address)
        keep_told(self._root, address, keyring_of(visit), told.format())
        self._visit_under_way(address)  # The last octet may have come meanwhile.

    def _visit_under_way(self, address: bytes) -> Visit:
        with self._database.reading() as session:
            row = upload_by_name(session, bytes.fromhex(upload_name(address)))
            visit = visit_by_id(session, row.visit_id) if row is not None else None
        if row is None or visit is None:
            raise no_such_upload()
        if row.state != RECEIVING or row.received == row.declared:
            raise ConflictError(
                "uploads/told-too-late",
                "All of this upload is here already; what is told now is compared with nothing. The file is kept.",
            )
        return visit


def keyring_of(visit: Visit) -> Keyring:
    """Return the keyring that what comes through a visit is sealed to."""
    recipient = parse_recipient(visit.recipient)
    return Keyring(kind=recipient.kind, recipients=(recipient,))


def _another_digest() -> ConflictError:
    return ConflictError("uploads/digest-told", "Another SHA-256 was told for this upload before; it is kept.")
