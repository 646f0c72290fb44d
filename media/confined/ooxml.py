"""Clean a DOCX, XLSX or PPTX: walk along what a person sees, clean each part, write nothing else. No I/O.

Standard: ECMA-376. Properties, thumbnails, comments, custom XML, printer settings, templates, speaker notes and the
workbooks behind charts are not walked to. Tracked changes are accepted: the copy holds what a reader of the final text
sees.
"""

from media.confined.child import Refusal
from media.confined.office_xml import (
    Element,
    drop_attributes,
    elements,
    local,
    parse,
    remove,
    serialise,
    space,
    unwrap,
    without_strangers,
)
from media.confined.office_zip import write_members
from media.confined.ooxml_package import (
    CONTENT_TYPES,
    MEDIA_KINDS,
    RELATIONSHIPS,
    STRICT_RELATIONSHIPS,
    is_kept,
    kept_content_types,
    relationships,
    rels_name,
)
from media.confined.ooxml_sheets import check_formats, clean_shared_strings, clean_sheet, clean_workbook
from media.confined.ooxml_slides import clean_drawing, clean_slide
from media.confined.ooxml_words import clean_settings, clean_words, hiding_styles

_SUFFIXES = (".xml", ".vml")


class Package:
    """One document while it is cleaned: its members, the parts that were walked to, the media among them."""

    def __init__(self, members: dict[str, bytes]) -> None:
        if CONTENT_TYPES not in members:
            raise Refusal("damaged")
        self._members = {name: content for name, content in members.items() if content}
        self._parts: dict[str, bytes] = {}
        self._rels: dict[str, bytes] = {}
        self.media: list[str] = []
        self._hiding = hiding_styles(self._members)
        self._walk("", "")
        if not self._parts:
            raise Refusal("damaged")
        check_formats(self._parts)
        if "xl/sharedStrings.xml" in self._parts:
            self._parts["xl/sharedStrings.xml"] = clean_shared_strings(self._parts)

    def media_contents(self) -> list[bytes]:
        """Give the pictures, films and sounds that the document shows."""
        return [self._members[name] for name in self.media]

    def written(self, cleaned: list[bytes]) -> dict[str, bytes]:
        """Give all members of the copy, with the media as they were cleaned elsewhere."""
        if len(cleaned) != len(self.media):
            raise Refusal("damaged")
        whole = {**self._parts, **dict(zip(self.media, cleaned, strict=True))}
        return {**whole, **self._rels, CONTENT_TYPES: kept_content_types(self._members, whole)}

    def _walk(self, part: str, kind: str) -> None:
        root, arrows = relationships(self._members, part)
        dropped, waiting = set(), []
        for one in arrows:
            if is_kept(one, self._members):
                waiting.append(one)
            else:
                dropped.add(one.identifier)
        used = self._clean_part(part, kind, dropped) if part else None
        for one in arrows:
            unseen = used is not None and one.kind in MEDIA_KINDS | {"hyperlink"} and one.identifier not in used
            if one not in waiting or unseen:
                remove(one.element)
            elif not one.external and one.target not in self._parts and one.target not in self.media:
                self._walk_to(one.target, one.kind)
        if root is not None and len(root):
            self._rels[rels_name(part)] = serialise(root)

    def _walk_to(self, target: str, kind: str) -> None:
        if kind == "hyperlink":
            return
        if kind in MEDIA_KINDS:
            self.media.append(target)
        elif kind == "font":
            self._parts[target] = self._members[target]
        elif target.endswith(_SUFFIXES):
            self._parts[target] = b""  # It is being walked: a circle of arrows ends here.
            self._walk(target, kind)
        else:
            raise Refusal("unknown-part")

    def _clean_part(self, part: str, kind: str, dropped: set[str]) -> set[str]:
        """Clean one part; give the identifiers of the relationships that it still uses."""
        root = parse(self._members[part])
        if kind == "officeDocument" and local(root.tag) not in ("document", "workbook", "presentation"):
            raise Refusal("damaged")
        _drop_references(root, dropped)
        clean_drawing(root)
        match part.partition("/")[0], kind:
            case "word", "settings":
                clean_settings(root)
            case "word", _:
                clean_words(root, self._hiding)
            case "xl", "officeDocument":
                clean_workbook(root)
            case "xl", "worksheet" | "chartsheet":
                clean_sheet(root)
            case "ppt", _:
                clean_slide(root)
        drop_attributes(root, _names_a_revision)
        without_strangers(root)
        self._parts[part] = serialise(root)
        return {value for each in elements(root) for name, value in each.attrib.items() if _is_reference(str(name))}


def clean(members: dict[str, bytes], cleaned: list[bytes] | None) -> tuple[list[bytes], bytes]:
    """Give the media to be cleaned and, where they are at hand as cleaned, the copy."""
    package = Package(members)
    if cleaned is None:
        return package.media_contents(), b""
    return [], write_members(package.written(cleaned), CONTENT_TYPES)


def _is_reference(name: str) -> bool:
    return (
        space(name) in (RELATIONSHIPS, STRICT_RELATIONSHIPS) or name == "{urn:schemas-microsoft-com:office:office}relid"
    )


def _names_a_revision(name: str) -> bool:
    """Identifiers that tell one editing session, one paragraph or one author from others."""
    word = local(name)
    return word.lower().startswith("rsid") or word in ("paraId", "textId", "uid", "durableId", "documentId", "author")


def _drop_references(root: Element, dropped: set[str]) -> None:
    """Take away what points to something that goes: a link keeps its text, a page set-up keeps its paper."""
    for each in elements(root):
        pointing = [name for name, value in each.attrib.items() if _is_reference(str(name)) and value in dropped]
        if not pointing:
            continue
        if local(each.tag) == "oleObj":
            raise Refusal("embedded-object")
        if local(each.tag) == "pageSetup":
            for name in pointing:
                del each.attrib[name]
        elif local(each.tag) == "hyperlink" and len(each):
            unwrap(each)
        elif local(each.tag) in ("blip", "imagedata"):
            raise Refusal("linked-picture")
        elif each is root:
            raise Refusal("damaged")
        elif each.getparent() is not None:
            remove(each)
