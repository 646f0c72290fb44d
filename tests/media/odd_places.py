"""Files with a needle where no program shows it: behind, between and inside their parts. Made here, octet by octet."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pikepdf
from PIL import Image

from tests.media.made_videos import ffmpeg

NEEDLE = b"NEEDLE-Maria-Rossi-7741"
TEXT = NEEDLE.decode()

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)


def _picture(kind: str) -> bytes:
    made = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").resize((96, 64)).save(made, kind)
    return made.getvalue()


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def jpegs() -> Iterator[tuple[str, bytes]]:
    plain = _picture("JPEG")
    unused_codes = b"\x03" + bytes([0, 0, 0, 0, 0, len(NEEDLE), *[0] * 10]) + NEEDLE
    for name, content in (
        ("a quantiser that nothing uses", _segment(0xDB, b"\x03" + NEEDLE.ljust(64, b"\1"))),
        ("a quantiser of no number", _segment(0xDB, b"\x0f" + NEEDLE.ljust(64, b"\1"))),
        ("a quantiser that is replaced", _segment(0xDB, b"\0" + NEEDLE.ljust(64, b"\1"))),
        ("codes that nothing uses", _segment(0xC4, unused_codes)),
        ("a long restart interval", _segment(0xDD, b"\0\0" + NEEDLE)),
        ("a segment of an application", _segment(0xE8, NEEDLE)),
        ("conditions of another coding", _segment(0xCC, NEEDLE + b"!")),
    ):
        yield f"JPEG, {name}", plain[:20] + content + plain[20:]
    yield "JPEG, behind its end", plain + NEEDLE


def pngs() -> Iterator[tuple[str, bytes]]:
    plain = _picture("PNG")
    at = plain.index(b"IDAT") - 4
    length = struct.unpack_from(">I", plain, at)[0]
    packed, after = plain[at + 8 : at + 8 + length], plain[at + 12 + length :]
    yield "PNG, behind the packed samples", plain[:at] + _chunk(b"IDAT", packed + NEEDLE) + after
    yield (
        "PNG, behind them in a chunk of its own",
        plain[:at] + _chunk(b"IDAT", packed) + _chunk(b"IDAT", NEEDLE) + after,
    )
    more = zlib.compress(zlib.decompress(packed) + NEEDLE * 9)
    yield "PNG, rows below the picture", plain[:at] + _chunk(b"IDAT", more) + after
    for name in (b"acTL", b"hIST", b"gAMA", b"sBIT", b"prVt"):
        yield f"PNG, in {name.decode()}", plain[:33] + _chunk(name, NEEDLE) + plain[33:]
    for name in (b"PLTE", b"tRNS"):
        yield f"PNG, in a {name.decode()} of no use", plain[:at] + _chunk(name, NEEDLE + b"!") + plain[at:]


def gifs() -> Iterator[tuple[str, bytes]]:
    plain = _picture("GIF")
    yield "GIF, behind the codes of its picture", plain[:-2] + bytes((len(NEEDLE),)) + NEEDLE + b"\0;"
    yield "GIF, in a block of no kind", plain[:-1] + b"\x21\x77" + bytes((len(NEEDLE),)) + NEEDLE + b"\0;"


def _docx(body: str, spaces: str = "") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as package:
        package.writestr("[Content_Types].xml", _TYPES)
        package.writestr("_rels/.rels", _RELATIONS)
        words = f"<w:body>{body}<w:p><w:r><w:t>Hello world</w:t></w:r></w:p></w:body>"
        package.writestr("word/document.xml", f"<w:document {_W}{spaces}>{words}</w:document>")
    return made.getvalue()


def office() -> Iterator[tuple[str, bytes]]:
    mark = f'<w:bookmarkStart w:id="0" w:name="{TEXT}"/><w:bookmarkEnd w:id="0"/>'
    yield "DOCX, the name of a mark that nothing goes to", _docx(f"<w:p>{mark}</w:p>")
    yield "DOCX, an element of a stranger", _docx(f'<z:z xmlns:z="urn:z">{TEXT}</z:z>')
    yield "DOCX, a field without a beginning", _docx(f"<w:p><w:r><w:instrText>AUTHOR {TEXT}</w:instrText></w:r></w:p>")
    yield "DOCX, the name of a vocabulary", _docx("", f' xmlns:q="urn:{TEXT}"')
    yield "DOCX, an attribute of a stranger", _docx(f'<w:p z:a="{TEXT}" xmlns:z="urn:z"/>')


def _pdf(change: Callable[[pikepdf.Pdf], object]) -> bytes:
    pdf, made = pikepdf.new(), io.BytesIO()
    pdf.add_blank_page(page_size=(200, 200))
    change(pdf)
    pdf.save(made)
    return made.getvalue()


def pdfs() -> Iterator[tuple[str, bytes]]:
    told, named = pikepdf.String(TEXT), pikepdf.Dictionary
    one = pikepdf.Array([0])

    def contents(pdf: pikepdf.Pdf, drawn: bytes, **keys: object) -> None:
        pdf.pages[0].obj["/Contents"] = pikepdf.Stream(pdf, drawn, **keys)

    def resources(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].obj["/Resources"] = named(Properties=named(MC0=named(Foo=told)))

    yield "PDF, the name of a place", _pdf(lambda pdf: pdf.Root.__setitem__("/Dests", named({f"/{TEXT}": one})))
    labels = named(Nums=pikepdf.Array([0, named(P=told)]))
    yield "PDF, the label of a page", _pdf(lambda pdf: pdf.Root.__setitem__("/PageLabels", labels))
    yield "PDF, properties of marked content", _pdf(resources)
    yield "PDF, a key of a page's contents", _pdf(lambda pdf: contents(pdf, b"q Q", MyKey=told))
    yield "PDF, a comment within a line", _pdf(lambda pdf: contents(pdf, b"q Q %" + NEEDLE))
    marked = b"/Span <</Alt (" + NEEDLE + b") /MCID 0>> BDC EMC"
    yield "PDF, a mark within the contents", _pdf(lambda pdf: contents(pdf, marked))


def sounds(folder: Path) -> Iterator[tuple[str, bytes]]:
    tone = ["-f", "lavfi", "-i", "sine=duration=1"]
    ffmpeg(*tone, "-c:a", "flac", folder / "a.flac")
    yield "FLAC, behind the last frame", (folder / "a.flac").read_bytes() + NEEDLE
    ffmpeg(*tone, "-c:a", "pcm_s16le", "-bitexact", folder / "a.wav")
    plain = (folder / "a.wav").read_bytes()
    at = plain.index(b"fmt ")
    content = plain[at + 8 : at + 24] + struct.pack("<H", len(NEEDLE)) + NEEDLE
    content += bytes(len(content) % 2)
    wave = b"WAVEfmt " + struct.pack("<I", 18 + len(NEEDLE)) + content + plain[at + 24 :]
    yield "WAV, beside the format", b"RIFF" + struct.pack("<I", len(wave)) + wave
    ffmpeg(*tone, "-c:a", "libmp3lame", folder / "a.mp3")
    sound = (folder / "a.mp3").read_bytes()
    tag = b"ID3\4\0\0\0\0\0\x22TXXX\0\0\0\x18\0\0\0" + NEEDLE
    yield "MP3, a tag within a frame", sound[:1000] + tag + sound[1000:]


def films(folder: Path) -> Iterator[tuple[str, bytes]]:
    picture = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=1"]
    ffmpeg(*picture, "-f", "lavfi", "-i", "sine=duration=1", "-c:v", "libx264", "-c:a", "aac", folder / "a.mp4")
    plain = (folder / "a.mp4").read_bytes()
    yield "MP4, more in the parameters of its sound", _with_long_parameters(plain)
    at = plain.index(b"mdat") - 4
    length = struct.unpack_from(">I", plain, at)[0]
    grown = plain[:at] + struct.pack(">I", length + len(NEEDLE)) + plain[at + 4 : at + length]
    yield "MP4, behind the last sample", grown + NEEDLE + plain[at + length :]
    message = f"h264_metadata=sei_user_data=086f3693-b7b3-4f2c-9653-21492feee5b8+{TEXT}"
    ffmpeg(*picture, "-c:v", "libx264", "-bsf:v", message, folder / "b.mp4")
    yield "MP4, a message within the pictures", (folder / "b.mp4").read_bytes()
    ffmpeg(*picture, "-c:v", "libx264", "-bsf:v", message, folder / "b.mkv")
    yield "Matroska, a message within the pictures", (folder / "b.mkv").read_bytes()
    ffmpeg(*picture, "-c:v", "mpeg4", "-f", "m4v", folder / "c.m4v")
    raw = (folder / "c.m4v").read_bytes()
    first = raw.index(b"\0\0\1\xb6")
    (folder / "c.m4v").write_bytes(raw[:first] + b"\0\0\1\xb2" + NEEDLE + raw[first:])
    ffmpeg("-i", folder / "c.m4v", "-c", "copy", folder / "c.mp4")
    yield "MP4, words within MPEG-4 pictures", (folder / "c.mp4").read_bytes()


def _with_long_parameters(film: bytes) -> bytes:
    """Lengthen the parameters of the sound; the index, which comes last, is all that grows."""
    at = film.index(b"esds") - 4
    end = at + struct.unpack_from(">I", film, at)[0]
    old = film[at + 8 : end]
    es, config, own = (old.index(bytes((tag, 0x80, 0x80, 0x80))) for tag in (3, 4, 5))
    parameters = old[own + 5 : own + 5 + old[own + 4]] + NEEDLE

    def descriptor(tag: int, content: bytes) -> bytes:
        return bytes((tag, 0x80, 0x80, 0x80, len(content))) + content

    inner = descriptor(4, old[config + 5 : own] + descriptor(5, parameters)) + descriptor(6, b"\2")
    new = old[:es] + descriptor(3, old[es + 5 : config] + inner)
    changed = bytearray(film[: at + 8] + new + film[end:])
    names = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4a")
    for place in (at, *(film.rindex(name, 0, at) - 4 for name in names)):
        size = struct.unpack_from(">I", changed, place)[0] + len(new) - len(old)
        changed[place : place + 4] = struct.pack(">I", size)
    return bytes(changed)
