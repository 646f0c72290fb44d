"""Write a PDF anew with nothing in it but its pages as they are shown, their links, bookmarks and form fields.

Earlier revisions, what no page uses, and bytes before the header and after the end vanish because the whole file is
written anew. What cannot be kept true is refused: encryption (the copy would differ), signatures (they would break),
sound, film and attachments on pages, layers that are hidden, damage that the reader had to guess about.
"""

import io
from collections.abc import Iterator

import pikepdf
from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream

from media.confined import pdf_keys as keys
from media.confined.child import Inputs, Refusal, answer
from media.confined.framing import framed
from media.confined.pdf_forms import clean_forms
from media.confined.pdf_places import name_no_places
from media.confined.pdf_streams import clean_stream, page_descriptions
from media.confined.pdf_traces import removed_texts, still_there

_HIDDEN_FLAGS = 2 | 32  # by `Hidden` and `NoView`
_SIGNATURES_EXIST = 1


def main(arguments: list[str]) -> int:
    """Answer as a child."""
    return answer(arguments, work)


def work(inputs: Inputs, _arguments: list[str]) -> bytes:
    """Give the cleaned copy of `file`, and whether a text in place of drawn letters was left out."""
    try:
        with pikepdf.open(io.BytesIO(bytes(inputs["file"])), suppress_warnings=True) as pdf:
            if pdf.is_encrypted:
                raise Refusal("encrypted")
            texts = removed_texts(pdf)
            named = _has_named_texts(pdf)
            _refuse_what_cannot_stay_true(pdf)
            _clean(pdf)
            made = _written(pdf)
            if pdf.get_warnings():
                raise Refusal("damaged")
        # Written once, only what a page can reach is left: nothing else may stop a file or be worked on.
        with pikepdf.open(io.BytesIO(made)) as pdf:
            described = page_descriptions(pdf)
            streams = [each for each in pdf.objects if isinstance(each, Stream)]
            left_out = any([clean_stream(each, described) for each in streams])
            made = _written(pdf)
        if still_there(made, texts):
            raise Refusal("value-in-text")
        return framed([made, b"text" if left_out or named else b""])
    except pikepdf.PasswordError:
        raise Refusal("encrypted") from None
    except (pikepdf.PdfError, pikepdf.DataDecodingError, pikepdf.ForeignObjectError):
        raise Refusal("damaged") from None
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        # An object is not of the type that the standard gives it, so nothing can be said for it.
        raise Refusal("damaged") from None


def _has_named_texts(pdf: Pdf) -> bool:
    """Tell whether a text in place of drawn letters stands apart from them, where it always goes."""
    named = (each["/Properties"] for each in _dictionaries(pdf) if isinstance(each.get("/Properties"), Dictionary))
    return any(
        isinstance(told[name], Dictionary) and "/ActualText" in told[name]
        for told in named
        for name in told.keys()  # noqa: SIM118  # pikepdf iterates otherwise
    )


def _refuse_what_cannot_stay_true(pdf: Pdf) -> None:
    root = pdf.Root
    form = root.get("/AcroForm", Dictionary())
    if int(form.get("/SigFlags", 0)) & _SIGNATURES_EXIST or "/Perms" in root:
        raise Refusal("signed")
    for each in _dictionaries(pdf):
        if each.get("/FT") == Name.Sig and "/V" in each:
            raise Refusal("signed")
    if "/XFA" in form and (root.get("/NeedsRendering", False) or not len(form.get("/Fields", Array()))):
        raise Refusal("xfa-form")
    if any(_cuts_off(page) for page in pdf.pages):
        raise Refusal("cropped")
    _refuse_hidden_layers(root.get("/OCProperties", Dictionary()))
    if any(_may_be_hidden(each) for each in _dictionaries(pdf)):
        raise Refusal("hidden-layers")


def _cuts_off(page: pikepdf.Page) -> bool:
    """Tell whether a page shows less than it holds; a point at an edge is a rounding, not a cut."""
    whole, shown = [[float(side) for side in box] for box in (page.mediabox, page.cropbox)]
    return shown[0] > whole[0] + 1 or shown[1] > whole[1] + 1 or shown[2] < whole[2] - 1 or shown[3] < whole[3] - 1


def _refuse_hidden_layers(layers: Object) -> None:
    """A layer that is off holds what nobody sees; a copy would show it or carry it along."""
    chosen = [layers.get("/D", Dictionary()), *layers.get("/Configs", Array())]
    for one in chosen:
        if len(one.get("/OFF", Array())) or one.get("/BaseState", Name.ON) != Name.ON:
            raise Refusal("hidden-layers")
    for group in layers.get("/OCGs", Array()):
        usage = group.get("/Usage", Dictionary())
        if usage.get("/View", Dictionary()).get("/ViewState", Name.ON) != Name.ON:
            raise Refusal("hidden-layers")


def _may_be_hidden(one: Object) -> bool:
    """Tell whether this is a membership that hides while its layers are on; a copy knows of no layers and shows all."""
    if one.get("/Type") != Name.OCMD:
        return False
    return "/VE" in one or one.get("/P", Name.AnyOn) not in (Name.AnyOn, Name.AllOn)


def _clean(pdf: Pdf) -> None:
    root = pdf.Root
    name_no_places(pdf, list(_dictionaries(pdf)))
    for page in pdf.pages:
        page.contents_coalesce()  # An operator may stand in another part than its operands.
        _clean_annotations(page.obj)
        _clean_contents(page.obj)
    clean_forms(pdf)
    for each in list(_dictionaries(pdf)):
        _clean_dictionary(each)
    _only(root, keys.CATALOG)
    if "/AcroForm" in root:
        _only(root.AcroForm, keys.ACRO_FORM)
    if "/ViewerPreferences" in root:
        _only(root.ViewerPreferences, keys.VIEWER)
    for intent in root.get("/OutputIntents", Array()):
        _only(intent, keys.OUTPUT_INTENT)
    for page in pdf.pages:
        _only(page.obj, keys.PAGE)
    for name in list(pdf.trailer.keys()):
        if name not in ("/Root", "/Size"):
            del pdf.trailer[name]
    pdf.remove_unreferenced_resources()


def _dictionaries(pdf: Pdf) -> Iterator[Object]:
    """Give every dictionary and stream, those inside other objects too, but not what they only point to."""
    for top in pdf.objects:
        waiting = [top]
        while waiting:
            one = waiting.pop()
            if isinstance(one, Dictionary | Stream):
                yield one
                inner = [one.get(name) for name in one.keys()]  # noqa: SIM118  # pikepdf iterates otherwise
            elif isinstance(one, Array):
                inner = list(one)
            else:
                continue
            waiting += [each for each in inner if isinstance(each, Dictionary | Array) and not each.is_indirect]


def _clean_dictionary(one: Object) -> None:
    kind, subtype = one.get("/Type"), one.get("/Subtype")
    for name in keys.EVERYWHERE & set(one.keys()):
        if not (name == "/ID" and kind == Name.StructElem):
            del one[name]
    for name in set(one.keys()) - keys.WORDED:
        if isinstance(one[name], pikepdf.String):
            del one[name]
    if isinstance(one.get("/Resources"), Dictionary):
        _only(one.Resources, keys.RESOURCES)
    if kind == Name.Pages:
        _only(one, keys.PAGES)
    elif kind == Name.OCG:
        one.Name = pikepdf.String("layer")
    elif "/Title" in one and "/Parent" in one:
        _only(one, keys.OUTLINE)
    if "/A" in one and isinstance(one.A, Dictionary) and not _kept_action(one.A):
        del one["/A"]
    for properties in (one[name] for name in ("/Properties",) if isinstance(one.get(name), Dictionary)):
        for name in properties.keys():  # noqa: SIM118  # pikepdf iterates otherwise
            if isinstance(properties[name], Dictionary) and str(properties[name].get("/Type")) not in keys.LAYERS:
                _only(properties[name], keys.PROPERTIES)
    if isinstance(one, Stream):
        if subtype == Name.Image:
            _only(one, keys.IMAGE)
        elif subtype == Name.Form:
            _only(one, keys.FORM)


def _kept_action(action: Object) -> bool:
    """Keep an action that only goes to a place in this file or to an address that is open to all."""
    if action.get("/S") not in {Name(each) for each in keys.KEPT_ACTIONS}:
        return False
    if "/URI" in action and not str(action.URI).lower().startswith(keys.KEPT_SCHEMES):
        return False
    _only(action, keys.ACTION - {"/Next"})
    return True


def _clean_annotations(page: Object) -> None:
    kept = []
    for annotation in page.get("/Annots", Array()):
        subtype = str(annotation.get("/Subtype", ""))
        if subtype in keys.MEDIA_ANNOTATIONS:
            raise Refusal("media-inside")
        hidden = int(annotation.get("/F", 0)) & _HIDDEN_FLAGS and subtype != "/Widget"
        if subtype in keys.REMOVED_ANNOTATIONS or hidden:
            continue
        if subtype not in keys.ANNOTATIONS:
            raise Refusal("unknown-annotation")
        _only(annotation, keys.ANNOTATIONS[subtype])
        if isinstance(annotation.get("/AP"), Dictionary):
            _only(annotation.AP, keys.APPEARANCE)
            if subtype != "/Widget" and "/N" in annotation.AP:
                _only(annotation, keys.ANNOTATIONS[subtype] - keys.NOT_DRAWN)
        kept.append(annotation)
    if "/Annots" in page:
        page.Annots = Array(kept)


def _clean_contents(page: Object) -> None:
    contents = page.get("/Contents", Array())
    for each in contents if isinstance(contents, Array) else [contents]:
        if isinstance(each, Stream):
            _only(each, keys.CONTENTS)


def _only(one: Object, allowed: frozenset[str]) -> None:
    for name in set(one.keys()) - allowed:
        del one[name]


def _written(pdf: Pdf) -> bytes:
    made = io.BytesIO()
    pdf.save(
        made,
        deterministic_id=True,
        object_stream_mode=pikepdf.ObjectStreamMode.generate,
        compress_streams=True,
        preserve_pdfa=False,
        fix_metadata_version=False,
    )
    return made.getvalue()
