"""Take out of a PDF's streams what is not drawn: metadata inside pictures, comments inside page descriptions."""

import base64
import struct
import zlib
from collections.abc import Callable, Mapping

import pikepdf
from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream

from media.confined.child import Refusal
from media.confined.embedded_images import bare_jpeg, bare_jpeg2000
from media.confined.pdf_operators import only_what_draws
from media.confined.pdf_shown_text import fonts_of
from media.pictures.icc import BadProfileError, NoProfileError, without_words

_FOREIGN = (b"Exif\x00\x00", b"http://ns.adobe.com/xap/1.0/", b"<x:xmpmeta", b"Photoshop 3.0\x00", b"<?xpacket")
_PROFILE = b"acsp"
_PARTS = {
    "/DeviceGray": 1, "/CalGray": 1, "/Indexed": 1, "/Separation": 1, "/DeviceRGB": 3, "/CalRGB": 3, "/Lab": 3,
    "/DeviceCMYK": 4,
}  # fmt: skip
_LARGEST_IMAGE = 256 << 20
_TILES = 1
_STREAM_KEYS = frozenset({"/Filter", "/DecodeParms", "/Length", "/F", "/FFilter", "/FDecodeParms"})


def page_descriptions(pdf: Pdf) -> dict[tuple[int, int], Object | None]:
    """Name the streams that a viewer runs without their saying so themselves: of pages, and of drawn letters; of those
    that describe pages, with what they draw with, unless two pages draw it differently."""
    described: dict[tuple[int, int], Object | None] = {}
    for page in pdf.pages:
        content = page.obj.get("/Contents")
        if isinstance(content, Stream):
            shared = content.objgen in described and described[content.objgen] != page.resources
            described[content.objgen] = None if shared else page.resources
    found = []
    for each in pdf.objects:
        if isinstance(each, Dictionary) and isinstance(letters := each.get("/CharProcs"), Dictionary):
            found += [letters[name] for name in letters.keys()]  # noqa: SIM118  # pikepdf iterates otherwise
    return {each.objgen: None for each in found if isinstance(each, Stream)} | described


def clean_stream(stream: Object, described: Mapping[tuple[int, int], Object | None]) -> bool:
    """Clean one stream in place; `described` are pages' own descriptions. Tell whether a text was left out that stood
    in place of the letters drawn and did not say the same.

    Raises: Refusal `external-file`, `damaged-image`, `embedded-metadata`.
    """
    if "/F" in stream and "/FFilter" in stream or isinstance(stream.get("/F"), Dictionary | pikepdf.String):
        raise Refusal("external-file")
    filters = stream.get("/Filter", Array())
    names = [str(each) for each in filters] if isinstance(filters, Array) else [str(filters)]
    if "/Crypt" in names:
        raise Refusal("encrypted")
    if names and names[-1] in ("/DCTDecode", "/DCT"):
        _write_image(stream, names, bare_jpeg, Name.DCTDecode)
    elif names and names[-1] == "/JPXDecode":
        _write_image(stream, names, bare_jpeg2000, Name.JPXDecode)
    elif names and names[-1] in ("/JBIG2Decode", "/CCITTFaxDecode", "/CCF"):
        return False
    else:
        content = stream.read_bytes()
        if any(mark in content for mark in _FOREIGN):
            raise Refusal("embedded-metadata")
        if content[36:40] == _PROFILE:
            _write_profile(stream, bytes(content))
            return False
        if stream.get("/Subtype") == Name.Image:
            _write_points(stream, bytes(content))
            return False
        if stream.objgen in described or stream.get("/Subtype") == Name.Form or stream.get("/PatternType") == _TILES:
            fonts = fonts_of(described, stream)
            bare, left_out = only_what_draws(stream, rewrite=b"%" in content, fonts=fonts)
            if bare is not None:
                stream.write(bare)
            return left_out
        if b"%" in content and not set(stream.keys()) - _STREAM_KEYS:
            # A table of letters has no key of its own either, and is written in the same way.
            stream.write(pikepdf.unparse_content_stream(pikepdf.parse_content_stream(stream)))
    return False


def _write_profile(stream: Object, content: bytes) -> None:
    """A profile may name its owner's monitor and its serial number, in a PDF as in a picture."""
    try:
        bare = without_words(content, ())
    except NoProfileError:
        bare = b""  # Viewers go by the number of colours then, as they did before.
    except (BadProfileError, struct.error):
        raise Refusal("damaged") from None
    if bare != content:
        stream.write(bare)


def _write_points(stream: Object, content: bytes) -> None:
    """Cut off what lies behind the last point of a picture, where its colours tell how many octets it has."""
    parts = 1 if stream.get("/ImageMask", False) else _parts_of(stream.get("/ColorSpace"))
    bits = 1 if stream.get("/ImageMask", False) else int(stream.get("/BitsPerComponent", 8))
    if parts is not None:
        octets = int(stream.Height) * ((int(stream.Width) * parts * bits + 7) // 8)
        if len(content) > octets:
            stream.write(content[:octets])


def _parts_of(colours: Object | None) -> int | None:
    """Tell of how many parts a colour is made; None where it is not known here."""
    if isinstance(colours, Array) and len(colours) > 1:
        kind = colours[0]
        if kind == Name.ICCBased:
            return int(colours[1].N)
        if kind == Name.DeviceN:
            return len(colours[1])
        return _PARTS.get(str(kind))
    return _PARTS.get(str(colours[0] if isinstance(colours, Array) else colours))


def _write_image(stream: Object, names: list[str], bare: Callable[[bytes], bytes], last: Name) -> None:
    """Put the bare picture in place of what the last filter decodes."""
    content = stream.read_raw_bytes()
    for name in names[:-1]:
        content = _undone(name, bytes(content))
    parameters = stream.get("/DecodeParms")
    kept = parameters[-1] if isinstance(parameters, Array) and len(parameters) == len(names) else parameters
    stream.write(bare(bytes(content)), filter=last, decode_parms=kept if isinstance(kept, Dictionary) else None)


def _undone(name: str, content: bytes) -> bytes:
    """Undo a filter that a picture's own coding was wrapped in."""
    try:
        match name:
            case "/FlateDecode" | "/Fl":
                unpacked = zlib.decompressobj()
                made = unpacked.decompress(content, _LARGEST_IMAGE)
                if unpacked.unconsumed_tail:
                    raise Refusal("too-large")
                return made
            case "/ASCII85Decode" | "/A85":
                return base64.a85decode(content.strip().removesuffix(b"~>"), adobe=False)
            case "/ASCIIHexDecode" | "/AHx":
                return bytes.fromhex(content.partition(b">")[0].decode("ascii"))
            case _:
                raise Refusal("damaged-image")
    except (zlib.error, ValueError):
        raise Refusal("damaged-image") from None
