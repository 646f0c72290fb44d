"""Colour profiles: what they do to colours, kept octet for octet; what they say in words, known or taken out. No I/O.

A profile of a monitor or a scanner may name its owner's machine, its serial number and a date. One whose every word is
one of those that millions of files carry stays as it is; any other is rebuilt with the same colour tags and no words.
Standard: ICC.1:2022 and ICC.1:2001-04.
"""

import re
import struct
from collections.abc import Iterator, Sequence

_HEADER_OCTETS = 128
_MOST_TAGS = 100
_COLOUR_TAGS = frozenset(
    b"rXYZ gXYZ bXYZ wtpt bkpt rTRC gTRC bTRC kTRC chad lumi chrm cicp gamt A2B0 A2B1 A2B2 A2B3 B2A0 B2A1 B2A2 B2A3 "
    b"D2B0 D2B1 D2B2 D2B3 B2D0 B2D1 B2D2 B2D3 pre0 pre1 pre2".split()
)
_HARMLESS_TAGS = frozenset(b"desc cprt dmnd dmdd vued view tech meas dscm".split())
_WORDED = (b"desc", b"text", b"mluc")
# Words of the profiles that cameras, phones and editors put into most of their pictures.
_KNOWN_WORDS = re.compile(
    r"""(
      sRGB(\ IEC61966-2[.-]1)?(\ black\ scaled)? | sRGB\ built-in | (IEC\ )?http://www\.iec\.ch | sRGB2014
    | uRGB | c2(ci)? | RGB | colour
    | IEC\ 61966-2[.-]1\ Default\ RGB\ colour\ space\ -\ sRGB
    | Reference\ Viewing\ Condition\ in\ IEC\ ?61966-2[.-]1
    | Copyright\ \(c\)\ 1998\ Hewlett-Packard\ Company
    | Adobe\ RGB\ \(1998\) | Copyright\ (1999|2000)\ Adobe\ Systems(\ Incorporated)?
    | Display\ P3 | DCI[ -]P3 | BT\.?2020 | Rec\.?\ ?2020 | ProPhoto\ RGB | Dot\ Gain\ \d\d% | Gray\ Gamma\ \d\.\d
    | Copyright\ Apple(\ Computer)?,?\ Inc\.,\ (19|20)\d\d
    | GIMP\ built-in\ sRGB | Public\ Domain | CC0 | No\ copyright,\ use\ freely\.?
    )?""",
    re.VERBOSE,
)
# Header fields that say who made a profile, with what and when, and the digest that covers them.
_TELLING = ((4, 8), (24, 36), (40, 44), (48, 56), (80, 100))
_KNOWN_MAKERS = frozenset(
    (b"", bytes(4), b"IEC ", b"none", b"sRGB", b"lcms", b"HP  ", b"ADBE", b"appl", b"APPL", b"MSFT", b"Lino", b"GIMP")
)


class BadProfileError(ValueError):
    """A profile that does not keep to its own tables."""


class NoProfileError(BadProfileError):
    """What no program takes for a profile: it has no head, or no list of tags."""


def without_words(profile: bytes, traces: Sequence[str]) -> bytes:
    """Give a profile that does the same to colours and says nothing of anybody; itself, where it says nothing.

    Raises: BadProfileError.
    """
    if not tuple(telling_words(profile)) and not _holds_any(profile, traces):
        return profile
    return _rebuilt(profile)


def telling_words(profile: bytes) -> Iterator[str]:
    """Give everything in a profile that is neither a colour nor one of the known words. Raises: BadProfileError."""
    tags = _tags(profile)
    for start in (4, 40, 48, 52, 80):
        if profile[start : start + 4] not in _KNOWN_MAKERS:
            yield profile[start : start + 4].decode("latin-1")
    for signature, offset, size in tags:
        if signature in _COLOUR_TAGS:
            continue
        kind = profile[offset : offset + 4]
        if signature not in _HARMLESS_TAGS:
            yield f"tag {signature.decode('latin-1')}"
        elif kind in _WORDED:
            yield from (text for text in _texts(profile[offset : offset + size]) if not _KNOWN_WORDS.fullmatch(text))
        elif kind not in (b"view", b"meas", b"sig "):
            yield f"tag {signature.decode('latin-1')}"


def colour_tags(profile: bytes) -> dict[bytes, bytes]:
    """Give what a profile does to colours, by tag. Raises: BadProfileError."""
    return {
        signature: profile[offset : offset + size]
        for signature, offset, size in _tags(profile)
        if signature in _COLOUR_TAGS
    }


def _tags(profile: bytes) -> list[tuple[bytes, int, int]]:
    if len(profile) < _HEADER_OCTETS + 4 or profile[36:40] != b"acsp":
        raise NoProfileError("no colour profile")
    (count,) = struct.unpack_from(">I", profile, _HEADER_OCTETS)
    if count > _MOST_TAGS or _HEADER_OCTETS + 4 + 12 * count > len(profile):
        raise NoProfileError("too many tags")
    tags = [struct.unpack_from(">4sII", profile, _HEADER_OCTETS + 4 + 12 * number) for number in range(count)]
    if any(offset + size > len(profile) or size < 8 for _, offset, size in tags):
        raise BadProfileError("a tag beyond the end")
    return tags


def _texts(element: bytes) -> Iterator[str]:
    kind = element[:4]
    if kind == b"text":
        yield element[8:].decode("latin-1").strip("\0 \n\r")
    elif kind == b"desc" and len(element) >= 12:
        (count,) = struct.unpack_from(">I", element, 8)
        yield element[12 : 12 + count].decode("latin-1").strip("\0 \n\r")
        rest = element[12 + count :]
        # The Unicode and Macintosh forms follow; what prints there must be known as well.
        yield rest[8:].decode("latin-1").replace("\0", "").strip()[:200] if rest[4:8] != bytes(4) else ""
        yield rest[11:].decode("latin-1").replace("\0", "").strip() if rest[4:8] == bytes(4) else ""
    elif kind == b"mluc" and len(element) >= 16:
        count, size = struct.unpack_from(">II", element, 8)
        for number in range(min(count, 100)):
            if 16 + size * number + 12 > len(element):
                raise BadProfileError("a text beyond the end")
            length, offset = struct.unpack_from(">II", element, 16 + size * number + 4)
            yield element[offset : offset + length].decode("utf-16-be", "replace").strip("\0 \n\r")


def _rebuilt(profile: bytes) -> bytes:
    kept = colour_tags(profile)
    version_four = profile[8] >= 4
    kept[b"desc"] = _words("RGB" if profile[16:20] == b"RGB " else "colour", b"mluc" if version_four else b"desc")
    kept[b"cprt"] = _words("CC0", b"mluc" if version_four else b"text")
    start = _HEADER_OCTETS + 4 + 12 * len(kept)
    table, body, places = b"", b"", dict[bytes, int]()
    for signature, element in kept.items():
        if element not in places:
            places[element] = start + len(body)
            body += element + bytes(-len(element) % 4)
        table += struct.pack(">4sII", signature, places[element], len(element))
    header = bytearray(profile[:_HEADER_OCTETS])
    for begin, end in _TELLING:
        header[begin:end] = bytes(end - begin)
    header[:4] = struct.pack(">I", start + len(body))
    return bytes(header) + struct.pack(">I", len(kept)) + table + body


def _words(text: str, kind: bytes) -> bytes:
    ascii_text = text.encode("ascii") + b"\0"
    if kind == b"mluc":
        words = text.encode("utf-16-be")
        return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(words), 28) + words
    if kind == b"desc":
        return b"desc" + struct.pack(">II", 0, len(ascii_text)) + ascii_text + bytes(4 + 4 + 2 + 1 + 67)
    return b"text" + bytes(4) + ascii_text


def _holds_any(profile: bytes, traces: Sequence[str]) -> bool:
    return any(trace.encode(code, "replace") in profile for trace in traces for code in ("utf-8", "utf-16-be"))
