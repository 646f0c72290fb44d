"""The frame of an OOXML document: which parts there are, what each is, and which leads to which.

Standard: ECMA-376 part 2 (Open Packaging Conventions). A part that no kept relationship leads to is not written.
"""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from media.confined.child import Refusal
from media.confined.office_xml import Element, elements, local, parse, remove, serialise

CONTENT_TYPES = "[Content_Types].xml"
RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT_RELATIONSHIPS = "http://purl.oclc.org/ooxml/officeDocument/relationships"
_OPEN_ADDRESS = re.compile(r"(https?|mailto|tel):", re.I)

KEPT_KINDS = frozenset(
    "officeDocument styles stylesWithEffects fontTable numbering settings header footer footnotes endnotes theme image "
    "hyperlink font chart chartUserShapes chartStyle chartColorStyle diagramData diagramLayout diagramQuickStyle "
    "diagramColors diagramDrawing worksheet chartsheet sharedStrings table drawing slide slideLayout slideMaster "
    "tableStyles themeOverride video audio media ctrlProp".split()
)
"""Last word of the relationship types whose targets a person sees, or that say how something is shown."""

REFUSED_KINDS = {
    "vbaProject": "macros",
    "wordVbaData": "macros",
    "control": "macros",
    "activeXControlBinary": "macros",
    "xlMacrosheet": "macros",
    "oleObject": "embedded-object",
    "package": "embedded-object",
    "aFChunk": "embedded-object",
    "subDocument": "embedded-object",
    "pivotTable": "hidden-data",
    "pivotCacheDefinition": "hidden-data",
    "slicer": "hidden-data",
    "timeline": "hidden-data",
    "externalLink": "external-data",
    "connections": "external-data",
    "queryTable": "external-data",
    "origin": "signed",
    "signature": "signed",
}
MEDIA_KINDS = frozenset({"image", "video", "audio", "media"})


@dataclass(slots=True, kw_only=True)
class Relationship:
    """One arrow from a part: to another part, or to an address outside."""

    element: Element
    identifier: str
    kind: str
    target: str
    external: bool


def rels_name(part: str) -> str:
    """Give the name of the part that holds another's relationships."""
    folder, name = posixpath.split(part)
    return posixpath.join(folder, "_rels", f"{name}.rels")


def relationships(members: dict[str, bytes], part: str) -> tuple[Element | None, list[Relationship]]:
    """Read the relationships of a part (the package's own where it is empty)."""
    content = members.get(rels_name(part))
    if content is None:
        return None, []
    root = parse(content)
    return root, [_relationship(each, posixpath.dirname(part)) for each in elements(root) if each is not root]


def _relationship(element: Element, folder: str) -> Relationship:
    target, external = element.get("Target", ""), element.get("TargetMode") == "External"
    if not external:
        target = unquote(target.partition("#")[0])
        target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
    kind = element.get("Type", "").rpartition("/")[2]
    return Relationship(element=element, identifier=element.get("Id", ""), kind=kind, target=target, external=external)


def is_kept(one: Relationship, members: dict[str, bytes]) -> bool:
    """Tell whether an arrow stays. Raises: Refusal for what can neither stay nor go unseen."""
    if (
        one.kind == "package"
        and one.external is False
        and one.target.startswith(("word/embed", "ppt/embed", "xl/embed"))
    ):
        return False if _is_chart_data(one) else _refuse("embedded-object")
    if one.kind in REFUSED_KINDS:
        return _refuse(REFUSED_KINDS[one.kind])
    if one.external:
        if one.kind in MEDIA_KINDS:
            return _refuse("linked-picture")
        return one.kind == "hyperlink" and bool(_OPEN_ADDRESS.match(one.target))
    return one.kind in KEPT_KINDS and (one.kind == "hyperlink" or one.target in members)


def _is_chart_data(one: Relationship) -> bool:
    """The workbook behind a chart goes: the chart itself holds the values that it shows."""
    return one.target.lower().endswith((".xlsx", ".xlsb", ".xls"))


def _refuse(reason: str) -> bool:
    raise Refusal(reason)


def kept_content_types(members: dict[str, bytes], kept: Iterable[str]) -> bytes:
    """Give the list of types for the parts that are written."""
    names = set(kept)
    root = parse(members[CONTENT_TYPES])
    extensions = {posixpath.splitext(name)[1].lstrip(".").lower() for name in names} | {"rels"}
    for each in elements(root):
        if local(each.tag) == "Override" and each.get("PartName", "").lstrip("/") not in names:
            remove(each)
        elif local(each.tag) == "Default" and each.get("Extension", "").lower() not in extensions:
            remove(each)
    return serialise(root)
