"""Office documents that say much of themselves, written by libraries that are not ours; and readers of their words."""

import datetime
import io
import re
import zipfile
from xml.etree import ElementTree

import docx
import openpyxl
import pptx
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Inches
from openpyxl.comments import Comment

NAME = "Wilhelmina Informer"
OTHER = "Ambrose Reviewer"
WORDS = "She saw the van at the corner."
_MOMENT = datetime.datetime(2026, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)


def _describe(properties: object) -> None:
    for field in (
        "author",
        "creator",
        "last_modified_by",
        "lastModifiedBy",
        "title",
        "subject",
        "comments",
        "keywords",
    ):
        if hasattr(properties, field):
            setattr(properties, field, f"{NAME} {field}")
    for field in ("created", "modified"):
        setattr(properties, field, _MOMENT)


def word_document(picture: bytes) -> bytes:
    """A DOCX with a comment, a tracked insertion and deletion, revision ids, a hidden run, a link, a picture."""
    document = docx.Document()
    _describe(document.core_properties)
    paragraph = document.add_paragraph(WORDS)
    document.add_comment(paragraph.runs, text="Ask her again.", author=OTHER, initials="AR")
    paragraph._p.set(qn("w:rsidR"), "00A12BC3")
    paragraph._p.append(_change("w:ins", "w:t", " It was white."))
    paragraph._p.append(_change("w:del", "w:delText", " It was red."))
    document.add_paragraph().add_run("Only the writer sees this.").font.hidden = True
    document.add_picture(io.BytesIO(picture), width=Inches(1))
    document.part.relate_to("file:///C:/Users/wilhelmina/van.docx", RELATIONSHIP_TYPE.HYPERLINK, is_external=True)
    return _saved(document)


def _change(kind: str, text: str, words: str) -> object:
    change, run, inner = OxmlElement(kind), OxmlElement("w:r"), OxmlElement(text)
    change.set(qn("w:author"), OTHER)
    change.set(qn("w:date"), "2026-03-04T05:06:07Z")
    inner.text = words
    inner.set(qn("xml:space"), "preserve")
    run.append(inner)
    change.append(run)
    return change


def workbook(picture: bytes, *, hidden_sheet: bool = False) -> bytes:
    """An XLSX with a comment, a formula, a picture and a defined name; with a hidden sheet where that is wanted."""
    book = openpyxl.Workbook()
    _describe(book.properties)
    sheet = book.active
    sheet.append(["plate", "count"])
    sheet.append([WORDS, 3])
    sheet["B3"] = "=B2*2"
    sheet["A2"].comment = Comment("Ask her again.", OTHER)
    sheet.add_image(openpyxl.drawing.image.Image(io.BytesIO(picture)), "D4")
    if hidden_sheet:
        second = book.create_sheet("sources")
        second.append(["who said so"])
        second.sheet_state = "hidden"
    return _saved(book)


def presentation(picture: bytes, *, hidden_slide: bool = False) -> bytes:
    """A PPTX with notes, a picture whose name tells of somebody's machine, and a hidden slide where that is wanted."""
    show = pptx.Presentation()
    _describe(show.core_properties)
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = WORDS
    drawn = slide.shapes.add_picture(io.BytesIO(picture), 0, 0)
    drawn._element.nvPicPr.cNvPr.set("descr", f"/home/{NAME}/van.jpg")
    slide.notes_slide.notes_text_frame.text = f"{OTHER} will speak here."
    if hidden_slide:
        slide._element.set("show", "0")
    return _saved(show)


def _saved(document: object) -> bytes:
    made = io.BytesIO()
    document.save(made)  # type: ignore[attr-defined]  # each of the three libraries has it
    return made.getvalue()


def words_of(content: bytes) -> list[str]:
    """Give the words that an office document shows, read by its library; of ODF, by the standard library."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = set(archive.namelist())
        if "content.xml" in names:
            return _open_document_words(archive.read("content.xml"))
    if "word/document.xml" in names:
        return _word_words(content)
    if "xl/workbook.xml" in names:
        book = openpyxl.load_workbook(io.BytesIO(content))
        return [str(cell.value) for sheet in book for row in sheet for cell in row if cell.value is not None]
    slides = pptx.Presentation(io.BytesIO(content)).slides
    return [shape.text_frame.text for slide in slides for shape in slide.shapes if shape.has_text_frame]


def _word_words(content: bytes) -> list[str]:
    """The words of the final text: what was deleted or moved away, or is hidden, is not among them."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        body = ElementTree.fromstring(archive.read("word/document.xml"))  # noqa: S314  # a test file
    space = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    found: list[str] = []

    def walk(element: ElementTree.Element) -> None:
        if element.tag in (f"{space}del", f"{space}moveFrom") or element.find(f"{space}rPr/{space}vanish") is not None:
            return
        if element.tag == f"{space}t":
            found.append(element.text or "")
        for child in element:
            walk(child)

    walk(body)
    return ["".join(found)]


def _open_document_words(content: bytes) -> list[str]:
    root = ElementTree.fromstring(content)  # noqa: S314  # a test file
    unseen = ("annotation", "tracked-changes", "title", "desc")
    found: list[str] = []

    def walk(element: ElementTree.Element) -> None:
        found.append(element.text or "")
        for child in element:
            if child.tag.rpartition("}")[2] not in unseen:
                walk(child)
            found.append(child.tail or "")

    walk(root)
    return re.sub(r"\s+", " ", "".join(found)).split()
