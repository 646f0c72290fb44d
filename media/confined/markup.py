"""Take out of SVG what is not shown, and what would fetch from elsewhere. No I/O.

What runs is refused; what a picture inside holds cannot be told here, so a drawing with one inside is refused.
"""

import re
from collections import Counter

from lxml import etree

from media.confined.child import Refusal
from media.confined.office_xml import Element, elements, local, parse, remove_where, serialise, space
from media.confined.pages import Went, forget_strangers, keep_marks, leads_elsewhere, marks_used
from media.confined.styles import declared, hidden_by, hides, hides_words, shown_by, without_addresses

_DROPPED = re.compile(
    r"on[a-z]+|data-.*|aria-.*|nonce|ping|about|typeof|property|resource|src|base|label|version|name|title|layer|role"
    r"|glyph-name|viewTarget|contentScriptType|contentStyleType|zoomAndPan|download|hreflang|rel|target|ref.*policy",
    re.I,
)
_WORDS_OF = {
    "media": re.compile(r"all|screen|print|", re.I),
    "type": re.compile(r"text/css|[a-z]+", re.I),
    "lang": re.compile(r"[a-z]{2,3}(-[a-z]{2,4})?", re.I),
    "space": re.compile(r"preserve|default"),
}
_INLINE = re.compile(r"^\s*data:", re.I)
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_XML = "http://www.w3.org/XML/1998/namespace"


def clean_svg(content: bytes) -> tuple[bytes, Went]:
    """Give the drawing without metadata, names of layers and files, hidden parts and addresses, and what went.

    Raises: Refusal.
    """
    if b"<?xml-stylesheet" in content:
        raise Refusal("external-data")
    went: Went = Counter()
    root = parse(re.sub(rb"<!DOCTYPE\s+svg\s+PUBLIC\s+\"-//W3C//DTD SVG[^>\[]*>", b"", content, count=1))
    for each in elements(root):
        if local(each.tag) in ("script", "foreignObject", "handler", "listener"):
            raise Refusal("scripts")
        if local(each.tag) in ("image", "feImage"):
            raise Refusal("embedded-object")
    remove_where(root, lambda each: space(each.tag) != _SVG or local(each.tag) in ("metadata", "title", "desc"))
    remove_where(root, leads_elsewhere)
    _remove_hidden(root, went)
    for each in elements(root):
        if local(each.tag) == "style" and each.text:
            each.text, count = without_addresses(each.text)
            went["addresses that its style fetches from (transport)"] += count
    forget_strangers(root)
    marks = marks_used(root)
    for each in elements(root):
        _clean_attributes(each, marks, went)
    etree.cleanup_namespaces(root)
    return serialise(root), +went


def _remove_hidden(root: Element, went: Went) -> None:
    """Remove what is not drawn. Raises: Refusal `hidden-data` where a style sheet hides by more than an own word."""
    sheet = "".join(each.text or "" for each in elements(root) if local(each.tag) == "style")
    hiding, showing = set(hidden_by(sheet, _hides)), set(shown_by(sheet))
    gone: list[Element] = []
    for each in elements(root):
        if each is root or each.getparent() is None:
            continue
        classes, own, name = set(str(each.get("class", "")).split()), str(each.get("id", "")), local(each.tag)
        by_sheet = any(
            tag in ("*", name) and (not mark or (mark == "." and word in classes) or (mark == "#" and word == own))
            for tag, mark, word in hiding
        )
        if by_sheet and showing:
            raise Refusal("hidden-data")
        if by_sheet or _hides(declared(each.attrib, drawn=True)):
            went["parts that are not shown (document)"] += 1
            gone.append(each)
    remove_where(root, lambda each: any(each is other for other in gone))


def _is_unseen(name: str, value: str) -> bool:
    return bool(_DROPPED.fullmatch(name)) or (name in _WORDS_OF and not _WORDS_OF[name].fullmatch(value))


def _hides(declarations: str) -> bool:
    return hides(declarations) or hides_words(declarations)


def _clean_attributes(element: Element, marks: frozenset[str], went: Went) -> None:
    for key, value in [(str(key), str(value)) for key, value in element.attrib.items()]:
        name = local(key)
        if _INLINE.match(value):
            raise Refusal("embedded-object")
        if space(key) not in ("", _SVG, _XLINK, _XML) or _is_unseen(name, value):
            del element.attrib[key]
        elif name in ("id", "class"):
            keep_marks(element, key, value, marks)
        elif name == "href" and not value.startswith("#"):
            del element.attrib[key]
            went["addresses (transport)"] += 1
        elif "(" in value or "\\" in value:
            cleaned, count = without_addresses(value)
            element.set(key, cleaned)
            went["addresses that its style fetches from (transport)"] += count
