"""Whether a text that was taken out of a PDF still stands somewhere else in the copy."""

import io
from collections.abc import Iterator

import pikepdf
from pikepdf import Dictionary, Pdf, Stream, String

_SHORTEST = 5
_NEUTRAL = frozenset({"true", "false", "unknown"})


def removed_texts(pdf: Pdf) -> frozenset[str]:
    """Give the texts of the document's own properties and of its annotations' authors."""
    found = {str(value) for value in _properties(pdf)}
    return frozenset(text.strip() for text in found if len(text.strip()) >= _SHORTEST) - _NEUTRAL


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
            octets = one.unparse(resolved=True) if not isinstance(one, Stream) else _content(one)
            if any(each in octets for each in wanted):
                return True
    return False


def _content(stream: pikepdf.Object) -> bytes:
    try:
        return bytes(stream.read_bytes())
    except pikepdf.PdfError:
        return bytes(stream.read_raw_bytes())
