"""A picture inside a document is cleaned like one by itself, and walked by its inspector before it goes in."""

import io

from archive.types import EvidenceKind
from media.cleaners.document_refusals import refuse
from media.cleaners.photos import PhotoCleaner
from media.cleaners.picture_inspector import PictureInspector
from media.cleaners.port import CleanRequest
from media.first_bytes import from_first_bytes
from media.identify import HEAD_OCTETS, Format
from media.policy import ALWAYS_KEPT
from media.ranges import BytesRanges


def clean_embedded(pictures: PhotoCleaner, inspector: PictureInspector, content: bytes, request: CleanRequest) -> bytes:
    """Give the picture cleaned of everything. Raises: InputError `media/cannot-clean`."""
    source = BytesRanges(content)
    guess = from_first_bytes(content[:HEAD_OCTETS], source)
    form = Format(
        mime_type=guess.mime_type if guess else "application/octet-stream",
        name=guess.name if guess else "unknown",
        kind=EvidenceKind.PHOTO,
        pronom=None,
    )
    if not pictures.takes(form):
        raise refuse("embedded-object")
    made = io.BytesIO()
    bare = CleanRequest(source=source, format=form, keep=ALWAYS_KEPT, deadline=request.deadline)
    cleaned = pictures.clean(bare, made)
    copy = BytesRanges(made.getvalue())
    same = Format(mime_type=cleaned.mime_type, name=form.name, kind=form.kind, pronom=None)
    if cleaned.mime_type != form.mime_type or any(inspector.inspect(copy, same, ALWAYS_KEPT, request.deadline)):
        raise refuse("embedded-object")
    return made.getvalue()
