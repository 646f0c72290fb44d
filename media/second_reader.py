"""Whether a copy is clean, told by other programs than made it; anything that is not allowed means no.

Three readers, each of which alone may refuse: ExifTool, every field of whose answer must belong to a class that stays;
an inspector of the format, which knows every piece that may be there; and a search of all bytes for the values that the
original told and that were to go. A second format in the file, and a file that no inspector knows, fail as well.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest

from archive.errors import InputError
from media.boxes import tracks
from media.class_tables import WALKED
from media.classify import ClassedTag, classify_all
from media.cleaners.port import Cleaned, Inspector
from media.conversation import Allowance
from media.exiftool import DEEPEST_OPTION, EMBEDDED_OPTION
from media.identify import HEAD_OCTETS, Format, identify
from media.metadata_classes import MetadataClass
from media.metadata_reader import Extraction, MetadataReader
from media.policy import ALWAYS_KEPT
from media.problems import Problem
from media.ranges import RangeSource, TakingTurns
from media.sample_tables import count_of, only_what_is_played
from media.tags import Tag, parse_tags
from media.video import StreamProbe

SHORTEST_TRACE = 5
"""Shorter values occur by chance in compressed pictures, so they say nothing."""

_WINDOW_OCTETS = 1 << 20
_LONGEST_TRACE = 4096
_SEARCHED_WHOLE = 64 << 20
_SEARCHED_ENDS = 16 << 20
_NOTHING_TOLD = re.compile(r"(?:0000[:-]00[:-]00(?: 00:00:00)?|0|)")
_BAD_WARNING = re.compile(r"trailer|unknown data|unreferenced|extra data|garbage|Processing .* skipped", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A clean copy, as its readers found it."""

    sha256: bytes
    size: int
    fields: tuple[ClassedTag, ...]
    reader: str
    version: str


class SecondReader:
    """Reads what cleaners made."""

    def __init__(self, inspectors: Sequence[Inspector], probe: StreamProbe) -> None:
        self._inspectors = tuple(inspectors)
        self._probe = probe

    def read(
        self,
        copy: RangeSource,
        cleaned: Cleaned,
        *,
        keep: frozenset[MetadataClass],
        traces: Sequence[str],
        reader: MetadataReader,
        deadline: float,
    ) -> Reading:
        """Find that a copy holds nothing but what may stay.

        Raises: InputError `media/not-clean` with every reason found; what the source raises.
        """
        copy = TakingTurns(copy)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="search") as beside:
            searching = beside.submit(_search, copy, () if cleaned.words_may_stay else traces, deadline)
            extraction, classed, found = self._told(copy, cleaned, keep, reader, deadline)
            digest, traced = searching.result()
        found += traced
        if found:
            raise not_clean(tuple(dict.fromkeys(found)))
        return Reading(
            sha256=digest, size=copy.size, fields=classed, reader=extraction.tool, version=extraction.version
        )

    def _told(
        self,
        copy: RangeSource,
        cleaned: Cleaned,
        keep: frozenset[MetadataClass],
        reader: MetadataReader,
        deadline: float,
    ) -> tuple[Extraction, tuple[ClassedTag, ...], list[str]]:
        """Give what ExifTool says, and all that it and the inspectors found amiss."""
        found: list[str] = []
        allowance = Allowance(deadline - time.monotonic())
        extraction = reader.extract(copy, allowance, embedded=_depth(copy))
        deadline = time.monotonic() + allowance.left  # Waiting for another file's answer is not this one's time.
        if extraction.problem is not None:
            found.append(f"ExifTool could not read the whole copy ({extraction.problem.code})")
        tags = parse_tags(extraction.raw)
        form = identify(copy.read_range(0, min(HEAD_OCTETS, copy.size)), copy, tags)
        found += _other_formats(form, cleaned)
        found += _missing(copy, cleaned) + _other_sounds(copy, cleaned, self._probe, deadline)
        classed = classify_all(tags)
        found += _fields_left(classed, keep)
        return extraction, classed, found + self._inspect(copy, form, keep, deadline)

    def _inspect(self, copy: RangeSource, form: Format, keep: frozenset[MetadataClass], deadline: float) -> list[str]:
        inspectors = [each for each in self._inspectors if each.takes(form)]
        if not inspectors:
            return ["nothing here can walk this format piece by piece"]
        return [word for each in inspectors for word in each.inspect(copy, form, keep, deadline)]


def _depth(copy: RangeSource) -> str:
    """Have ExifTool look through the media data of a large film only where something may lie between its samples."""
    if copy.size <= _SEARCHED_WHOLE or copy.read_range(4, 4) != b"ftyp":
        return DEEPEST_OPTION
    try:
        return EMBEDDED_OPTION if only_what_is_played(copy) else DEEPEST_OPTION
    except InputError:
        return DEEPEST_OPTION


def not_clean(found: Sequence[str]) -> InputError:
    """Make the refusal of a copy in which something was left."""
    return InputError(
        "media/not-clean",
        f"The cleaned copy was thrown away, because its second reader still found: {'; '.join(found[:8])}"
        f"{f'; and {len(found) - 8} more' if len(found) > 8 else ''}. The original is kept as it is.",
        evidence={"found": tuple(found)},
    )


def traces_of(tags: Sequence[ClassedTag], keep: frozenset[MetadataClass]) -> tuple[str, ...]:
    """Give the values that must not be found in a copy: of every field that is to go, unless a field that stays tells
    the same."""
    shown = {each.tag.text.strip() for each in tags if each.about in ALWAYS_KEPT}
    stays = "\0".join(text for each in tags if each.about in keep - ALWAYS_KEPT for text in _texts(each.tag))
    gone: dict[str, None] = {}
    for each in tags:
        if each.about in keep or each.about in ALWAYS_KEPT or each.tag.family in ("Composite", "ExifTool", "File"):
            continue
        for text in map(str.strip, _texts(each.tag)):
            if _is_trace(text) and text not in shown and text not in stays:
                gone[text] = None
    return tuple(gone)


def _texts(tag: Tag) -> tuple[str, ...]:
    return (tag.text, tag.number, *(text for _, text in tag.fields))


def _is_trace(text: str) -> bool:
    """Numbers and what ExifTool says itself ("(Binary data 512 bytes …") are nobody's words."""
    return (
        len(text.encode()) >= SHORTEST_TRACE
        and not text.startswith("(Binary data")
        and not re.fullmatch(r"[\d\s.,/+-]*", text)
        and not _NOTHING_TOLD.fullmatch(text)
    )


def _other_formats(form: Format, cleaned: Cleaned) -> list[str]:
    found = [f"marks of a second format in the file ({sign})" for sign in form.polyglot_signs]
    if form.mime_type != cleaned.mime_type:
        found.append(f"another format ({form.mime_type}) than was made ({cleaned.mime_type})")
    return found


def _missing(copy: RangeSource, cleaned: Cleaned) -> list[str]:
    """Name what is seen or heard of the original and is not there: tools pass over what they cannot read."""
    if not cleaned.samples:
        return []
    try:
        there = [(each.handler, count_of(copy, each.number)) for each in tracks(copy)]
    except InputError as error:
        return [error.message]
    words = {"vide": "pictures", "soun": "sound"}
    found = []
    for handler, wanted in cleaned.samples.items():
        counts = [count for other, count in there if other == handler]
        pairs = zip_longest(wanted, counts, fillvalue=0)
        if len(counts) < len(wanted) or any(count is not None and count < (least or 0) for least, count in pairs):
            found.append(f"less {words.get(handler, 'of a track')} than in the original")
    return found


def _other_sounds(copy: RangeSource, cleaned: Cleaned, probe: StreamProbe, deadline: float) -> list[str]:
    """Count the sounds: one that is missing is missed by nobody who hears the copy, one too many was never heard."""
    if cleaned.sounds is None:
        return []
    told = probe.probe(copy, deadline=deadline)
    if isinstance(told, Problem):
        return [told.reason]
    count = sum(each.kind == "audio" for each in told.streams)
    return [] if count == cleaned.sounds else [f"{count} sounds, where the original has {cleaned.sounds}"]


def _fields_left(classed: Sequence[ClassedTag], keep: frozenset[MetadataClass]) -> list[str]:
    found = []
    for each in classed:
        tag = each.tag
        if tag.family == "ExifTool" and tag.name == "Error":
            found.append(f"a file that ExifTool cannot read ({tag.text})")
        elif tag.family == "ExifTool" and tag.name == "Warning" and _BAD_WARNING.search(tag.text):
            found.append(f"what ExifTool warns of ({tag.text})")
        elif each.about not in keep and each.about not in ALWAYS_KEPT and not _tells_nothing(tag):
            found.append(f"{each.about.value.replace('_', ' ')}: the field {tag.source}")
    return found


def _tells_nothing(tag: Tag) -> bool:
    if (tag.family, tag.name) in WALKED:
        return True
    return not tag.fields and bool(
        _NOTHING_TOLD.fullmatch(tag.number.strip()) or _NOTHING_TOLD.fullmatch(tag.text.strip())
    )


def _search(copy: RangeSource, traces: Sequence[str], deadline: float) -> tuple[bytes, list[str]]:
    """Take the digest of a copy and look for traces in its bytes, in UTF-8 and UTF-16.

    Of a very large copy only the ends are searched; between them lies what is played, and its inspector has walked it.
    """
    wanted = {text: _spellings(text) for text in traces}
    longest = max((len(each) for spellings in wanted.values() for each in spellings), default=0)
    digest, carried, found = hashlib.sha256(), b"", dict[str, None]()
    for start in range(0, copy.size, _WINDOW_OCTETS):
        piece = copy.read_range(start, min(_WINDOW_OCTETS, copy.size - start))
        digest.update(piece)
        at_an_end = start < _SEARCHED_ENDS or start >= copy.size - _SEARCHED_ENDS
        if wanted and (copy.size <= _SEARCHED_WHOLE or at_an_end):
            _give_up_after(deadline)
            window = carried + piece
            for text in [text for text, each in wanted.items() if any(spelling in window for spelling in each)]:
                found[text] = None
                del wanted[text]
            carried = window[-longest:]
    return digest.digest(), [f"the value of a field that was to go, in its bytes ({len(found)} such)"] if found else []


def _give_up_after(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise not_clean(["that its bytes could not be searched in the time allowed"])


def _spellings(text: str) -> tuple[bytes, ...]:
    cut = text[:_LONGEST_TRACE]
    return tuple(dict.fromkeys(cut.encode(code, "replace") for code in ("utf-8", "utf-16-le", "utf-16-be")))
