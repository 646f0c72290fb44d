"""Whether a text that was taken out of a PDF still stands somewhere else in the copy."""

import io
import re
from collections.abc import Iterator

import pikepdf
from pikepdf import Dictionary, Pdf, Stream, String

_SHORTEST = 5
_XMP_TEXT = re.compile(rb">([^<>]{5,400})</")
_MACHINES_OWN = re.compile(
    r"[\d\s.,:+TZ/-]*|(?:uuid|xmp\.[di]id|adobe):.*|application/pdf|x-default|[A-Z/]{3,8}[ \d:-]*"
)
_NEUTRAL = frozenset({"true", "false", "unknown"})


def removed_texts(pdf: Pdf) -> frozenset[str]:
    """Give the texts of the document's own properties and of its annotations' authors."""
    found = {str(value) for value in _properties(pdf)} | _described(pdf)
    return frozenset(text.strip() for text in found if len(text.strip()) >= _SHORTEST) - _NEUTRAL


def _described(pdf: Pdf) -> set[str]:
    """Give the texts of the document's XMP, but for dates, numbers and the names of versions."""
    described = pdf.Root.get("/Metadata")
    if not isinstance(described, Stream):
        return set()
    texts = (text.decode("utf-8", "replace").strip() for text in _XMP_TEXT.findall(_content(described)))
    return {text for text in texts if not _MACHINES_OWN.fullmatch(text)}


def _properties(pdf: Pdf) -> Iterator[String]:
    information = pdf.trailer.get("/Info", Dictionary())
    for name in information.keys():  # noqa: SIM118  # pikepdf iterates otherwise
        value = information.get(name)
        if isinstance(value, String) and not str(value).startswith("D:"):
            yield value
    for page in pdf.pages:
        for annotation in page.obj.get("/Annots", pikepdf.Array()):
            author = annotation.get("/T")
            if annotation.get("/Subtype") != "/Widget" and isinstance(author, String):
                yield author


def still_there(made: bytes, texts: frozenset[str]) -> bool:
    """Look for the texts in the copy, raw and unpacked, in UTF-8 and in both orders of UTF-16."""
    wanted = [text.encode(code, "replace") for text in texts for code in ("utf-8", "utf-16-be", "utf-16-le")]
    if any(each in made for each in wanted):
        return True
    with pikepdf.open(io.BytesIO(made)) as pdf:
        for one in pdf.objects:
            if any(each in _octets(one) for each in wanted):
                return True
    return False


def _octets(one: object) -> bytes:
    """Give an object's bytes; a number that stands alone comes as Python's own."""
    if isinstance(one, Stream):
        return _content(one)
    return one.unparse(resolved=True) if isinstance(one, pikepdf.Object) else str(one).encode()


def _content(stream: pikepdf.Object) -> bytes:
    try:
        return bytes(stream.read_bytes())
    except pikepdf.PdfError:
        return bytes(stream.read_raw_bytes())
