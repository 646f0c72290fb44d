"""Previews of photos and documents, made by our own code in the confined Python."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from archive.errors import InputError, UnavailableError
from media.confined_python import Answer, ConfinedPython
from media.identify import Format
from media.options import MIB, MediaSettings
from media.preview_parts import NotMade, Part, Preview
from media.problems import Problem
from media.ranges import RangeSource

PHOTO_SIDES = (1600, 320)
MOST_PAGES = 60
_LARGEST_MIB = 300
_OUTPUT_OCTETS = 128 * MIB
_OFFICE = ("vnd.openxmlformats-officedocument.", "vnd.oasis.opendocument.")
_WORDS = {
    "too-many-points": "it has too many points to be shown here.",
    "not-shown": "it is damaged, or of a kind that cannot be shown here.",
    "encrypted": "it is locked with a password.",
    "no-text": "there is no text in it.",
    "too-complex": "showing it takes more memory than is allowed for one file.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """One question to the confined Python."""

    purpose: str
    module: str
    arguments: tuple[str, ...]


class StillPreviews:
    """Makes the previews of one photo or document at a time."""

    def __init__(self, python: ConfinedPython, settings: MediaSettings) -> None:
        self._python = python
        self._settings = settings

    def photo(self, source: RangeSource) -> Iterator[Preview]:
        """Give a photo in two sizes."""
        ask = _Ask(purpose="photo-1600", module="preview_photo", arguments=tuple(map(str, PHOTO_SIDES)))
        output = self._ask(ask, source)
        if isinstance(output, NotMade):
            yield output
            return
        tool = f"Pillow {version('pillow')}"
        head, _, rest = output.partition(b"\n")
        for told in json.loads(head):
            content, rest = rest[: told["octets"]], rest[told["octets"] :]
            facts = {"width": told["width"], "height": told["height"]}
            purpose = f"photo-{told['side']}"
            yield Part(purpose=purpose, mime_type="image/jpeg", tool=tool, content=content, facts=facts)

    def document(self, source: RangeSource, form: Format) -> Iterator[Preview]:
        """Give the pages of a PDF and the text of what has any."""
        if form.mime_type == "application/pdf":
            yield from self._pdf(source)
            return
        way = _way_to_text(form.mime_type)
        if way is None:
            yield NotMade(purpose="text", problem=_not_made("there is no preview for this kind of file yet."))
            return
        output = self._ask(_Ask(purpose="text", module="preview_text", arguments=(way,)), source)
        if isinstance(output, NotMade):
            yield output
        else:
            yield Part(purpose="text", mime_type="text/plain; charset=utf-8", tool="Python", content=output)

    def _pdf(self, source: RangeSource) -> Iterator[Preview]:
        output = self._ask(_Ask(purpose="page-0001", module="preview_pdf", arguments=(str(MOST_PAGES),)), source)
        if isinstance(output, NotMade):
            yield output
            return
        tool = f"pypdfium2 {version('pypdfium2')}"
        head, _, rest = output.partition(b"\n")
        told = json.loads(head)
        text, rest = rest[: told["text"]], rest[told["text"] :]
        if text.strip():
            yield Part(purpose="text", mime_type="text/plain; charset=utf-8", tool=tool, content=text)
        for shown in told["shown"]:
            content, rest = rest[: shown["octets"]], rest[shown["octets"] :]
            facts = {"page": shown["page"], "pages": told["pages"], "width": shown["width"], "height": shown["height"]}
            purpose = f"page-{shown['page']:04}"
            yield Part(purpose=purpose, mime_type="image/jpeg", tool=tool, content=content, facts=facts)
        missing = told["pages"] - len(told["shown"])
        if missing:
            reason = f"{missing} of its {told['pages']} pages are not shown; the first {MOST_PAGES} at most are."
            yield NotMade(purpose="pages", problem=_not_made(reason))

    def _ask(self, ask: _Ask, source: RangeSource) -> bytes | NotMade:
        if source.size > _LARGEST_MIB * MIB:
            return NotMade(purpose=ask.purpose, problem=_not_made("it is too large to be shown here."))
        try:
            answer: Answer = self._python.run(
                ask.module,
                {"file": source},
                ask.arguments,
                deadline=time.monotonic() + self._settings.wall_seconds,
                output_octets=_OUTPUT_OCTETS,
                memory_octets=self._settings.transcode_memory_mib * MIB,
            )
        except (InputError, UnavailableError) as error:
            return NotMade(purpose=ask.purpose, problem=Problem.of(error))
        if answer.refusal is not None:
            return NotMade(purpose=ask.purpose, problem=_not_made(_WORDS.get(answer.refusal, _WORDS["not-shown"])))
        return answer.output


def _way_to_text(mime_type: str) -> str | None:
    if mime_type == "message/rfc822":
        return "mail"
    if mime_type.startswith(tuple(f"application/{each}" for each in _OFFICE)):
        return "office"
    if mime_type.startswith("text/") or mime_type in ("application/json", "application/xml"):
        return "text"
    return None


def _not_made(reason: str) -> Problem:
    return Problem(code="media/no-preview", reason=f"No preview of this file: {reason} The original is kept.")
