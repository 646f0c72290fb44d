"""Clean an office document in two runs: first it gives the media inside, then, with these cleaned, the copy."""

from collections.abc import Callable

from lxml import etree

from media.confined import odf, ooxml
from media.confined.child import Inputs, Refusal, answer
from media.confined.framing import framed, unframed
from media.confined.office_traces import removed_texts, still_there
from media.confined.office_zip import read_members
from media.confined.ooxml_package import CONTENT_TYPES

Clean = Callable[[dict[str, bytes], list[bytes] | None], tuple[list[bytes], bytes]]


def main(arguments: list[str]) -> int:
    """Answer as a child."""
    return answer(arguments, work)


def work(inputs: Inputs, _arguments: list[str]) -> bytes:
    """Give the media of `file`, or the copy where `media` holds them cleaned."""
    members = read_members(bytes(inputs["file"]))
    clean: Clean = ooxml.clean if CONTENT_TYPES in members else odf.clean
    cleaned = unframed(bytes(inputs["media"])) if "media" in inputs else None
    try:
        media, copy = clean(members, cleaned)
    except (etree.LxmlError, ValueError, KeyError, TypeError, AttributeError):
        # A part is not built as the standard has it, so nothing can be said for it.
        raise Refusal("damaged") from None
    if cleaned is None:
        return framed(media)
    if still_there(copy, removed_texts(members)):
        raise Refusal("value-in-text")
    return copy
