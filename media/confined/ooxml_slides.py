"""What goes out of slides and out of the drawings of all OOXML documents. No I/O.

Standard: ECMA-376 part 1, 19 (PresentationML) and 20, 21 (DrawingML), VML.
"""

import re

from media.confined.child import Refusal
from media.confined.office_xml import Element, elements, local, remove, remove_where, space, within

_CUTS = ("l", "t", "r", "b", "cropleft", "croptop", "cropright", "cropbottom")
_OFF = frozenset({"0", "false"})
_SLIDE = frozenset({"custDataLst", "tags", "notesMasterIdLst", "handoutMasterIdLst", "modifyVerifier", "photoAlbum"})
_IDENTIFIERS = frozenset(
    "creationId modId sectionLst sldGuideLst notesGuideLst themeFamily useLocalDpi decorative svgBlip designElem "
    "imgProps rowId colId uniqueId chartTrackingRefBased".split()
)
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/"
_VML = "urn:schemas-microsoft-com:vml"
_OFFICE = "urn:schemas-microsoft-com:office:office"
_VML_NAMES = frozenset({"alt", "title", f"{{{_OFFICE}}}title", f"{{{_OFFICE}}}gfxdata", f"{{{_OFFICE}}}href", "href"})


def clean_slide(root: Element) -> None:
    """Clean a slide, a layout, a master or the presentation. Raises: Refusal `hidden-data` for a hidden slide."""
    if local(root.tag) == "sld" and root.get("show", "1") in _OFF:
        raise Refusal("hidden-data")
    remove_where(root, lambda each: local(each.tag) in _SLIDE)
    remove_where(root, _names_itself)


def clean_drawing(root: Element) -> None:
    """Take the names and alternative texts off the shapes, and the identifiers out of their extensions."""
    remove_where(root, _names_itself)
    for each in elements(root):
        name = local(each.tag)
        if name in ("cNvPr", "docPr"):
            _rename(each)
        elif name in ("srcRect", "imagedata") and _cuts_off(each):
            raise Refusal("cropped")
        elif name == "theme" and "name" in each.attrib:
            each.set("name", "theme")
        if space(each.tag) in (_VML, _OFFICE):
            for attribute in _VML_NAMES & {str(key) for key in each.attrib}:
                del each.attrib[attribute]
    for each in elements(root):
        if (
            local(each.tag) == "extLst"
            and space(each.tag).startswith(_DRAWING)
            and not len(each)
            and within(each, root)
        ):
            remove(each)


def _cuts_off(picture: Element) -> bool:
    """Tell whether a picture is shown in part only: what was cut off is still in it."""
    cuts = [str(picture.get(name, "")) for name in _CUTS]
    return any(re.match(r"0*\.?0*[1-9]", cut) for cut in cuts)


def _rename(element: Element) -> None:
    for attribute in ("descr", "title"):
        if attribute in element.attrib:
            del element.attrib[attribute]
    if element.get("hidden", "0") not in _OFF:
        raise Refusal("hidden-data")
    element.set("name", "object")


def _names_itself(element: Element) -> bool:
    """An extension that holds nothing but an identifier or a second copy of a picture."""
    return local(element.tag) == "ext" and any(local(each.tag) in _IDENTIFIERS for each in elements(element))
