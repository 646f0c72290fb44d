"""Clean an ODF document: its content and styles rewritten, its pictures cleaned elsewhere, nothing else kept. No I/O.

Standard: OASIS OpenDocument 1.3, part 2 (package) and part 3 (schema). Settings, thumbnails, versions, the RDF manifest
and configurations are not written. Recorded changes are accepted.
"""

from media.confined.child import Refusal
from media.confined.office_xml import (
    Element,
    elements,
    local,
    parse,
    remove_where,
    serialise,
    space,
    unwrap,
    within,
)
from media.confined.office_zip import write_members

MIMETYPE = "mimetype"
_MANIFEST = "META-INF/manifest.xml"
_MANIFEST_SPACE = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
_OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
_MATH = "http://www.w3.org/1998/Math/MathML"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_XML_PARTS = ("content.xml", "styles.xml")
_UNSEEN = ("Thumbnails/", "Configurations2/", "Versions/", "META-INF/", "layout-cache")
_UNSEEN_NAMES = frozenset({"settings.xml", "meta.xml", "manifest.rdf", "current.xml", "VersionList.xml", MIMETYPE})
_REMOVED = frozenset(
    "annotation annotation-end tracked-changes change change-start change-end hidden-text hidden-paragraph "
    "insertion-cut-off cut-offs desc title scripts script dde-source dde-links dde-connection-decls "
    "event-listeners soft-page-break deletion notes".split()
)
_UNWRAPPED = frozenset(
    "author-name author-initials file-name template-name description user-defined print-time print-date printed-by "
    "keywords subject editing-cycles editing-duration modification-time modification-date creator initial-creator "
    "creation-date creation-time sender-firstname sender-lastname sender-initials sender-title sender-position "
    "sender-email sender-phone-private sender-fax sender-company sender-phone-work sender-street sender-city "
    "sender-postal-code sender-country sender-state-or-province database-display database-name meta".split()
)
_TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
_KEPT_TITLES = frozenset({"urn:oasis:names:tc:opendocument:xmlns:chart:1.0"})
_OPEN = ("http://", "https://", "mailto:", "tel:", "#")


def clean(members: dict[str, bytes], cleaned: list[bytes] | None) -> tuple[list[bytes], bytes]:
    """Give the media to be cleaned and, where they are at hand as cleaned, the copy.

    Raises: Refusal, for what can neither stay nor go unseen.
    """
    kind = members.get(MIMETYPE, b"").decode("ascii", "replace").strip()
    if not kind.startswith("application/vnd.oasis.opendocument.") or "content.xml" not in members:
        raise Refusal("damaged")
    _refuse_what_cannot_stay_true(members)
    parts: dict[str, bytes] = {}
    media = []
    for name in sorted(members):
        if name in _UNSEEN_NAMES or name.startswith(_UNSEEN) or name.endswith(("/settings.xml", "/meta.xml")):
            continue
        if name.rpartition("/")[2] in _XML_PARTS:
            parts[name] = _clean_part(members[name])
        elif members[name]:
            media.append(name)
    shown = [name for name in media if any(name.encode() in content for content in parts.values())]
    if cleaned is None:
        return [members[name] for name in shown], b""
    whole = {**parts, **dict(zip(shown, cleaned, strict=True)), MIMETYPE: kind.encode()}
    whole[_MANIFEST] = _manifest(members, whole, kind)
    return [], write_members(whole, MIMETYPE)


def _refuse_what_cannot_stay_true(members: dict[str, bytes]) -> None:
    manifest = parse(members[_MANIFEST]) if _MANIFEST in members else None
    if manifest is not None and any(local(each.tag) == "encryption-data" for each in elements(manifest)):
        raise Refusal("encrypted")
    for name in members:
        if name.startswith("META-INF/") and "signatures" in name:
            raise Refusal("signed")
        if name.startswith(("Basic/", "Scripts/", "Dialogs/")):
            raise Refusal("macros")
        if name.startswith("Fonts/"):
            continue
        if name.startswith("Object ") and "/" not in name:
            raise Refusal("embedded-object")


def _clean_part(content: bytes) -> bytes:
    root = parse(content)
    if local(root.tag) not in ("document-content", "document-styles") and space(root.tag) != _MATH:
        raise Refusal("damaged")
    for each in elements(root):
        _refuse_hidden(each)
        _clean_attributes(each)
    remove_where(root, _is_removed)
    for each in elements(root):
        if local(each.tag) in _UNWRAPPED and space(each.tag) == _TEXT and within(each, root):
            unwrap(each)
    return serialise(root)


def _is_removed(element: Element) -> bool:
    if local(element.tag) in ("title", "desc") and space(element.tag) in _KEPT_TITLES:
        return False
    return local(element.tag) in _REMOVED and space(element.tag) != _MATH


def _refuse_hidden(element: Element) -> None:
    for name, value in element.attrib.items():
        match local(str(name)), str(value):
            case ("display", "none" | "false") if local(element.tag) in (
                "text-properties",
                "table-properties",
                "section",
            ):
                raise Refusal("hidden-data")
            case ("visibility", "collapse" | "filter" | "hidden"):
                raise Refusal("hidden-data")
            case _:
                continue
    if local(element.tag) in ("binary-data", "object-ole", "plugin", "applet"):
        raise Refusal("embedded-object")


def _clean_attributes(element: Element) -> None:
    for name in [str(name) for name in element.attrib]:
        word = local(name)
        if "rsid" in word or (word == "name" and local(element.tag) in ("frame", "image", "custom-shape", "object")):
            del element.attrib[name]
    address = str(element.get(_XLINK, ""))
    inside = not address.startswith(("/", "../", "\\")) and ":" not in address
    if not address or inside or address.lower().startswith(_OPEN):
        return
    if local(element.tag) in ("image", "object", "fill-image", "section-source"):
        raise Refusal("linked-picture")
    if local(element.tag) == "a":
        unwrap(element)
    else:
        del element.attrib[_XLINK]


def _manifest(members: dict[str, bytes], whole: dict[str, bytes], kind: str) -> bytes:
    """Name the members of the copy, with the types that the original's manifest gave them."""
    known: dict[str, str] = {}
    if _MANIFEST in members:
        for each in elements(parse(members[_MANIFEST])):
            path = each.get(f"{{{_MANIFEST_SPACE}}}full-path")
            if path is not None:
                known[path] = each.get(f"{{{_MANIFEST_SPACE}}}media-type", "")
    root = parse(f'<manifest:manifest xmlns:manifest="{_MANIFEST_SPACE}" manifest:version="1.3"/>'.encode())
    folders = {
        f"{name.rpartition('/')[0]}/" for name in whole if name.rpartition("/")[2] == "content.xml" and "/" in name
    }
    for path in ["/", *sorted(folders), *sorted(set(whole) - {MIMETYPE})]:
        entry = root.makeelement(f"{{{_MANIFEST_SPACE}}}file-entry")
        entry.set(f"{{{_MANIFEST_SPACE}}}full-path", path)
        entry.set(f"{{{_MANIFEST_SPACE}}}media-type", kind if path == "/" else known.get(path, ""))
        root.append(entry)
    return serialise(root)
