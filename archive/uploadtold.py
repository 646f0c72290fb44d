"""What a client told of its upload (the file's name, its digest): sealed beside the segments, as they are sealed.

    <upload>/told/000000.age, .key
    <upload>/place                     in clear: the visit that it belongs to, and its declared length

So the client's next request can read it, an unlocked office can, and a seized disk cannot.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from archive.age.keyring import Keyring
from archive.age.payload import CHUNK_OCTETS
from archive.age.wrapping import Identity, unwrap_file_key
from archive.durable import make_folder_durably, write_durably
from archive.errors import NotFoundError
from archive.segmentfiles import KeyOf, NewSegment, StoredSegment, remove_segment, segment_numbers
from archive.segmentkeys import upload_name
from archive.segments import upload_folder

MOST_OCTETS = CHUNK_OCTETS - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an upload belongs, so that a rebuilt catalogue finds its visit again."""

    visit_id: UUID
    declared: int


def keep_place(root: Path, name: str, place: Place) -> None:
    value = {"declared": place.declared, "v": 1, "visit": str(place.visit_id)}
    text = json.dumps(value, separators=(",", ":"))
    write_durably(upload_folder(root, name) / "place", text.encode("ascii"))


def place_of(root: Path, name: str) -> Place | None:
    """Return where an upload belongs; None where nothing readable says so."""
    try:
        match json.loads((upload_folder(root, name) / "place").read_bytes()):
            case {"declared": int(declared), "v": 1, "visit": str(visit)}:
                return Place(visit_id=UUID(visit), declared=declared)
    except (OSError, ValueError, NotFoundError):
        return None
    return None


def keep_told(root: Path, address: bytes, keyring: Keyring, plain: bytes) -> None:
    """Seal what a client told; what it told before is replaced.

    Raises: ValueError for more than `MOST_OCTETS`; NotFoundError `uploads/no-such-upload`.
    """
    if not 0 < len(plain) <= MOST_OCTETS:
        raise ValueError(f"what a client tells has 1 to {MOST_OCTETS} octets")
    folder = upload_folder(root, upload_name(address)) / "told"
    make_folder_durably(folder)
    before = segment_numbers(folder)
    # Number 0 and its own place in the key's MAC keep it from being taken for a segment of the upload.
    segment = NewSegment.create(folder, address, keyring, number=before[-1] + 1 if before else 0, start=0)
    try:
        segment.seal(memoryview(plain))
        segment.sync()
    finally:
        segment.close()
    for number in before:
        remove_segment(folder, number)


def told_by_address(root: Path, address: bytes) -> bytes:
    """Read it as the client's next request does. Raises: NotFoundError `uploads/no-such-upload`."""
    return _read(root, upload_name(address), lambda key, _: key.open(address))


def told_by_identities(root: Path, name: str, identities: Sequence[Identity]) -> bytes:
    """Read it as an unlocked office does."""
    return _read(root, name, lambda _, header: unwrap_file_key(header.stanzas, identities))


def _read(root: Path, name: str, key_of: KeyOf) -> bytes:
    folder = upload_folder(root, name) / "told"
    # A crash may have left the newest unwritten or the one before it unremoved.
    for number in reversed(segment_numbers(folder) if folder.is_dir() else ()):
        with StoredSegment(folder, name, number, key_of) as segment:
            if plain := b"".join(segment.plain()):
                return plain
    raise NotFoundError("uploads/nothing-told", "Nothing is kept of what was said about this upload.")
