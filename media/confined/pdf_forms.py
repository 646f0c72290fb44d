"""Leave of a PDF's form what its pages show: no field that is not seen, no value or name behind one.

Kept: the widgets on the pages, what is filled in, what a list offers. Names of fields and of a box's states become
numbers, a list's values the words that it shows. Defaults, tool tips, other appearances than the plain one, and
captions that are not drawn, go. A value that no page shows is refused: nobody can say what hangs on it.
Standard: ISO 32000-1, 12.5.3 (flags), 12.7.3 and 12.7.4 (fields).
"""

from collections.abc import Iterator

from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream, String, parse_content_stream

from media.confined.child import Refusal
from media.confined.pdf_keys import ANNOTATIONS, FIELD_ONLY
from media.confined.pdf_shown_text import draws

_HIDDEN, _NO_VIEW, _PASSWORD = 2, 32, 1 << 13
_DEEPEST = 32
_INHERITED = ("/V", "/FT", "/Ff", "/Opt")
_FILLED_IN = (Name.Tx, Name.Ch)


def clean_forms(pdf: Pdf) -> None:
    """Clean the form in place. Raises: Refusal `hidden-form-value`, `damaged`."""
    shown = {each.objgen for page in pdf.pages for each in _widgets(page.obj) if _is_seen(each, page.mediabox)}
    for page in pdf.pages:
        if "/Annots" in page.obj:
            page.obj.Annots = Array([each for each in page.obj.Annots if not _goes(each, shown)])
    form = pdf.Root.get("/AcroForm")
    roots = list(form.get("/Fields", Array())) if isinstance(form, Dictionary) else []
    known = {each.objgen for root in roots for each in _below(root)}
    kept = [each for each in roots if _keep_shown(each, shown, 0)]
    if isinstance(form, Dictionary):
        form.Fields = Array(kept)
    loose = [each for page in pdf.pages for each in _widgets(page.obj) if each.objgen not in known]
    for number, root in enumerate([*kept, *loose]):
        _clean_field(root, f"field{number}", {})
    if not (isinstance(form, Dictionary) and form.get("/NeedAppearances", False)):
        fonts = form.get("/DR", Dictionary()).get("/Font") if isinstance(form, Dictionary) else None
        for root in (*kept, *loose):
            _refuse_what_is_not_drawn(root, fonts, {})


def _refuse_what_is_not_drawn(field: Object, fonts: Object | None, around: dict[str, Object]) -> None:
    """A value must be what the field's appearance shows; viewers draw that, and copy or search the value."""
    known = around | {key: field[key] for key in ("/V", "/FT", "/Ff") if key in field}
    face = field.get("/AP", Dictionary()).get("/N")
    if isinstance(face, Stream) and known.get("/FT") in _FILLED_IN and not int(known.get("/Ff", 0)) & _PASSWORD:
        own = face.get("/Resources", Dictionary()).get("/Font") or fonts
        value = known.get("/V")
        for each in value if isinstance(value, Array) else [value]:
            if isinstance(each, String | Stream) and _says(each):
                text = bytes(each.read_bytes()).decode("utf-8", "replace") if isinstance(each, Stream) else str(each)
                if not draws(list(parse_content_stream(face)), own, text):
                    raise Refusal("hidden-form-value")
    for kid in field.get("/Kids", Array()):
        _refuse_what_is_not_drawn(kid, fonts, known)


def _widgets(page: Object) -> Iterator[Object]:
    return (each for each in page.get("/Annots", Array()) if each.get("/Subtype") == Name.Widget)


def _is_seen(widget: Object, page: Object) -> bool:
    left, low, right, high = (float(side) for side in widget.get("/Rect", Array([0, 0, 0, 0])))
    begin, bottom, end, top = (float(side) for side in page)
    across = min(max(left, right), end) - max(min(left, right), begin)
    up = min(max(low, high), top) - max(min(low, high), bottom)
    return not int(widget.get("/F", 0)) & (_HIDDEN | _NO_VIEW) and across > 0 and up > 0


def _goes(annotation: Object, shown: set[tuple[int, int]]) -> bool:
    if annotation.get("/Subtype") != Name.Widget or annotation.objgen in shown:
        return False
    if "/Parent" not in annotation and _says(annotation.get("/V")):
        raise Refusal("hidden-form-value")
    return True


def _below(field: Object, depth: int = 0) -> Iterator[Object]:
    if depth > _DEEPEST:
        raise Refusal("damaged")
    yield field
    for each in field.get("/Kids", Array()):
        yield from _below(each, depth + 1)


def _keep_shown(field: Object, shown: set[tuple[int, int]], depth: int) -> bool:
    """Take out of a field what is not seen, and tell whether any of it is left."""
    if depth > _DEEPEST:
        raise Refusal("damaged")
    kids = [each for each in field.get("/Kids", Array()) if _keep_shown(each, shown, depth + 1)]
    if "/Kids" in field:
        field.Kids = Array(kids)
    if kids or field.objgen in shown:
        return True
    if _says(field.get("/V")):
        raise Refusal("hidden-form-value")
    return False


def _says(value: Object | None) -> bool:
    if value is None or value == Name.Off:
        return False
    return bool(bytes(value.read_bytes()) if isinstance(value, Stream) else str(value))


def _clean_field(field: Object, name: str, around: dict[str, Object]) -> None:
    known = around | {key: field[key] for key in _INHERITED if key in field}
    if int(known.get("/Ff", 0)) & _PASSWORD and known.get("/FT") == Name.Tx and _says(known.get("/V")):
        raise Refusal("hidden-form-value")
    for key in set(field.keys()) - ANNOTATIONS["/Widget"] - FIELD_ONLY:
        del field[key]
    if "/T" in field:
        field.T = String(name)
    _show_only(field, known)
    if known.get("/FT") == Name.Btn and ("/T" in field or "/Parent" not in field):
        _number_states(field)  # A widget without a name of its own is one of a group's.
    for number, kid in enumerate(field.get("/Kids", Array())):
        _clean_field(kid, f"field{number}", known)


def _show_only(field: Object, known: dict[str, Object]) -> None:
    appearance = field.get("/AP")
    drawn = isinstance(appearance, Dictionary) and "/N" in appearance
    if isinstance(marks := field.get("/MK"), Dictionary):
        kept = {"/R", "/BC", "/BG"} | (set() if drawn else {"/CA"})
        for key in set(marks.keys()) - kept:
            del marks[key]
    if isinstance(options := known.get("/Opt"), Array):
        if known.get("/FT") == Name.Btn:
            _drop(field, "/Opt")
        else:
            _words_for_values(field, options)


def _drop(field: Object, key: str) -> None:
    if key in field:
        del field[key]


def _words_for_values(field: Object, options: Object) -> None:
    words = {str(each[0]): each[1] for each in options if isinstance(each, Array) and len(each) > 1}
    if "/V" in field:
        value = field.V
        told = [words.get(str(each), each) for each in (value if isinstance(value, Array) else [value])]
        field.V = Array(told) if isinstance(value, Array) else told[0]
    if "/Opt" in field:
        field.Opt = Array([each[1] if isinstance(each, Array) and len(each) > 1 else each for each in options])


def _number_states(field: Object) -> None:
    """Give the states of a box, or of a group of them, numbers in place of names."""
    widgets = [field, *field.get("/Kids", Array())]
    faces = [face for each in widgets if isinstance(face := each.get("/AP", Dictionary()).get("/N"), Dictionary)]
    faces = [each for each in faces if not isinstance(each, Stream)]
    names = dict.fromkeys(key for each in faces for key in each.keys() if key != "/Off")  # noqa: SIM118 - a dictionary of pikepdf
    number = {key: Name(f"/{count}") for count, key in enumerate(names, 1)}
    for face in faces:
        drawn = [(number[key], face[key]) for key in face.keys() if key in number]  # noqa: SIM118 - a dictionary of pikepdf
        for key in [key for key in face.keys() if key in number]:  # noqa: SIM118 - a dictionary of pikepdf
            del face[key]
        for state, stream in drawn:
            face[str(state)] = stream
    for each in widgets:
        for key in ("/AS", "/V"):
            if isinstance(state := each.get(key), Name) and state != Name.Off:
                each[key] = number.get(str(state), Name.Off)
