"""Take out of HTML and SVG what is not shown. No I/O.

What runs (scripts, handlers) and what fetches from the reader's own machine goes or is refused; what a picture inside
holds cannot be told here, so a page with one inside is refused.
"""

import re

from lxml import etree, html

from media.confined.child import Refusal
from media.confined.office_xml import Element, elements, local, parse, remove_where, serialise, space

_UNSEEN = frozenset({"script", "noscript", "template", "base", "object", "embed", "applet"})
_KEPT_META = frozenset({"viewport", "color-scheme"})
_KEPT_LINKS = frozenset({"stylesheet", "icon"})
_DROPPED = re.compile(r"on[a-z]+|data-.*|nonce|integrity|ping|xmlns:.*|about|typeof|property|resource|item[a-z]+", re.I)
_INLINE = re.compile(r"^\s*data:", re.I)
_LOCAL = re.compile(r"^\s*(file:|[a-z]:[\\/]|\\\\|javascript:|vbscript:)", re.I)
_ADDRESSES = frozenset(
    {"src", "href", "srcset", "poster", "action", "data", "background", "{http://www.w3.org/1999/xlink}href"}
)
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_XML = "http://www.w3.org/XML/1998/namespace"
_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.S)


def clean_html(text: str) -> bytes:
    """Give the page without comments, scripts, and all that its head says of it. Raises: Refusal."""
    reader = html.HTMLParser(remove_comments=True, remove_pis=True, no_network=True, huge_tree=False)
    root = html.document_fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text), parser=reader)
    for each in elements(root):
        name = local(each.tag)
        if name in _UNSEEN:
            each.drop_tree()
        elif (name == "meta" and not _kept_meta(each)) or (name == "link" and not _kept_link(each)):
            each.drop_tree()
        else:
            _clean_attributes(each)
            if name == "style" and each.text:
                each.text = _clean_style(each.text)
    for each in elements(root):
        if local(each.tag) == "meta" and each.get("charset") is not None:
            each.set("charset", "utf-8")
    return bytes(html.tostring(root, encoding="utf-8", doctype="<!DOCTYPE html>"))


def clean_svg(content: bytes) -> bytes:
    """Give the drawing without metadata, names of layers and files, titles and descriptions. Raises: Refusal."""
    if b"<?xml-stylesheet" in content:
        raise Refusal("external-data")
    root = parse(re.sub(rb"<!DOCTYPE\s+svg\s+PUBLIC\s+\"-//W3C//DTD SVG[^>\[]*>", b"", content, count=1))
    for each in elements(root):
        if local(each.tag) in ("script", "foreignObject", "handler", "listener"):
            raise Refusal("scripts")
    remove_where(root, lambda each: space(each.tag) != _SVG or local(each.tag) in ("metadata", "title", "desc"))
    for each in elements(root):
        for name in [str(name) for name in each.attrib]:
            if space(name) not in ("", _SVG, _XLINK, _XML) or local(name) in ("label", "version"):
                del each.attrib[name]
        if local(each.tag) in ("image", "feImage"):
            raise Refusal("embedded-object")
        _clean_attributes(each)
        if local(each.tag) == "style" and each.text:
            each.text = _clean_style(each.text)
    etree.cleanup_namespaces(root)
    return serialise(root)


def _kept_meta(element: Element) -> bool:
    if element.get("charset") is not None or str(element.get("http-equiv", "")).lower() == "content-type":
        return True
    return str(element.get("name", "")).lower() in _KEPT_META


def _kept_link(element: Element) -> bool:
    return bool(set(str(element.get("rel", "")).lower().split()) & _KEPT_LINKS)


def _clean_attributes(element: Element) -> None:
    for name, value in [(str(name), str(value)) for name, value in element.attrib.items()]:
        if name in _ADDRESSES and _INLINE.match(value):
            raise Refusal("embedded-object")
        if name == "style":
            element.set(name, _clean_style(value))
        if _DROPPED.fullmatch(name) or (name in _ADDRESSES and _LOCAL.match(value)):
            del element.attrib[name]


def _clean_style(text: str) -> str:
    if "data:" in text:
        raise Refusal("embedded-object")
    return _CSS_COMMENT.sub("", text)
