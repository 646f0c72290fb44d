"""Walks through finished pictures that name every piece which is not on their list. No I/O.

Written apart from the rebuilders, and read with mistrust of them: a walk starts from the bytes alone, must reach the
last byte, and knows only what a rebuilt picture may hold. `told` says that the policy keeps fields, which then may
stand in EXIF, XMP and IPTC blocks; which fields these are is ExifTool's to read.
"""

import io
import struct
import zlib
from collections.abc import Iterator

from media.pictures.exif import block_for, shown_by
from media.pictures.gif_codes import octets_of_codes
from media.pictures.icc import telling_words
from media.pictures.png_data import Colours, holds_more, samples_octets

_JPEG_TABLES = b"\xc4\xcc\xdb\xdd\xdc"
_JPEG_ARITHMETIC = b"\xc9\xca\xcb\xcd\xce\xcf"
_JPEG_FRAMES = b"\xc0\xc1\xc2\xc3\xc5\xc6\xc7\xc9\xca\xcb\xcd\xce\xcf"
_PNG_CHUNKS = b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB sBIT bKGD pHYs cICP mDCV cLLI mDCv cLLi acTL fcTL fdAT".split()
_PNG_LENGTHS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"cICP": 4, b"acTL": 8, b"fcTL": 26, b"IHDR": 13}
_LARGEST_PROFILE = 16 << 20


def walk_jpeg(data: bytes, told: bool) -> Iterator[str]:
    """Walk a JPEG."""
    profile, place, codes = b"", 2, b"\xc4"
    while True:
        if data[place : place + 1] != b"\xff" or place + 2 > len(data):
            yield "bytes that belong to no segment"
            return
        marker = data[place + 1 : place + 2]
        if marker == b"\xd9":
            break
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        payload = data[place + 4 : place + 2 + length]
        place += 2 + length
        codes = b"\xcc" if marker in _JPEG_ARITHMETIC else codes
        if marker in b"\xc4\xcc" and marker != codes:
            yield "tables of another coding than the picture's"
        elif marker == b"\xda":
            place = _after_scan(data, place)
        elif marker == b"\xe2" and payload[:12] == b"ICC_PROFILE\0":
            profile += payload[14:]
        elif marker == b"\xdd" and length != 4:
            yield "more in a segment than how often a scan begins anew"
        elif marker not in _JPEG_TABLES and marker not in _JPEG_FRAMES:
            yield from _jpeg_segment(marker, payload, told)
    if place + 2 != len(data):
        yield f"{len(data) - place - 2} bytes after the end of the picture"
    yield from _profile(profile)


def _after_scan(data: bytes, place: int) -> int:
    while 0 <= (found := data.find(b"\xff", place)) < len(data) - 1:
        if data[found + 1] and not 0xD0 <= data[found + 1] <= 0xD7:
            return found
        place = found + 2
    return len(data)


def _jpeg_segment(marker: bytes, payload: bytes, told: bool) -> Iterator[str]:
    if marker == b"\xe0" and payload[:5] == b"JFIF\0":
        if payload[12:] != b"\0\0":
            yield "a thumbnail in the JFIF header"
    elif marker == b"\xe1" and payload[:6] == b"Exif\0\0":
        yield from _exif(payload[6:], told)
    elif marker == b"\xee" and payload[:5] == b"Adobe":
        if len(payload) != 12:
            yield "more in the Adobe segment than how colours are coded"
    elif marker == b"\xfe":
        yield "a comment"
    elif not (told and marker in (b"\xe1", b"\xed")):
        yield (
            f"an application segment of its own (APP{marker[0] & 15})"
            if 0xE0 <= marker[0] <= 0xEF
            else "an unknown segment"
        )


def walk_png(data: bytes, told: bool) -> Iterator[str]:
    """Walk a PNG."""
    stream, packed, colours = io.BytesIO(data[8:]), bytearray(), Colours()
    while head := stream.read(8):
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        body, check = stream.read(length), stream.read(4)
        packed += body if name == b"IDAT" else b""
        if check != struct.pack(">I", zlib.crc32(name + body)):
            yield "a chunk whose check sum is wrong"
        colours.meet(name, body)
        if name in (b"PLTE", b"tRNS") and not colours.need(name, body):
            yield f"colours that the picture does not need ({printable(name)})"
        elif name == b"iCCP":
            if not body.startswith(b"ICC\0\0"):
                yield "a named colour profile"
                return
            unpacker = zlib.decompressobj()
            yield from _profile(unpacker.decompress(body[5:], _LARGEST_PROFILE))
            if unpacker.unused_data or unpacker.unconsumed_tail:
                yield "bytes behind the colour profile"
        elif name == b"eXIf":
            yield from _exif(body, told)
        elif name not in _PNG_CHUNKS and not (told and name in (b"iTXt", b"tEXt", b"zTXt")):
            yield f"a chunk of its own ({printable(name)})"
        elif length > _PNG_LENGTHS.get(name, length):
            yield f"a chunk that is too long ({printable(name)})"
        if name == b"IEND":
            break
    if rest := stream.read():
        yield f"{len(rest)} bytes after the end of the picture"
    header = data[16:29]
    width, height = struct.unpack_from(">II", header)
    if holds_more(bytes(packed), samples_octets(header, width, height)):
        yield "bytes behind the samples of the picture"


def walk_gif(data: bytes, told: bool) -> Iterator[str]:
    """Walk a GIF."""
    stream = io.BytesIO(data)
    packed = stream.read(13)[10]
    stream.read(_palette(packed))
    while (kind := stream.read(1)) == b"," or kind == b"!":
        if kind == b",":
            header = stream.read(9)
            stream.read(_palette(header[8]))
            least, codes = stream.read(1)[0], b"".join(_sub_blocks(stream))
            if octets_of_codes(
                codes, least, int.from_bytes(header[4:6], "little") * int.from_bytes(header[6:8], "little")
            ) != len(codes):
                yield "bytes behind the codes of a picture"
            continue
        label, blocks = stream.read(1), []
        blocks = list(_sub_blocks(stream))
        loops = label == b"\xff" and blocks[0] in (b"NETSCAPE2.0", b"ANIMEXTS1.0") and len(blocks) == 2
        timing = label == b"\xf9" and len(blocks) == 1 and len(blocks[0]) == 4
        if not timing and not (loops and len(blocks[1]) == 3) and not (told and blocks[0] == b"XMP DataXMP"):
            yield "a comment" if label == b"\xfe" else "a block that is no picture"
    if kind != b";":
        yield "a block of an unknown kind"
    if rest := stream.read():
        yield f"{len(rest)} bytes after the end of the picture"


def _sub_blocks(stream: io.BytesIO) -> Iterator[bytes]:
    while (length := stream.read(1)) not in (b"\0", b""):
        yield stream.read(length[0])


def _palette(packed: int) -> int:
    return 3 << (packed & 7) + 1 if packed >> 7 else 0


def walk_webp(data: bytes, told: bool) -> Iterator[str]:
    """Walk a WebP."""
    size = 8 + int.from_bytes(data[4:8], "little")
    if size != len(data):
        yield "bytes after the end of the picture"
    yield from _webp_chunks(io.BytesIO(data[12:size]), told, b"VP8 VP8L VP8X ALPH ANIM ANMF ICCP EXIF".split())


def _webp_chunks(stream: io.BytesIO, told: bool, known: list[bytes]) -> Iterator[str]:
    while head := stream.read(8):
        name = head[:4].rstrip(b" ")
        length = int.from_bytes(head[4:], "little")
        body = stream.read(length + length % 2)[:length]
        if name not in known and not (told and name == b"XMP"):
            yield f"a chunk of its own ({printable(name)})"
        elif name == b"EXIF":
            yield from _exif(body, told)
        elif name == b"ICCP":
            yield from _profile(body)
        elif name == b"ANMF":
            yield from _webp_chunks(io.BytesIO(body[16:]), told=False, known=[b"VP8", b"VP8L", b"ALPH"])
        elif name == b"VP8X" and length != 10:
            yield "an unknown header"


def _exif(block: bytes, told: bool) -> Iterator[str]:
    """An EXIF block says how the picture is shown, in the only spelling that does, or what the policy keeps."""
    if not told and block != block_for(shown_by(block)):
        yield "an EXIF block that says more than how the picture is shown"


def _profile(profile: bytes) -> Iterator[str]:
    if profile and any(True for _ in telling_words(profile)):
        yield "a colour profile that says more than colours"


def printable(name: bytes) -> str:
    return name.decode("latin-1") if name.isalnum() else name.hex()
