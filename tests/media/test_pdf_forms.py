"""Forms keep what their pages show, and nothing that stands behind it; a value that nobody sees is refused."""

import io
from collections.abc import Callable

import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String

from archive.errors import InputError
from media.workbench import Workbench
from tests.media.cleaned import cleaned, left_in

pytestmark = pytest.mark.usefixtures("sandbox")

NEEDLE = "Maria Rossi"
BOX = [50, 700, 250, 720]
Change = Callable[[Pdf, dict[str, pikepdf.Object]], None]


def _form(change: Change | None = None) -> bytes:
    """A page with a line of text, a ticked box, two radio buttons and a list, each filled in and drawn."""
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(300, 800))
        fields = {
            "text": _widget(pdf, BOX, FT=Name.Tx, V=String("shown words"), AP=Dictionary(N=_drawn(pdf, "shown words"))),
            "box": _widget(pdf, [50, 650, 70, 670], FT=Name.Btn, V=Name.Yes, AS=Name.Yes, AP=_faces(pdf, "/Yes")),
            "list": _widget(
                pdf,
                [50, 600, 250, 620],
                FT=Name.Ch,
                Ff=1 << 17,
                V=String("value-1"),
                Opt=Array([Array([String("value-1"), String("Los Angeles")]), String("Fresno")]),
                AP=Dictionary(N=_drawn(pdf, "Los Angeles")),
            ),
        }
        group = pdf.make_indirect(Dictionary(FT=Name.Btn, Ff=1 << 15, T=String("group"), V=Name("/b"), Kids=Array()))
        for number, state in enumerate("ab"):
            place = [50 + 40 * number, 550, 70 + 40 * number, 570]
            chosen = Name("/b") if state == "b" else Name.Off
            kid = _widget(pdf, place, AS=chosen, AP=_faces(pdf, f"/{state}"), Parent=group)
            del kid["/T"]
            group.Kids.append(kid)
        fields["group"] = group
        page.obj.Annots = Array([*(fields[name] for name in ("text", "box", "list")), *group.Kids])
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        resources = Dictionary(Font=Dictionary(Helv=font))
        pdf.Root.AcroForm = Dictionary(Fields=Array(list(fields.values())), DR=resources, DA=String("/Helv 12 Tf 0 g"))
        if change is not None:
            change(pdf, fields)
        made = io.BytesIO()
        pdf.save(made)
        return made.getvalue()


def _widget(pdf: Pdf, place: list[int], **parts: object) -> pikepdf.Object:
    told = Dictionary(
        Type=Name.Annot, Subtype=Name.Widget, F=4, T=String(f"name{place[1]}"), DA=String("/Helv 12 Tf 0 g")
    )
    told.Rect = Array(place)
    for key, value in parts.items():
        told[f"/{key}"] = value
    return pdf.make_indirect(told)


def _drawn(pdf: Pdf, words: str) -> Stream:
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    drawn = pdf.make_stream(f"BT /Helv 12 Tf 2 5 Td ({words}) Tj ET".encode())
    drawn.Type, drawn.Subtype, drawn.BBox = Name.XObject, Name.Form, Array([0, 0, 200, 20])
    drawn.Resources = Dictionary(Font=Dictionary(Helv=font))
    return drawn


def _faces(pdf: Pdf, state: str) -> Dictionary:
    ticked, empty = pdf.make_stream(b"0 0 20 20 re f"), pdf.make_stream(b"0 0 20 20 re S")
    for each in (ticked, empty):
        each.Type, each.Subtype, each.BBox = Name.XObject, Name.Form, Array([0, 0, 20, 20])
    faces = Dictionary(Off=empty)
    faces[state] = ticked
    return Dictionary(N=faces)


def _look(content: bytes) -> list[bytes]:
    document = pypdfium2.PdfDocument(content)
    document.init_forms()
    try:
        return [bytes(page.render(scale=1).buffer) for page in document]
    finally:
        document.close()


def test_a_filled_form_looks_the_same_and_can_still_be_filled_in(workbench: Workbench) -> None:
    original = _form()
    _, copy = cleaned(workbench, original)
    assert _look(copy) == _look(original)
    with pikepdf.open(io.BytesIO(copy)) as pdf:
        text, box, chosen, group = pdf.Root.AcroForm.Fields
        assert [str(each.V) for each in (text, chosen)] == ["shown words", "Los Angeles"]
        assert box.V == box.AS != Name.Off and str(box.AS) in box.AP.N
        assert group.V == group.Kids[1].AS != group.Kids[0].AS == Name.Off
        assert str(group.V) in group.Kids[1].AP.N and str(group.V) not in group.Kids[0].AP.N
        assert [str(each) for each in chosen.Opt] == ["Los Angeles", "Fresno"]


_BEHIND: dict[str, Change] = {
    "a default": lambda _pdf, fields: fields["text"].__setitem__("/DV", String(NEEDLE)),
    "a tool tip": lambda _pdf, fields: fields["text"].__setitem__("/TU", String(NEEDLE)),
    "a name for other programs": lambda _pdf, fields: fields["text"].__setitem__("/TM", String(NEEDLE)),
    "a name": lambda _pdf, fields: fields["text"].__setitem__("/T", String(NEEDLE)),
    "a rich value": lambda _pdf, fields: fields["text"].__setitem__("/RV", String(NEEDLE)),
    "a default of a group": lambda _pdf, fields: fields["group"].__setitem__("/DV", String(NEEDLE)),
    "a tool tip of a group": lambda _pdf, fields: fields["group"].__setitem__("/TU", String(NEEDLE)),
    "a caption that is not drawn": lambda _pdf, fields: fields["box"].__setitem__(
        "/MK", Dictionary(CA=String(NEEDLE), AC=String(NEEDLE), RC=String(NEEDLE))
    ),
    "a value behind a list's words": lambda _pdf, fields: fields["list"].__setitem__(
        "/Opt", Array([Array([String("value-1"), String("Los Angeles")]), Array([String(NEEDLE), String("Fresno")])])
    ),
    "the name of a box's state": lambda pdf, fields: (
        (
            fields["box"].__setitem__("/AP", _faces(pdf, f"/{NEEDLE}")),
            fields["box"].__setitem__("/AS", Name(f"/{NEEDLE}")),
            fields["box"].__setitem__("/V", Name(f"/{NEEDLE}")),
        )
        and None
    ),
    "how it looks while it is pressed": lambda pdf, fields: fields["text"].AP.__setitem__("/D", _drawn(pdf, NEEDLE)),
    "how it looks under a pointer": lambda pdf, fields: fields["text"].AP.__setitem__("/R", _drawn(pdf, NEEDLE)),
}


@pytest.mark.parametrize("place", list(_BEHIND))
def test_what_stands_behind_a_field_goes_and_the_page_looks_the_same(workbench: Workbench, place: str) -> None:
    original = _form(_BEHIND[place])
    assert left_in(original, [NEEDLE, NEEDLE.replace(" ", "#20")])
    _, copy = cleaned(workbench, original)
    assert left_in(copy, [NEEDLE, NEEDLE.replace(" ", "#20")]) == []
    assert _look(copy) == _look(original)


def _more(pdf: Pdf, *, shown: bool, **parts: object) -> None:
    more = _widget(pdf, parts.pop("place", [50, 500, 250, 520]), FT=Name.Tx, **{"V": String(NEEDLE), **parts})  # type: ignore[arg-type]
    pdf.Root.AcroForm.Fields.append(more)
    if shown:
        pdf.pages[0].obj.Annots.append(more)


_UNSEEN: dict[str, Change] = {
    "hidden": lambda pdf, _fields: _more(pdf, shown=True, F=2),
    "not to be viewed": lambda pdf, _fields: _more(pdf, shown=True, F=32),
    "of no size": lambda pdf, _fields: _more(pdf, shown=True, place=[0, 0, 0, 0]),
    "beside the page": lambda pdf, _fields: _more(pdf, shown=True, place=[900, 10, 950, 30]),
    "on no page": lambda pdf, _fields: _more(pdf, shown=False),
    "a password": lambda pdf, _fields: _more(pdf, shown=True, Ff=1 << 13),
}


@pytest.mark.parametrize("place", list(_UNSEEN))
def test_a_value_that_nobody_sees_is_refused_with_the_reason(workbench: Workbench, place: str) -> None:
    with pytest.raises(InputError) as caught:
        cleaned(workbench, _form(_UNSEEN[place]))
    assert caught.value.evidence["reason"] == "hidden-form-value"


def test_an_empty_field_that_nobody_sees_goes(workbench: Workbench) -> None:
    original = _form(lambda pdf, _fields: _more(pdf, shown=True, F=2, V=String(""), T=String(NEEDLE)))
    _, copy = cleaned(workbench, original)
    assert left_in(copy, [NEEDLE]) == []
    with pikepdf.open(io.BytesIO(copy)) as pdf:
        assert len(pdf.Root.AcroForm.Fields) == 4
