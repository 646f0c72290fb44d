"""What of a film or a sound is seen and heard, told once for the review copy and for the copies that leave. No I/O of
its own.

One picture: the first that players show by default. Every sound, because nobody can know which of them a viewer's
player plays. A sound of a coding that nothing here can read is heard by nobody here, so it is kept apart.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from media.boxes import walk
from media.ranges import RangeSource
from media.video import Stream, Streams

_WORDS = {"subtitle": "subtitles", "data": "a track of data", "attachment": "an attached file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """`sounds` in the order of the file; `unread` are sounds of unknown codings; `beside` is all the rest."""

    picture: Stream | None
    sounds: tuple[Stream, ...]
    unread: tuple[Stream, ...]
    beside: tuple[Stream, ...]

    @property
    def seen_beside(self) -> tuple[str, ...]:
        """Name what a viewer may also see, or have shown: subtitles, captions inside the picture, another picture."""
        return (
            *(in_words(each) for each in self.beside if each.kind == "subtitle" or _is_picture(each)),
            *self.captions,
        )

    @property
    def captions(self) -> tuple[str, ...]:
        """Name the words inside the coded pictures, which go with all messages there."""
        return ("captions inside the picture",) if self.picture is not None and self.picture.captions else ()


def what_is_played(streams: Streams) -> Played:
    """Tell apart what is seen, what is heard, and what lies beside."""
    pictures = sorted((each for each in streams.streams if _is_picture(each)), key=lambda each: not each.default)
    picture = pictures[0] if pictures else None
    sounds = [each for each in streams.streams if each.kind == "audio"]
    return Played(
        picture=picture,
        sounds=tuple(each for each in sounds if each.codec != "unknown"),
        unread=tuple(each for each in sounds if each.codec == "unknown"),
        beside=tuple(each for each in streams.streams if each.kind != "audio" and each != picture),
    )


def in_words(stream: Stream) -> str:
    """Name a stream that is left out."""
    if stream.kind == "audio":
        return "another form of the sound, of a coding that is not known here"
    if stream.kind == "video":
        what = "a cover or a series of small pictures" if stream.attached else "another picture"
        return f"{what} ({stream.codec})"
    words = _WORDS.get(stream.kind, "a track of a kind that is not known here")
    return f"{words} ({stream.codec})" if stream.kind == "subtitle" else words


def is_another_form(source: RangeSource, unread: Stream, played: Played) -> bool:
    """Tell whether a sound that cannot be read is by its file's word only another form of one that is kept.

    Telephones record the same moment twice, for all players and for their own; the second is switched off, and both are
    of one group, of which a player plays one. Raises: InputError `media/bad-boxes`; what the source raises.
    """
    groups = {number: (group, enabled) for number, group, enabled in _groups(source)}
    group, enabled = groups.get(unread.id or 0, (0, True))
    heard = {number for number, (other, on) in groups.items() if on and other == group}
    return bool(group) and not enabled and any(each.id in heard for each in played.sounds)


def _is_picture(stream: Stream) -> bool:
    return stream.kind == "video" and not stream.attached


def _groups(source: RangeSource) -> Iterator[tuple[int, int, bool]]:
    """Give number, alternate group, and whether it is switched on, of each track. Standard: ISO/IEC 14496-12, 8.3.2."""
    for box in walk(source):
        if box.path == (b"moov", b"trak", b"tkhd"):
            head = source.read_range(box.begin, min(box.end - box.begin, 48))
            wide = head[:1] == b"\x01"
            if len(head) >= (48 if wide else 36):
                (number,) = struct.unpack_from(">I", head, 20 if wide else 12)
                (group,) = struct.unpack_from(">H", head, 46 if wide else 34)
                yield number, group, bool(head[3] & 1)
