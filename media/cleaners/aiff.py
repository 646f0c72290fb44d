"""AIFF: the chunks that a player needs, copied bit for bit; names, authors, comments, ID3 tags and all else stay out.

Standard: Audio Interchange File Format 1.3; AIFF-C draft of 1991.
"""

import struct
from collections.abc import Iterable, Iterator
from importlib.metadata import version

from archive.errors import InputError
from media.cleaners.port import Cleaned, CleanRequest, Sink
from media.confinement import Confinement
from media.identify import Format
from media.metadata_classes import MetadataClass
from media.options import MediaSettings
from media.ranges import RangeSource

_KINDS = (b"AIFF", b"AIFC")
_KEPT = (b"FVER", b"COMM", b"SSND")
_MOST_CHUNKS = 10_000
_COPIED_OCTETS = 1 << 20
_COMMON_OCTETS = 18


class AiffCleaner:
    """Cleans AIFF and AIFF-C; needs no tool."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        del confinement, settings  # Every cleaner is made the same way.

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return format.mime_type == "audio/x-aiff"

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned:
        """Copy the chunks that are played. Raises: as `Cleaner.clean`."""
        source = request.source
        head = source.read_range(0, 12)
        kept = [(name, start, size) for name, start, size in _chunks(source) if name in _KEPT]
        names = [name for name, _, _ in kept]
        if names.count(b"COMM") != 1 or names.count(b"SSND") != 1 or head[8:12] not in _KINDS:
            raise _refusal("it does not hold one sound and its description")
        common = next(_common(source.read_range(start, size)) for name, start, size in kept if name == b"COMM")
        length = 4 + len(common) + sum(8 + size + size % 2 for name, _, size in kept if name != b"COMM")
        sink.write(struct.pack(">4sI4s", b"FORM", length, head[8:12]))
        for name, start, size in kept:
            if name == b"COMM":
                sink.write(common)
                continue
            sink.write(struct.pack(">4sI", name, size))
            for place in range(start, start + size, _COPIED_OCTETS):
                sink.write(source.read_range(place, min(_COPIED_OCTETS, start + size - place)))
            sink.write(bytes(size % 2))
        return Cleaned(tool="Testigo sound rebuilder", version=version("testigo"), mime_type="audio/x-aiff")


class AiffInspector:
    """Walks AIFF."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        del confinement, settings  # As above.

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return format.mime_type == "audio/x-aiff"

    def inspect(
        self,
        copy: RangeSource,
        format: Format,  # noqa: A002  # the field's own word
        keep: frozenset[MetadataClass],
        deadline: float,
    ) -> Iterable[str]:
        """Name what should not be there: a chunk beside the played ones, or bytes outside the form."""
        del format, keep, deadline
        place = 12
        if int.from_bytes(copy.read_range(4, 4), "big") + 8 != copy.size:
            return ("bytes after the end of the sound",)
        found = []
        while place < copy.size:
            head = copy.read_range(place, 8)
            if head[:4] not in (b"COMM", b"SSND", b"FVER"):
                found.append(f"a chunk of its own ({head[:4].hex()})")
            place += 8 + int.from_bytes(head[4:], "big")
            place += place % 2
        return tuple(found)


def _common(body: bytes) -> bytes:
    """Give the description of the sound; in AIFF-C a name of the coding follows it, which players do not need."""
    if len(body) > _COMMON_OCTETS + 4:
        body = body[: _COMMON_OCTETS + 4] + b"\0\0"
    return struct.pack(">4sI", b"COMM", len(body)) + body + bytes(len(body) % 2)


def _chunks(source: RangeSource) -> Iterator[tuple[bytes, int, int]]:
    place = 12
    for _ in range(_MOST_CHUNKS):
        head = source.read_range(place, 8)
        if len(head) < 8:
            return
        name, size = struct.unpack(">4sI", head)
        if place + 8 + size > source.size:
            raise _refusal("a part of it reaches beyond its end")
        yield name, place + 8, size
        place += 8 + size + size % 2
    raise _refusal("it has parts without end")


def _refusal(how: str) -> InputError:
    return InputError("media/cannot-clean", f"This sound cannot be cleaned: {how}. The original is kept as it is.")
