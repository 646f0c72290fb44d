"""Of a PDF nothing stays that no page shows: layers' conditions, marks out of view, words beside what is drawn."""

import io
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Object, Pdf, String
from PIL import ImageCms

from archive.errors import InputError
from media.workbench import Workbench
from tests.media.cleaned import cleaned, left_in

pytestmark = pytest.mark.usefixtures("sandbox")

NEEDLE = "Maria Rossi"
WORDS = b"BT /F1 12 Tf 20 20 Td (Maria Rossi) Tj ET"
Change = Callable[[Pdf, Object], None]


def _page(content: bytes, change: Change) -> bytes:
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(200, 200)).obj
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        page.Resources = Dictionary(Font=Dictionary(F1=font))
        page.Contents = pdf.make_stream(content)
        change(pdf, page)
        made = io.BytesIO()
        pdf.save(made)
        return made.getvalue()


def _membership(pdf: Pdf, **said: Any) -> Object:
    layer = pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("layer")))
    pdf.Root.OCProperties = Dictionary(OCGs=Array([layer]), D=Dictionary(Order=Array([layer])))
    condition = said.pop("VE", None)
    member = Dictionary(Type=Name.OCMD, OCGs=Array([layer]), **said)
    if condition is not None:
        member.VE = Array([Name(str(condition)), layer])
    return pdf.make_indirect(member)


@pytest.mark.parametrize("said", [{"P": Name.AllOff}, {"P": Name.AnyOff}, {"VE": "/Not"}], ids=["all", "any", "not"])
@pytest.mark.parametrize("where", ["words", "form"])
def test_what_is_hidden_while_its_layer_is_on_is_refused(
    workbench: Workbench, said: dict[str, Any], where: str
) -> None:
    def change(pdf: Pdf, page: Object) -> None:
        member = _membership(pdf, **said)
        if where == "words":
            page.Resources.Properties = Dictionary(O=member)
            return
        form = pdf.make_stream(WORDS, Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 200, 200], OC=member)
        form.Resources = page.Resources
        page.Resources.XObject = Dictionary(X=form)

    content = b"/OC /O BDC " + WORDS + b" EMC" if where == "words" else b"/X Do"
    with pytest.raises(InputError, match="layers that are switched off"):
        cleaned(workbench, _page(content, change))


def _annotated(pdf: Pdf, page: Object) -> None:
    out_of_view, drawn = (
        pdf.make_indirect(
            Dictionary(Type=Name.Annot, Subtype=Name.FreeText, Rect=[0, 0, 90, 90], Contents=String(NEEDLE), F=flags)
        )
        for flags in (32, 4)
    )
    look = pdf.make_stream(b"0 0 9 9 re f", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
    drawn.AP = Dictionary(N=look)
    page.Annots = Array([out_of_view, drawn])


def _private(_pdf: Pdf, page: Object) -> None:
    page.Resources.ExtGState = Dictionary(G=Dictionary(Type=Name.ExtGState, ca=1, Owner=String(NEEDLE)))
    page.Resources.Private = Dictionary(Owner=Dictionary(Note=String(NEEDLE)))


def _behind_the_last_point(pdf: Pdf, page: Object) -> None:
    picture = pdf.make_stream(b"\0" + NEEDLE.encode(), Type=Name.XObject, Subtype=Name.Image, Width=1, Height=1)
    picture.ColorSpace, picture.BitsPerComponent = Name.DeviceGray, 8
    page.Resources.XObject = Dictionary(X=picture)


def _profile(pdf: Pdf, page: Object) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    named = profile.replace("sRGB built-in".encode("utf-16-be"), f"{NEEDLE}  ".encode("utf-16-be"))
    assert named != profile
    page.Resources.ColorSpace = Dictionary(C=Array([Name.ICCBased, pdf.make_stream(named, N=3)]))


@pytest.mark.parametrize(
    ("content", "change"),
    [
        (b"0 0 9 9 re f", _annotated),
        (b"/G gs 0 0 9 9 re f", _private),
        (b"/X Do", _behind_the_last_point),
        (b"/C cs 1 0 0 sc 0 0 9 9 re f", _profile),
    ],
    ids=["annotations", "private keys", "behind a picture's points", "a colour profile"],
)
def test_words_beside_what_is_drawn_go(workbench: Workbench, content: bytes, change: Change) -> None:
    made = _page(content, change)
    assert left_in(made, [NEEDLE]) == [NEEDLE]
    _, copy = cleaned(workbench, made)
    assert left_in(copy, [NEEDLE]) == []


def _field(drawn: bytes) -> Change:
    def change(pdf: Pdf, page: Object) -> None:
        look = pdf.make_stream(drawn, Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 90, 20])
        look.Resources = page.Resources
        field = pdf.make_indirect(
            Dictionary(Type=Name.Annot, Subtype=Name.Widget, FT=Name.Tx, T=String("a"), Rect=[0, 0, 90, 20])
        )
        field.V, field.AP = String(NEEDLE), Dictionary(N=look)
        page.Annots = Array([field])
        pdf.Root.AcroForm = Dictionary(Fields=Array([field]))

    return change


def test_a_value_that_its_field_does_not_draw_is_refused(workbench: Workbench) -> None:
    with pytest.raises(InputError, match="filled in where nobody sees it"):
        cleaned(workbench, _page(b"", _field(b"/Tx BMC BT /F1 9 Tf (nobody) Tj ET EMC")))
    _, copy = cleaned(workbench, _page(b"", _field(b"/Tx BMC BT /F1 9 Tf (Maria) Tj 0 -9 Td (Rossi) Tj ET EMC")))
    assert left_in(copy, [NEEDLE]) == [NEEDLE]


def test_a_picture_among_the_operators_with_a_key_of_its_own_is_refused(workbench: Workbench) -> None:
    drawn = b"q 9 0 0 9 0 0 cm BI /W 1 /H 1 /CS /G /BPC 8 /Owner (Maria Rossi) ID x EI Q"
    with pytest.raises(InputError, match="a picture inside it is damaged"):
        cleaned(workbench, _page(drawn, lambda _pdf, _page: None))
