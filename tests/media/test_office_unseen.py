"""Of office documents nothing stays that a style, a size or a format keeps out of sight, and nothing is fetched."""

import io
import zipfile
from collections.abc import Mapping

import docx
import openpyxl
import pytest

from archive.errors import InputError
from media.workbench import Workbench
from tests.media.cleaned import cleaned, left_in

pytestmark = pytest.mark.usefixtures("sandbox")

NEEDLE = "Maria Rossi"
SEEN = "It came back."


def _changed(document: bytes, changes: Mapping[str, tuple[str, str]]) -> bytes:
    """Put one text in place of another in some members."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(document)) as before, zipfile.ZipFile(made, "w") as after:
        for name in before.namelist():
            content = before.read(name).decode("utf-8", "surrogateescape")
            if name in changes:
                assert changes[name][0] in content, name
                content = content.replace(*changes[name], 1)
            after.writestr(name, content.encode("utf-8", "surrogateescape"))
    return made.getvalue()


def _letter(body: str, styles: str = "") -> bytes:
    document, made = docx.Document(), io.BytesIO()
    document.add_paragraph(SEEN)
    document.save(made)
    changes = {"word/document.xml": ("<w:sectPr", f"{body}<w:sectPr")}
    if styles:
        changes["word/styles.xml"] = ("</w:styles>", f"{styles}</w:styles>")
    return _changed(made.getvalue(), changes)


HIDING = (
    '<w:style w:type="character" w:styleId="A"><w:name w:val="A"/><w:rPr><w:vanish/></w:rPr></w:style>'
    '<w:style w:type="character" w:styleId="B"><w:name w:val="B"/><w:basedOn w:val="A"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="C"><w:name w:val="C"/><w:rPr><w:vanish/></w:rPr></w:style>'
)
STYLED = '<w:p><w:r><w:rPr><w:rStyle w:val="B"/>{}</w:rPr><w:t>{}</w:t></w:r></w:p>'
LINK = (
    '<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>HYPERLINK "{}"</w:instrText></w:r>'
    '<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>here</w:t></w:r>'
    '<w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>'
)
TABLE = (
    '<w:tbl><w:tblPr><w:tblCaption w:val="{0}"/><w:tblDescription w:val="{0}"/></w:tblPr>'
    "<w:tr><w:tc><w:p/></w:tc></w:tr></w:tbl>"
)


@pytest.mark.parametrize(
    "body",
    [STYLED.format("", NEEDLE), LINK.format(f"file:///C:/{NEEDLE}"), TABLE.format(NEEDLE)],
    ids=["a style", "a link to a file", "a table's description"],
)
def test_what_a_letter_does_not_show_goes(workbench: Workbench, body: str) -> None:
    _, copy = cleaned(workbench, _letter(body, HIDING))
    assert left_in(copy, [NEEDLE, SEEN]) == [SEEN]


def test_what_a_hidden_style_shows_nevertheless_stays(workbench: Workbench) -> None:
    shown = STYLED.format('<w:vanish w:val="0"/>', "shown words") + LINK.format("https://example.org/")
    _, copy = cleaned(workbench, _letter(shown, HIDING))
    assert left_in(copy, ["shown words", "https://example.org/"]) == ["shown words", "https://example.org/"]


def test_paragraphs_of_a_hidden_style_are_refused(workbench: Workbench) -> None:
    body = f'<w:p><w:pPr><w:pStyle w:val="C"/></w:pPr><w:r><w:t>{NEEDLE}</w:t></w:r></w:p>'
    with pytest.raises(InputError, match="it holds what nobody sees"):
        cleaned(workbench, _letter(body, HIDING))


def _sheet(value: str, *, format_code: str = "General", changes: Mapping[str, tuple[str, str]] | None = None) -> bytes:
    book, made = openpyxl.Workbook(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    sheet["A1"], sheet["C5"] = SEEN, value
    sheet["C5"].number_format = format_code
    sheet.row_dimensions[5].height = 15
    sheet.column_dimensions["C"].width = 9
    book.save(made)
    return _changed(made.getvalue(), changes or {})


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    "content",
    [
        _sheet(NEEDLE, format_code=";;;"),
        _sheet(NEEDLE, changes={SHEET: (' ht="15"', ' ht="0"')}),
        _sheet(NEEDLE, changes={SHEET: ('width="9"', 'width="0"')}),
    ],
    ids=["a format of nothing", "a row of no height", "a column of no width"],
)
def test_cells_that_are_shown_nowhere_are_refused(workbench: Workbench, content: bytes) -> None:
    with pytest.raises(InputError, match="it holds what nobody sees"):
        cleaned(workbench, content)


@pytest.mark.parametrize(
    "formula",
    [
        '=WEBSERVICE("https://x.example/a")',
        '=_xlfn.IMAGE("https://x.example/a.png")',
        "='C:\\Maria\\[book.xlsx]Sheet1'!A1",
        "=cmd|'/c calc'!A1",
    ],
)
def test_a_formula_that_fetches_is_refused(workbench: Workbench, formula: str) -> None:
    with pytest.raises(InputError, match="it shows what it fetches from elsewhere"):
        cleaned(workbench, _sheet(formula))


def test_ordinary_formulas_and_formats_stay(workbench: Workbench) -> None:
    _, copy = cleaned(workbench, _sheet('=IF(A1="a|b!",SUM(B1:B3),"[x.y]")', format_code="0.00;-0.00;;@"))
    assert left_in(copy, ["SUM(B1:B3)"]) == ["SUM(B1:B3)"]
