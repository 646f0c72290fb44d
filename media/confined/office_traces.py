"""Whether a text that was taken out of an office document still stands somewhere else in the copy. No I/O."""

import re
from xml.sax.saxutils import escape

from media.confined.child import Refusal
from media.confined.office_xml import Element, elements, local, parse
from media.confined.office_zip import read_members

_PROPERTIES = ("docProps/core.xml", "docProps/app.xml", "docProps/custom.xml", "meta.xml")
_SAY_NOTHING = frozenset(
    "TitlesOfParts HeadingPairs Application AppVersion DocSecurity language generator document-statistic".split()
)
_NUMBER = re.compile(r"[\d.,:;TPZ+-]*[HMS]?")
_AUTHORS = re.compile(rb"""(?:\bw:author|\bw15:author|\buserName|\bsaltData)\s*=\s*["']([^"']{5,200})["']""")
_ODF_AUTHORS = re.compile(rb"<dc:creator>([^<]{5,200})</dc:creator>")
_SHORTEST = 5
_TEMPLATES = frozenset({"Normal", "Normal.dotm", "Normal.dot"})
"""The template that every document has; a style is called so too."""


def removed_texts(members: dict[str, bytes]) -> frozenset[str]:
    """Give the texts of the document's properties, and the names of those who changed or commented it."""
    found = set()
    for name in _PROPERTIES:
        try:
            root = parse(members[name]) if members.get(name) else None
        except Refusal:
            continue
        if root is not None:
            found |= {
                (each.text or "").strip()
                for each in elements(root)
                if local(each.tag) not in _SAY_NOTHING and not _inside_silence(each)
            }
    for content in members.values():
        found |= {match.decode("utf-8", "replace") for match in _AUTHORS.findall(content)}
        found |= {match.decode("utf-8", "replace") for match in _ODF_AUTHORS.findall(content)}
    return frozenset(
        text for text in found if len(text) >= _SHORTEST and not _NUMBER.fullmatch(text) and text not in _TEMPLATES
    )


def _inside_silence(element: Element) -> bool:
    return any(local(str(above.tag)) in _SAY_NOTHING for above in element.iterancestors())


def still_there(copy: bytes, texts: frozenset[str]) -> bool:
    """Look for the texts in every member of the copy, as they are and as XML writes them."""
    wanted = [form.encode() for text in texts for form in {text, escape(text)}]
    wanted += [text.encode("utf-16-le", "replace") for text in texts]
    return any(each in content for content in read_members(copy).values() for each in wanted)
