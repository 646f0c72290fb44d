"""The words of a printed PDF can be found and copied as before; what says something else is left out."""

import io
import shutil
import subprocess

import pikepdf
import pytest
from pikepdf import Dictionary, Name, String

from media.workbench import Workbench
from tests.media.cleaned import cleaned, left_in
from tests.often import often

pytestmark = pytest.mark.usefixtures("sandbox")

NEEDLE = "Maria Rossi"
CHROMIUM = shutil.which("chromium")
_WORDS = {
    "en": "The officer filed an affidavit at the office; first floor, flat five. Affluent waffles &amp; ﬁnal offers.",
    "es-US": "El oficial firmó la declaración jurada; ¿cuándo? El año pasado, flanco difícil.",
    "ko": "경찰관이 진술서를 제출했습니다. 대한민국 서울특별시",
    "fil": "Ang opisyal ay naghain ng sinumpaang salaysay; ñ, ng̃, fiesta, official.",
    "bn": "কর্মকর্তা একটি হলফনামা দাখিল করেছেন। ক্ষমা, বিজ্ঞান, স্ত্রী, কি কী কু কে কো",
    "hi": "अधिकारी ने हलफ़नामा दाखिल किया। क्षमा, विज्ञान, स्त्री, हिन्दी नमस्ते, र्क",
    "ar": "قدّم الضابط إفادة خطية في المكتب. مرحبا بالعالم، لا إله، ١٢٣",
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One page in each language, printed by a browser."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not here to print pages")
    folder = tmp_path_factory.mktemp("printed")
    for language, words in _WORDS.items():
        direction = "rtl" if language == "ar" else "ltr"
        page = f'<!doctype html><html lang="{language}"><meta charset="utf-8"><body dir="{direction}"><p>{words}</p>'
        (folder / f"{language}.html").write_text(page, encoding="utf-8")
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += ["--disable-background-networking", f"--user-data-dir={folder}/profile", "--no-pdf-header-footer"]
        command += [f"--print-to-pdf={folder}/{language}.pdf", f"file://{folder}/{language}.html"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    return {language: (folder / f"{language}.pdf").read_bytes() for language in _WORDS}


def _found(content: bytes) -> str:
    return subprocess.run(["pdftotext", "-", "-"], input=content, capture_output=True, check=True).stdout.decode()


@pytest.mark.parametrize("language", often(_WORDS, "en", "hi", "ar"))
def test_the_words_of_a_printed_page_are_found_as_before(
    printed: dict[str, bytes], workbench: Workbench, language: str
) -> None:
    verdict, copy = cleaned(workbench, printed[language])
    assert _found(copy) == _found(printed[language])
    assert "left out" not in verdict.tool


def test_a_ligature_is_still_found_as_its_letters(printed: dict[str, bytes], workbench: Workbench) -> None:
    assert b"ActualText" in b"".join(_descriptions(printed["en"])), "the printed page has what this is about"
    _, copy = cleaned(workbench, printed["en"])
    assert "affidavit" in _found(copy)


def _descriptions(content: bytes) -> list[bytes]:
    with pikepdf.open(io.BytesIO(content)) as pdf:
        return [page.Contents.read_bytes() for page in pdf.pages]


_LINE = "BT /F0 12 Tf 50 700 Td {mark} (sold) Tj {end} ET"
_SPOKEN = {
    "other words": f"/Span <</ActualText ({NEEDLE})>> BDC",
    "the same words and more": f"/Span <</ActualText (sold {NEEDLE})>> BDC",
    "words in another font": f"/Span <</ActualText ({NEEDLE})>> BDC /None 1 Tf",
    "words that nobody sees": "/Span <</ActualText <FEFF0073006f006c0064200b200c200b200b200c> >> BDC",
    "words among the properties": "/Span /P0 BDC",
}


@pytest.mark.parametrize("kind", list(_SPOKEN))
def test_words_in_place_of_others_are_left_out_and_that_is_said(workbench: Workbench, kind: str) -> None:
    original = _page(_LINE.format(mark=_SPOKEN[kind], end="EMC"))
    verdict, copy = cleaned(workbench, original)
    assert b"ActualText" not in b"".join(_descriptions(copy)) and left_in(copy, [NEEDLE]) == []
    assert "words in place of drawn letters that do not say the same were left out" in verdict.tool


@pytest.mark.parametrize("said", ["(sold)", "(dlos)", "<FEFF0073006f006c0064>", "<FEFF0073006f00ad006c0064>"])
def test_words_in_place_of_the_same_stay(workbench: Workbench, said: str) -> None:
    verdict, copy = cleaned(workbench, _page(_LINE.format(mark=f"/Span <</ActualText {said}>> BDC", end="EMC")))
    assert b"ActualText" in b"".join(_descriptions(copy))
    assert "left out" not in verdict.tool


def _page(drawn: str) -> bytes:
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(300, 800))
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        named = Dictionary(P0=Dictionary(ActualText=String(NEEDLE)))
        page.obj.Resources = Dictionary(Font=Dictionary(F0=font), Properties=named if "/P0" in drawn else Dictionary())
        page.obj.Contents = pdf.make_stream(drawn.encode())
        made = io.BytesIO()
        pdf.save(made)
        return made.getvalue()
