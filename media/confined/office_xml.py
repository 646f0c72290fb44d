"""Parse and write XML that nobody may trust: no entities, no network, no comments, no instructions. No I/O."""

from collections.abc import Callable
from typing import Any, TypeAlias

from lxml import etree

from media.confined.child import Refusal

Element: TypeAlias = Any
_XML = "http://www.w3.org/XML/1998/namespace"


def parse(content: bytes) -> Element:
    """Give the root element. Raises: Refusal `damaged`, `xml-entities`."""
    if b"<!ENTITY" in content or b"<!E\x00" in content:
        raise Refusal("xml-entities")
    reader = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, reader)
    except (etree.XMLSyntaxError, ValueError):
        raise Refusal("damaged") from None
    if root is None:
        raise Refusal("damaged")
    if root.getroottree().docinfo.doctype:
        raise Refusal("xml-entities")
    return root


def serialise(root: Element) -> bytes:
    """Give the bytes of a tree, declared as every office program declares them."""
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True))


_KNOWN_SPACES = ("http://schemas.openxmlformats.org/", "http://schemas.microsoft.com/office/", "http://purl.oclc.org/ooxml/",
                 "http://www.w3.org/", "urn:schemas-microsoft-com:", "http://purl.org/dc/")  # fmt: skip


def without_strangers(root: Element) -> None:
    """Take away what belongs to no vocabulary that office programs know, and the names of vocabularies not in use.

    A prefix that a part says may be ignored must be declared there, so these stay.
    """
    remove_where(root, lambda each: not space(each.tag).startswith(_KNOWN_SPACES))
    drop_attributes(root, lambda name: bool(space(name)) and not space(name).startswith((*_KNOWN_SPACES, _XML)))
    named = " ".join(
        str(value) for key, value in root.attrib.items() if local(str(key)) in ("Ignorable", "MustUnderstand")
    )
    needed = {str(each.get("Requires")) for each in elements(root) if local(each.tag) == "Choice"}
    wanted = {*named.split(), *" ".join(needed).split()}
    spaces = {prefix: uri for each in elements(root) for prefix, uri in each.nsmap.items() if prefix in wanted}
    if any(not uri.startswith(_KNOWN_SPACES) for uri in spaces.values()):
        raise Refusal("damaged")
    etree.cleanup_namespaces(root, keep_ns_prefixes=sorted(wanted & set(spaces)))


def local(name: str) -> str:
    """Give a tag's or an attribute's name without its namespace."""
    return name.rpartition("}")[2]


def space(name: str) -> str:
    """Give the namespace of a tag or an attribute; empty where it has none."""
    return name[1:].partition("}")[0] if name.startswith("{") else ""


def elements(root: Element) -> list[Element]:
    """Give every element, in the order of the document."""
    return [each for each in root.iter() if isinstance(each.tag, str)]


def within(element: Element, root: Element) -> bool:
    """Tell whether an element still hangs in the tree."""
    return element is root or any(above is root for above in element.iterancestors())


def remove(element: Element) -> None:
    """Take an element away and keep the text that follows it."""
    above = element.getparent()
    if above is None:
        raise Refusal("damaged")
    _keep_text(element, above, element.tail)
    above.remove(element)


def unwrap(element: Element) -> None:
    """Put an element's children and text in its place."""
    above = element.getparent()
    if above is None:
        raise Refusal("damaged")
    place = above.index(element)
    _keep_text(element, above, element.text)
    children = list(element)
    if children:
        children[-1].tail = (children[-1].tail or "") + (element.tail or "") or None
    else:
        _keep_text(element, above, element.tail)
    above.remove(element)
    for offset, child in enumerate(children):
        above.insert(place + offset, child)


def _keep_text(element: Element, above: Element, text: str | None) -> None:
    if not text:
        return
    before = element.getprevious()
    if before is None:
        above.text = (above.text or "") + text
    else:
        before.tail = (before.tail or "") + text


def remove_where(root: Element, wanted: Callable[[Element], bool]) -> None:
    """Take away every element that is wanted, with all that is in it."""
    for each in elements(root):
        if each is not root and wanted(each) and within(each, root):
            remove(each)


def drop_attributes(root: Element, wanted: Callable[[str], bool]) -> None:
    """Take away every attribute whose full name is wanted."""
    for each in elements(root):
        for name in [name for name in each.attrib if wanted(str(name))]:
            del each.attrib[name]
