"""Documents lose what is not shown and keep every word and every page; what cannot be kept true is refused."""

import io
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import docx
import pikepdf
import pypdfium2
import pytest

from archive.errors import InputError
from media.cleaners.registry import CLEANERS, INSPECTORS
from media.confined.embedded_images import bare_jpeg
from media.workbench import Workbench
from tests.conftest import CorpusFinder
from tests.media import office_samples
from tests.media.cleaned import cleaned, left_in
from tests.media.conftest import SETTINGS, VECTORS
from tests.often import often

SUFFIXES = (".pdf", ".docx", ".odt", ".ods", ".odg", ".odf", ".epub", ".doc", ".rtf", ".html", ".css")
PICTURE = (VECTORS / "gps-and-serial-number.jpg").read_bytes()
SAYS = [
    office_samples.NAME,
    office_samples.OTHER,
    "00A12BC3",
    "wilhelmina",
    "It was red",
    "Ask her again",
    "Only the wr",
]


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with Workbench(SETTINGS, cleaners=CLEANERS, inspectors=INSPECTORS) as opened:
        yield opened


def pages_of(content: bytes) -> list[tuple[tuple[float, float], bytes]]:
    """Give each page's size and pixels as PDFium draws it."""
    pages = pypdfium2.PdfDocument(content)
    try:
        return [(page.get_size(), bytes(page.render(scale=1).buffer)) for page in pages]
    finally:
        pages.close()


def printed_words(content: bytes) -> bytes:
    return subprocess.run(["pdftotext", "-", "-"], input=content, capture_output=True, check=True).stdout


def found_by_mat2(content: bytes, suffix: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"copy{suffix}")
        path.write_bytes(content)
        return subprocess.run(["mat2", "--show", str(path)], capture_output=True, text=True, check=False).stdout


def refusal_of(bench: Workbench, content: bytes) -> str:
    with pytest.raises(InputError) as caught:
        cleaned(bench, content)
    assert caught.value.code == "media/cannot-clean"
    return str(caught.value.evidence.get("reason", caught.value.message))


@pytest.mark.usefixtures("sandbox")  # mat2 confines its own tools as we do.
@pytest.mark.parametrize("kind", ["word_document", "workbook", "presentation"])
def test_an_office_file_keeps_its_words_and_says_nothing_of_people(bench: Workbench, kind: str) -> None:
    original = getattr(office_samples, kind)(PICTURE)
    assert len(left_in(original, SAYS)) >= 2
    _, copy = cleaned(bench, original)
    assert left_in(copy, [*SAYS, "2026-03-04", "python-", "openpyxl", "Canon"]) == []
    assert office_samples.words_of(copy) == office_samples.words_of(original)
    assert b"image1.jp" in copy
    suffix = {"word_document": ".docx", "workbook": ".xlsx"}.get(kind, ".pptx")
    assert "No metadata found" in found_by_mat2(copy, suffix)


@pytest.mark.parametrize(
    "original",
    [office_samples.workbook(PICTURE, hidden_sheet=True), office_samples.presentation(PICTURE, hidden_slide=True)],
    ids=["a hidden sheet", "a hidden slide"],
)
def test_what_nobody_sees_is_refused_where_it_cannot_go(bench: Workbench, original: bytes) -> None:
    assert refusal_of(bench, original) == "hidden-data"


def test_a_picture_that_is_shown_in_part_is_refused(bench: Workbench) -> None:
    assert refusal_of(bench, office_samples.presentation(PICTURE, cropped=True)) == "cropped"
    assert refusal_of(bench, _pdf(cut=True)) == "cropped"


def test_a_link_into_somebodys_machine_goes_and_its_words_stay(bench: Workbench) -> None:
    _, copy = cleaned(bench, office_samples.word_document(PICTURE))
    read = docx.Document(io.BytesIO(copy))
    assert [part.text for part in read.paragraphs].count("a link") == 2
    assert [each.target_ref for each in read.part.rels.values() if each.is_external] == ["https://example.org/open"]


def _pdf(*, protect: bool = False, attach: bool = False, revise: bool = False, cut: bool = False) -> bytes:
    """A page with a photograph, words, an author, a link, a comment; an earlier revision where that is wanted."""
    with pikepdf.new() as pdf:
        image = pdf.make_stream(PICTURE, Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Image)
        width, height = _jpeg_size(PICTURE)
        image.Width, image.Height, image.BitsPerComponent = width, height, 8
        image.ColorSpace, image.Filter = pikepdf.Name.DeviceRGB, pikepdf.Name.DCTDecode
        font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
        page = pdf.add_blank_page(page_size=(200, 200))
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(I=image), Font=pikepdf.Dictionary(F=font))
        drawn = "q 100 0 0 100 20 80 cm /I Do Q BT /F 12 Tf 20 40 Td (A white van) Tj ET"
        page.Contents = pdf.make_stream(f"% by {office_samples.NAME}\n{drawn}".encode())
        comment = pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Highlight, Rect=[20, 38, 90, 52], F=4,
            QuadPoints=[20, 52, 90, 52, 20, 38, 90, 38], C=[1, 1, 0], T=office_samples.OTHER, Contents="Ask her again.",
        )  # fmt: skip
        page.Annots = pikepdf.Array([comment])
        pdf.docinfo["/Author"] = office_samples.NAME
        with pdf.open_metadata() as metadata:
            metadata["dc:creator"] = [office_samples.NAME]
        if cut:
            page.CropBox = pikepdf.Array([0, 0, 200, 100])
        if attach:
            pdf.attachments["notes.txt"] = b"who said so"
        made = io.BytesIO()
        pdf.save(made, encryption=pikepdf.Encryption(owner="o", user="", R=4) if protect else False)
    content = made.getvalue()
    return _revised(content) if revise else content


def _jpeg_size(content: bytes) -> tuple[int, int]:
    frame = re.search(rb"\xff[\xc0\xc2]..\x08(..)(..)", bare_jpeg(content), re.S)
    assert frame is not None
    return int.from_bytes(frame.group(2), "big"), int.from_bytes(frame.group(1), "big")


def _revised(content: bytes) -> bytes:
    """Append a revision that replaces the catalog's language, as an editor does when it saves quickly."""
    return content + b"\n% an earlier author: " + office_samples.NAME.encode() + b"\n%%EOF\n"


@pytest.mark.parametrize("attach", [False, True])
def test_a_pdf_keeps_its_pages_and_says_nothing_of_people(bench: Workbench, attach: bool) -> None:
    original = _pdf(attach=attach, revise=True)
    assert len(left_in(original, SAYS)) >= 3
    verdict, copy = cleaned(bench, original)
    assert left_in(copy, [*SAYS, "who said so", "Exif", "pikepdf", "Canon"]) == []
    assert pages_of(copy) == pages_of(original)
    assert printed_words(copy) == printed_words(original)
    assert copy == cleaned(bench, original)[1], "the same file gives the same copy"
    assert dict(verdict.removed)


def test_a_protected_pdf_is_refused(bench: Workbench) -> None:
    assert refusal_of(bench, _pdf(protect=True)) == "encrypted"


def test_a_name_that_also_stands_in_the_words_is_refused(bench: Workbench) -> None:
    document = docx.Document()
    document.core_properties.author = office_samples.NAME
    document.add_paragraph(f"Signed, {office_samples.NAME}")
    assert refusal_of(bench, office_samples._saved(document)) == "value-in-text"


HTML = b"""<!DOCTYPE html><html><head><meta charset="utf-8"><meta name="author" content="Wilhelmina Informer">
<title>Van</title><script>var who = 'Wilhelmina Informer'</script></head>
<body data-user="Wilhelmina Informer" onload="x()"><!-- Ambrose Reviewer --><p>A white <b>van</b></p></body></html>"""
SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape"
inkscape:export-filename="/home/wilhelmina/a.png" width="9" height="9">
<metadata>Wilhelmina Informer</metadata>
<!-- Ambrose Reviewer --><title>Wilhelmina Informer</title>
<text x="1" y="5">van</text><path d="M0 0h9v9z"/></svg>"""
PART = b"--q\r\nContent-Type: text/plain\r\n\r\nwords\r\n--q--\r\n"
RTF = rb"""{\rtf1\ansi{\fonttbl{\f0 Arial;}}
{\info{\author Wilhelmina Informer}{\creatim\yr2026\mo3}}
{\*\generator Ambrose Reviewer;}{\*\rsidtbl \rsid00112233}\pard\insrsid00112233 A white \b van\b0\par}trailing"""
MAIL = b"""Received: from [10.0.0.7] by mx.example\r
Message-ID: <77@laptop-of-wilhelmina>\r
X-Mailer: Ambrose Reviewer\r
From: desk@example.org\r\nTo: counsel@example.org\r\nSubject: Van\r\nMIME-Version: 1.0\r
Content-Type: text/plain; charset=utf-8\r\n\r\nA white van\r\n"""


@pytest.mark.parametrize(
    ("original", "shown"),
    [
        (HTML, "<p>A white <b>van</b></p>"),
        (SVG, '<path d="M0 0h9v9z"/>'),
        (RTF, r"A white \b van\b0"),
        (MAIL, "A white van"),
    ],
    ids=["html", "svg", "rtf", "mail"],
)
def test_a_text_keeps_what_it_shows_and_says_nothing_of_itself(bench: Workbench, original: bytes, shown: str) -> None:
    _, copy = cleaned(bench, original)
    assert shown in copy.decode()
    assert left_in(copy, [*SAYS, "10.0.0.7", "00112233", "trailing", "script"]) == []


def test_a_mail_keeps_who_wrote_to_whom(bench: Workbench) -> None:
    _, copy = cleaned(bench, MAIL)
    read = message_from_bytes(copy, policy=policy.default)
    assert {name: str(read[name]) for name in ("From", "To", "Subject")} == {
        "From": "desk@example.org",
        "To": "counsel@example.org",
        "Subject": "Van",
    }


def test_a_plain_text_stays_as_it_is(bench: Workbench) -> None:
    assert cleaned(bench, "El camión blanco\n".encode())[1] == "El camión blanco\n".encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a mark\u200b that nobody sees".encode(), "unseen-characters"),
        (b"A text\n" * 20_000 + b"PK\x03\x04\x00\x01", "not-text"),
        (b"From: a@b\r\nSubject: x\r\nContent-Type: multipart/signed; boundary=q\r\n\r\n" + PART, "signed"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', "scripts"),
    ],
)
def test_a_text_that_is_more_than_it_shows_is_refused(bench: Workbench, content: bytes, reason: str) -> None:
    assert refusal_of(bench, content) == reason


@pytest.mark.parametrize("word", ["PK\x03\x04 archive", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"])
def test_archives_and_old_office_files_are_refused(bench: Workbench, word: str) -> None:
    with pytest.raises(InputError):
        cleaned(bench, word.encode("latin-1") + bytes(600))


@pytest.mark.parametrize("step", often([3, 1], 3))
def test_documents_of_the_corpus_leave_nothing_behind(bench: Workbench, corpus: CorpusFinder, step: int) -> None:
    folder = corpus("media-metadata")
    truth = json.loads((folder / "truth.json").read_text())
    done, refused = [], {}
    for entry in [each for each in truth if each["file"].lower().endswith(SUFFIXES)][::step]:
        original = (folder / entry["file"]).read_bytes()
        try:
            _, copy = cleaned(bench, original)
        except InputError as error:
            refused[entry["file"]] = error.message
            continue
        done.append(entry)
        assert left_in(copy, [needle["text"] for needle in entry["needles"]]) == [], entry["file"]
        if copy.startswith(b"%PDF"):
            assert pages_of(copy) == pages_of(original), entry["file"]
            assert printed_words(copy) == printed_words(original), entry["file"]
        elif copy.startswith(b"PK"):
            assert office_samples.words_of(copy) == office_samples.words_of(original), entry["file"]
    with_needles = [entry for entry in done if entry["needles"]]
    assert len(with_needles) >= 17 // step, refused
    assert all(re.search(r"cannot be cleaned: .+\. The original is kept", why) for why in refused.values()), refused


def test_words_of_a_page_that_no_viewer_shows_go(bench: Workbench) -> None:
    """In place of a text, and before an operator that is none; the page's description is split over two streams."""
    name = office_samples.NAME
    hidden = f"/Span <</ActualText ({name}) /MCID 1>> BDC /MP ({name}) pop q 0 1 0 rg"
    with pikepdf.new() as pdf:
        font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
        page = pdf.add_blank_page(page_size=(200, 200))
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F=font))
        parts = (f"{hidden} BT /F 24 Tf 20 90 Td (VISIBLE)", "Tj ET Q EMC")
        page.Contents = pikepdf.Array([pdf.make_stream(part.encode()) for part in parts])
        made = io.BytesIO()
        pdf.save(made)
    assert left_in(made.getvalue(), [name]) == [name]
    _, copy = cleaned(bench, made.getvalue())
    assert left_in(copy, [name]) == []
    assert pages_of(copy) == pages_of(made.getvalue()) and len(set(pages_of(copy)[0][1])) > 2
    assert b"VISIBLE" in printed_words(copy)


@pytest.mark.parametrize("hidden", ["({}) q Q", "({}) 0 1 0 rg", "({}) 0 scn"])
def test_words_before_an_operator_that_takes_none_are_refused(bench: Workbench, hidden: str) -> None:
    """One viewer passes over the words, another over the operator, so no copy would be true to both."""
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(200, 200))
        page.Contents = pdf.make_stream(hidden.format(office_samples.NAME).encode())
        made = io.BytesIO()
        pdf.save(made)
    assert refusal_of(bench, made.getvalue()) == "damaged"
