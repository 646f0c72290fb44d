"""What a file is, from its bytes alone; right by a table for the corpora of well-formed files."""

import time
from pathlib import Path

import pytest

from archive.types import EvidenceKind
from media.confinement import Confinement, find_tool
from media.conversation import Allowance
from media.identify import HEAD_OCTETS, Format, identify, kind_of
from media.metadata_reader import MetadataReader
from media.ranges import BytesRanges
from media.tags import parse_tags
from tests.conftest import CorpusFinder
from tests.media.conftest import SETTINGS, VECTORS

_TEXT = frozenset({"text/plain"})
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_ODF = "application/vnd.oasis.opendocument"

RIGHT: dict[str, frozenset[str]] = {
    **dict.fromkeys((".html", ".xhtml"), _HTML),
    **{f".{name}": frozenset({f"image/{name}"}) for name in ("bmp", "bpg", "gif", "png", "webp", "jxl", "jp2")},
    **{f".{name}": frozenset({"image/jpeg"}) for name in ("jpg", "jpeg")},
    **{f".{name}": frozenset({"image/heic", "image/heif"}) for name in ("heif", "heic")},
    ".tif": frozenset({"image/tiff"}),
    ".svg": frozenset({"image/svg+xml"}),
    ".ico": frozenset({"image/vnd.microsoft.icon", "image/x-icon"}),
    ".tga": frozenset({"image/x-tga"}),
    ".pbm": frozenset({"image/x-portable-bitmap"}),
    ".pgm": frozenset({"image/x-portable-graymap"}),
    ".ppm": frozenset({"image/x-portable-pixmap"}),
    ".xbm": frozenset({"image/x-xbitmap"}),
    ".psd": frozenset({"image/vnd.adobe.photoshop"}),
    ".dng": frozenset({"image/x-adobe-dng"}),
    ".nef": frozenset({"image/x-nikon-nef"}),
    ".wmf": frozenset({"image/wmf", "application/x-wmf"}),
    ".avi": frozenset({"video/x-msvideo"}),
    ".flv": frozenset({"video/x-flv"}),
    ".mp4": frozenset({"video/mp4"}),
    ".mkv": frozenset({"video/x-matroska"}),
    ".webm": frozenset({"video/webm"}),
    ".wmv": frozenset({"video/x-ms-asf", "video/x-ms-wmv"}),
    ".mts": frozenset({"video/mp2t", "video/m2ts"}),
    ".mxf": frozenset({"application/mxf"}),
    ".dv": frozenset({"video/x-dv"}),
    ".mng": frozenset({"video/x-mng", "video/mng"}),
    ".oggtheora": frozenset({"video/ogg"}),
    ".3g2": frozenset({"video/3gpp2", "audio/3gpp2", "audio/mp4"}),
    ".mp3": frozenset({"audio/mpeg"}),
    ".m4a": frozenset({"audio/mp4"}),
    ".aac": frozenset({"audio/aac"}),
    ".wav": frozenset({"audio/x-wav", "audio/wav"}),
    ".aif": frozenset({"audio/x-aiff", "audio/aiff"}),
    ".flac": frozenset({"audio/flac"}),
    ".opus": frozenset({"audio/ogg", "audio/opus"}),
    ".ogg": frozenset({"audio/ogg"}),
    ".dsf": frozenset({"audio/x-dsf"}),
    ".pdf": frozenset({"application/pdf"}),
    ".docx": frozenset({_WORD}),
    ".doc": frozenset({"application/msword"}),
    ".odt": frozenset({f"{_ODF}.text"}),
    ".ods": frozenset({f"{_ODF}.spreadsheet"}),
    ".odg": frozenset({f"{_ODF}.graphics"}),
    ".odf": frozenset({f"{_ODF}.formula"}),
    ".epub": frozenset({"application/epub+zip"}),
    ".rtf": frozenset({"text/rtf", "application/rtf"}),
    ".eps": frozenset({"application/postscript"}),
    ".mht": frozenset({"multipart/related"}),
    ".vcf": frozenset({"text/vcard"}),
    ".gpx": frozenset({"application/gpx+xml"}),
    ".xml": frozenset({"application/xml", "text/xml"}),
    ".aae": frozenset({"application/vnd.apple.photos"}),
    ".json": frozenset({"application/json", "text/plain"}),
    ".zip": frozenset({"application/zip"}),
    ".gz": frozenset({"application/gzip"}),
    ".bz2": frozenset({"application/x-bzip2"}),
    ".rar": frozenset({"application/vnd.rar"}),
    ".tar": frozenset({"application/x-tar"}),
    ".chm": frozenset({"application/vnd.ms-htmlhelp"}),
    ".class": frozenset({"application/java-vm", "application/java-byte-code"}),
    ".wasm": frozenset({"application/wasm"}),
    ".swf": frozenset({"application/x-shockwave-flash", "application/vnd.adobe.flash.movie"}),
    ".icc": frozenset({"application/vnd.iccprofile"}),
    ".dcm": frozenset({"application/dicom"}),
    ".dol": frozenset({"application/x-dolphin"}),
}
"""By the extension that the corpus gives; what is not here is a programme's source or a licence: plain text."""

BY_NAME = {
    "mp4-with-audio.mp4": frozenset({"audio/mp4"}),  # It holds one sound track and no picture.
    "hello.mp4": frozenset({"application/json"}),  # The corpus gives a JSON text this name.
}
WELL_FORMED = ("tiny-valid-files", "media-metadata")
NOT_FILES_OF_A_CORPUS = {"MANIFEST.sha256", "README.md", "truth.json"}


def _identify(reader: MetadataReader, content: bytes) -> Format:
    source = BytesRanges(content)
    extraction = reader.extract(source, Allowance(30))
    return identify(content[:HEAD_OCTETS], source, parse_tags(extraction.raw))


def _alone(content: bytes) -> Format:
    return identify(content[:HEAD_OCTETS], BytesRanges(content), ())


def _right(path: Path) -> frozenset[str]:
    if path.stat().st_size == 0:
        return frozenset({"application/x-empty"})
    return BY_NAME.get(path.name) or RIGHT.get(path.suffix.lower(), _TEXT)


WHOLE_OR_SAMPLE = [pytest.param(4, id="a quarter"), pytest.param(1, marks=pytest.mark.long, id="all")]


@pytest.fixture(scope="module", params=WHOLE_OR_SAMPLE)
def well_formed(
    request: pytest.FixtureRequest, corpus: CorpusFinder, confinement: Confinement
) -> dict[str, dict[Path, Format]]:
    """The corpora of well-formed files, or every fourth file of them, identified once."""
    found: dict[str, dict[Path, Format]] = {}
    with MetadataReader(find_tool("exiftool"), confinement, SETTINGS) as reader:
        for name in WELL_FORMED:
            paths = [path for path in sorted(corpus(name).rglob("*")) if path.is_file()]
            paths = [path for path in paths if path.name not in NOT_FILES_OF_A_CORPUS]
            found[name] = {path: _identify(reader, path.read_bytes()) for path in paths[:: request.param]}
    return found


@pytest.mark.parametrize("name", WELL_FORMED)
def test_at_least_95_of_100_well_formed_files_are_identified_rightly(
    well_formed: dict[str, dict[Path, Format]], name: str
) -> None:
    found = well_formed[name]
    wrong = {path.name: form.mime_type for path, form in found.items() if form.mime_type not in _right(path)}
    assert 1 - len(wrong) / len(found) >= 0.95, wrong
    # The console's executable has no mark of its own in any byte; nothing else may be wrong.
    assert set(wrong) <= {"dolphin.dol"}


def test_a_file_with_two_natures_shows_the_sign_of_the_other(reader: MetadataReader, corpus: CorpusFinder) -> None:
    signs = {"Zip": "ZIP", "7Z": "7-Zip", "RAR": "RAR", "PDF": "PDF", "DCM": "DICOM"}
    silent = []
    for path in sorted((corpus("polyglots") / "files").iterdir()):
        second = path.name.split(".")[0].replace("[", "-").replace("]", "").split("-")[-1]
        if signs[second] not in _identify(reader, path.read_bytes()).polyglot_signs:
            silent.append(path.name)
    assert silent == []


def test_an_ordinary_file_shows_no_second_nature(well_formed: dict[str, dict[Path, Format]]) -> None:
    every = [item for found in well_formed.values() for item in found.items()]
    assert [path.name for path, form in every if form.polyglot_signs] == []


def test_a_small_vector_of_each_kind_is_told_apart(reader: MetadataReader) -> None:
    found = {path.name: _identify(reader, path.read_bytes()) for path in VECTORS.iterdir() if path.suffix != ".md"}
    assert {name: (form.mime_type, form.kind) for name, form in found.items()} == {
        "gps-and-serial-number.jpg": ("image/jpeg", EvidenceKind.PHOTO),
        "picture-that-is-a-pdf.jpg": ("image/jpeg", EvidenceKind.PHOTO),
        "tiny.png": ("image/png", EvidenceKind.PHOTO),
        "video-with-sound.mp4": ("video/mp4", EvidenceKind.VIDEO),
        "sound.m4a": ("audio/mp4", EvidenceKind.AUDIO),
        "document.docx": (_WORD, EvidenceKind.DOCUMENT),
    }
    assert found["picture-that-is-a-pdf.jpg"].polyglot_signs == ("PDF",)
    assert found["document.docx"].pronom == "fmt/412"


def test_without_the_tool_the_first_bytes_still_tell_the_family() -> None:
    assert _alone((VECTORS / "document.docx").read_bytes()).mime_type == "application/zip"
    assert _alone((VECTORS / "gps-and-serial-number.jpg").read_bytes()).kind is EvidenceKind.PHOTO


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (b"", "application/x-empty"),
        (b"Ayer vi a dos hombres.\n", "text/plain"),
        ("Ayer vi una se\u00f1al.\n".encode("latin-1"), "text/plain"),
        ("\ufeffAyer".encode("utf-16"), "text/plain"),
        ("\ufeffStatement of witness, Señora R.\r\n".encode("utf-16-le"), "text/plain"),  # as Windows' "Unicode"
        ("\ufeffStatement of witness\r\n".encode("utf-16-be"), "text/plain"),
        ("\ufeff\u0d53 ".encode("utf-16-le") * 500, "text/plain"),  # begins with all the bits of a frame's head
        (b"\xff\xfbABCDEFGH" * 3, "text/plain"),
        (b"a" * (HEAD_OCTETS - 1) + "\u00f1".encode() + b"b" * 100, "text/plain"),
        (b"\x00\x01\x02\x03", "application/octet-stream"),
        (b"<?xml version='1.0'?>\n<!-- x -->\n<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        (b'{"a": [1, 2]}', "application/json"),
        (b"{ this is no JSON", "text/plain"),
        (b"[" * 50_000, "text/plain"),
        (b"From: a@b\r\nSubject: x\r\nDate: y\r\n\r\nText", "text/plain"),  # as people write on top of notes
        (b"From: a@b\r\nSubject: x\r\nDate: y\r\nMessage-ID: <1@b>\r\n\r\nText", "message/rfc822"),
        (b"From: the start of a letter\n\nText", "text/plain"),
        (b"WARC/1.1\r\nWARC-Type: warcinfo\r\n", "application/warc"),
    ],
)
def test_text_is_told_from_what_is_not_text(content: bytes, mime_type: str) -> None:
    assert _alone(content).mime_type == mime_type


@pytest.mark.parametrize(
    ("mime_type", "kind"),
    [
        ("image/heic", EvidenceKind.PHOTO),
        ("video/quicktime", EvidenceKind.VIDEO),
        ("audio/amr", EvidenceKind.AUDIO),
        ("application/pdf", EvidenceKind.DOCUMENT),
        (_WORD, EvidenceKind.DOCUMENT),
        ("text/plain", EvidenceKind.DOCUMENT),
        ("multipart/related", EvidenceKind.WEB_CAPTURE),
        ("application/zip", EvidenceKind.OTHER),
    ],
)
def test_the_kind_follows_from_the_type_and_is_never_a_statement(mime_type: str, kind: EvidenceKind) -> None:
    assert kind_of(mime_type) is kind
    assert kind is not EvidenceKind.STATEMENT


def test_a_hostile_text_is_told_quickly() -> None:
    started = time.process_time()
    for content in (b"<" * HEAD_OCTETS, b"<!--" * 16_000, b"<a " * 20_000, b"a:" * 30_000, b"<?xml " * 10_000):
        _alone(content)
    assert time.process_time() - started < 2
