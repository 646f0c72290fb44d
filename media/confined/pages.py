"""Take out of a page what is not shown on it, and everything that would fetch from elsewhere. No I/O.

A copy calls home to nobody: whoever tracked the original must not learn who opens it. So no address stays but one that
can be read in the words of its link, and only attributes that change what is seen. What of a page lies elsewhere was
never in the file; a word stands in its place, and a court, which is to see all, gets no copy.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from lxml import html

from media.confined.child import Refusal
from media.confined.office_xml import Element, elements, local
from media.confined.styles import (
    declared,
    hidden_by,
    hides,
    hides_words,
    shown_by,
    shows_words,
    without_addresses,
    without_strangers,
)

_UNSEEN = frozenset(
    "script noscript noframes noembed template base object embed applet link param source track datalist annotation "
    "annotation-xml".split()
)
_ELSEWHERE = {
    "img": "picture", "picture": "picture", "video": "film", "audio": "sound", "iframe": "page", "frame": "page",
    "image": "picture", "input": "picture",
}  # fmt: skip
_KEPT_META = frozenset({"viewport", "color-scheme"})
_NUMBERS = re.compile(r"\s*-?[\d.]{1,9}\s*(px|%|\*|em|pt)?\s*")
_WORD = re.compile(
    r"\s*(ltr|rtl|auto|left|right|center|middle|justify|char|top|bottom|baseline|texttop|absmiddle|both|all|none|groups"
    r"|rows|cols|void|above|below|hsides|vsides|box|border|lhs|rhs|col|row|colgroup|rowgroup|disc|circle|square|[1aiAI]"
    r"|soft|hard|off|virtual|physical|text|submit|reset|button|search|email|tel|url|number|range|date|time|color|month"
    r"|week|checkbox|radio|file|password|datetime-local|image)?\s*",
    re.I,
)
_COLOUR = re.compile(r"\s*(#?[0-9a-f]{3,8}|[a-z]{3,20})\s*", re.I)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]{4})?(-([a-z]{2}|\d{3}))?", re.I)
_FACE = re.compile(r"[\w ,'\"-]{1,80}")
_ITSELF = re.compile(r"")
_SHOWN: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys("dir align valign type scope wrap rules frame clear".split(), _WORD),
    **dict.fromkeys("bgcolor color text link vlink".split(), _COLOUR),
    **dict.fromkeys(
        "size width height border cellpadding cellspacing colspan rowspan span start rows cols hspace vspace high low "
        "max min optimum".split(),
        _NUMBERS,
    ),
    **dict.fromkeys(
        "nowrap reversed checked selected disabled readonly multiple open compact noshade".split(), _ITSELF
    ),
    "lang": _LANGUAGE,
    "face": _FACE,
    "charset": re.compile("utf-8"),
}
"""Attributes that change what is seen, and what they may say; those that are words themselves say nothing."""
_WORDS_SHOWN = {"placeholder": ("input", "textarea"), "label": ("optgroup", "option")}
_WITH_VALUE = frozenset({"li", "progress", "meter"})
_FIELDS_SHOWN = frozenset(
    "text submit reset button search email tel url number range date time color month week".split()
)
_INLINE = re.compile(r"^\s*data:", re.I)
_TINY = re.compile(r"\s*[0-2](px)?\s*")
_DRAWN_DROPPED = re.compile(r"on[a-z]+|data-.*|aria-.*|href|.*:.*|src|class|nonce|tabindex|role", re.I)

Went = Counter[str]
"""What went, in words, and how often."""


class _Rules(NamedTuple):
    """What style sheets hide, and what they show, maybe again."""

    hiding: set[tuple[str, str, str]]
    wordless: set[tuple[str, str, str]]
    showing: set[tuple[str, frozenset[str], frozenset[str]]]


def clean_page(text: str, *, for_court: bool) -> tuple[bytes, Went]:
    """Give the page without all that is not shown, and what went. Raises: Refusal."""
    reader = html.HTMLParser(remove_comments=True, remove_pis=True, no_network=True, huge_tree=False)
    root = html.document_fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text), parser=reader)
    went: Went = Counter()
    if "<!--" in text:
        went["comments (document)"] = text.count("<!--")
    _remove_hidden(root, went)
    for each in elements(root):
        if local(each.tag) == "style":
            each.text, count = without_addresses(each.text or "")
            _count(went, "addresses that its style fetches from (transport)", count)
    forget_strangers(root)
    marks = marks_used(root)
    for each in elements(root):
        _clean_element(each, marks, went)
    if for_court and any("elsewhere" in words or "style" in words for words in went):
        raise Refusal("external-data")
    return bytes(html.tostring(root, encoding="utf-8", doctype="<!DOCTYPE html>")), went


def _count(went: Went, words: str, count: int = 1) -> None:
    if count:
        went[words] += count


def _remove_hidden(root: Element, went: Went) -> None:
    """Remove elements that are not shown, by their own word or by that of a style sheet."""
    sheets = [each.text or "" for each in elements(root) if local(each.tag) == "style"]
    rules = _Rules(
        {rule for sheet in sheets for rule in hidden_by(sheet, hides)},
        {rule for sheet in sheets for rule in hidden_by(sheet, hides_words)},
        {rule for sheet in sheets for rule in shown_by(sheet)},
    )
    for each in elements(root):
        name = local(each.tag)
        if each.getparent() is None or name in ("body", "head", "style", "title", "meta"):
            continue
        if name == "input" and str(each.get("type", "")).strip().lower() == "hidden":
            _count(went, "hidden fields of a form (identity)")
        elif _is_hidden(each, name, rules):
            _count(went, "parts that are not shown (document)")
        else:
            continue
        each.drop_tree()


def _is_hidden(each: Element, name: str, rules: _Rules) -> bool:
    """Tell whether an element is not shown. Raises: Refusal `hidden-data` where one rule hides it and another shows it.

    Which of the two wins hangs on more than is told here, and often on a program that a page had.
    """
    if each.get("hidden") is not None or (name == "dialog" and each.get("open") is None):
        return True
    told = declared(each.attrib, drawn=_is_drawn(each))
    if hides(told) or _answers(each, name, rules.hiding, rules):
        return True
    return (hides_words(told) or _answers(each, name, rules.wordless, rules)) and _has_no_words(each, rules)


def _answers(each: Element, name: str, hiding: set[tuple[str, str, str]], rules: _Rules) -> bool:
    classes, own = set(str(each.get("class", "")).split()), str(each.get("id", ""))
    hidden = any(
        tag in ("*", name) and (not mark or (mark == "." and word in classes) or (mark == "#" and word == own))
        for tag, mark, word in hiding
    )
    if hidden and any(
        tag in ("*", name) and words <= classes and names <= {own} for tag, words, names in rules.showing
    ):
        raise Refusal("hidden-data")
    return hidden


def _has_no_words(around: Element, rules: _Rules) -> bool:
    """Tell whether no word in an element whose words are hidden is shown by an element inside, as mails do to close
    gaps. Raises: Refusal `hidden-data` where some are and some are not."""
    found: set[bool] = set()
    waiting = [(around, False)]
    while waiting:
        each, shown = waiting.pop()
        if (each.text or "").strip() and local(each.tag) != "style":
            found.add(shown)
        for child in (child for child in each if isinstance(child.tag, str)):
            again = local(child.tag) == "font" and bool(child.get("size")) or shows_words(str(child.get("style", "")))
            classes, name = set(str(child.get("class", "")).split()), local(child.tag)
            again = again or any(
                tag in ("*", name) and words <= classes and names <= {str(child.get("id", ""))}
                for tag, words, names in rules.showing
            )
            waiting.append((child, shown or again))
            if (child.tail or "").strip():
                found.add(shown)
    if len(found) > 1:
        raise Refusal("hidden-data")
    return found == {False}


def forget_strangers(root: Element) -> None:
    """Take the rules out of its style sheets that no element of a page or drawing answers to."""
    marks = {str(each.get("id")) for each in elements(root) if each.get("id")}
    marks |= {mark for each in elements(root) for mark in str(each.get("class", "")).split()}
    for each in elements(root):
        if local(each.tag) == "style" and each.text:
            each.text = without_strangers(each.text, marks)


def marks_used(root: Element) -> frozenset[str]:
    """Give the classes and names that style sheets, and links within the page, speak of."""
    used: set[str] = set()
    for each in elements(root):
        if local(each.tag) == "style":
            used.update(re.findall(r"[.#](-?[A-Za-z_][\w-]*)", each.text or ""))
        for name, value in each.attrib.items():
            used.update(re.findall(r"url\(\s*[\"']?#([\w-]+)", str(value)))
            if str(name).rpartition("}")[2].rpartition(":")[2] == "href" and str(value).startswith("#"):
                used.add(str(value)[1:])
    return frozenset(used)


def _clean_element(each: Element, marks: frozenset[str], went: Went) -> None:
    name = local(each.tag)
    if each.getparent() is not None and name in _UNSEEN:
        rel = str(each.get("rel", "")).lower()
        style = name == "link" and "stylesheet" in rel
        _count(went, "styles and fonts that lie elsewhere (transport)" if style else f"{name} (unclassed)")
        each.drop_tree()
    elif name == "meta":
        _clean_meta(each, went)
    elif name in ("title", "desc", "metadata") and _is_drawn(each):
        _count(went, "what a drawing says of itself (document)")
        each.drop_tree()
    elif name in _ELSEWHERE and (name != "input" or str(each.get("type", "")).lower() == "image"):
        _replace(each, name, went)
    else:
        _clean_attributes(each, name, marks, went)


def _clean_meta(each: Element, went: Went) -> None:
    if each.get("charset") is not None or str(each.get("http-equiv", "")).lower() == "content-type":
        for other in list(each.attrib):
            del each.attrib[other]
        each.set("charset", "utf-8")
    elif str(each.get("name", "")).lower() in _KEPT_META:
        for other in [str(other) for other in each.attrib if str(other) not in ("name", "content")]:
            del each.attrib[other]
    else:
        _count(went, "what its head says of it (document)")
        each.drop_tree()


def _replace(each: Element, name: str, went: Went) -> None:
    """Put a word where something stood that lies elsewhere; a picture too small to be seen just goes."""
    values = [str(value) for value in each.attrib.values()]
    inside = [str(value) for child in elements(each) for value in child.attrib.values()]
    if any(_INLINE.match(value) for value in (*values, *inside)):
        raise Refusal("embedded-object")
    sizes = [str(each.get(side, "")) for side in ("width", "height")]
    if name == "img" and any(_TINY.fullmatch(size) for size in sizes):
        _count(went, "pictures too small to be seen, which tell who opens it (transport)")
        each.drop_tree()
        return
    what = _ELSEWHERE[name]
    _count(went, f"a {what} that lies elsewhere (transport)")
    alt = " ".join(str(each.get("alt", "")).split())
    word = html.Element("span")
    word.text = f"[{what} not in this file{f': {alt}' if alt else ''}]"
    word.tail = each.tail
    parent = each.getparent()
    if parent is None:
        raise Refusal("damaged")
    parent.replace(each, word)


def _clean_attributes(each: Element, name: str, marks: frozenset[str], went: Went) -> None:
    drawn = _is_drawn(each)
    if drawn and leads_elsewhere(each):
        _count(went, "other addresses (transport)")
        each.drop_tree()
        return
    words = "".join(each.itertext()) if name == "a" else ""
    for attribute, value in [(str(key), str(value)) for key, value in each.attrib.items()]:
        if _INLINE.match(value):
            raise Refusal("embedded-object")
        if attribute == "style":
            cleaned, count = without_addresses(value)
            _count(went, "addresses that its style fetches from (transport)", count)
            each.set(attribute, cleaned)
        elif attribute in ("class", "id") or (attribute == "name" and name == "a"):
            keep_marks(each, attribute, value, marks)
        elif attribute.endswith("href") and value.startswith("#"):
            continue
        elif attribute == "href" and name == "a" and _can_be_read(value, words):
            continue
        elif attribute == "value" and _value_is_shown(each, name):
            continue
        elif drawn and not _DRAWN_DROPPED.fullmatch(attribute):
            cleaned, count = without_addresses(value)
            _count(went, "addresses that its style fetches from (transport)", count)
            each.set(attribute, cleaned)
        elif not drawn and attribute in _SHOWN and _SHOWN[attribute] is _ITSELF:
            each.set(attribute, "")
        elif not drawn and attribute in _SHOWN and _SHOWN[attribute].fullmatch(value):
            continue
        elif not drawn and name in _WORDS_SHOWN.get(attribute, ()):
            continue
        else:
            del each.attrib[attribute]
            _count(went, _words_for(attribute, name))
            if attribute == "href" and name == "a":
                each.set(attribute, "#")  # So that it looks like a link as before.


def leads_elsewhere(each: Element) -> bool:
    """Tell whether an element moves an address: what is fetched then stands in none of the usual places."""
    told = str(each.get("attributeName", "") or each.get("attributename", ""))
    return told.strip().lower().rpartition(":")[2] in ("href", "src")


def _is_drawn(each: Element) -> bool:
    """Tell whether an element is part of a drawing or a formula, whose attributes are what is seen."""
    return any(local(outer.tag) in ("svg", "math") for outer in (each, *each.iterancestors()))


def _words_for(attribute: str, name: str) -> str:
    if attribute.endswith("href") and name == "a":
        return "addresses of links that its words do not show (transport)"
    if attribute in ("action", "formaction", "ping", "background", "cite", "longdesc", "src", "srcset", "href"):
        return "other addresses (transport)"
    if attribute in ("title", "summary") or attribute.startswith("aria-"):
        return "words that only some are told (document)"
    return "attributes that are not shown (unclassed)"


def keep_marks(each: Element, attribute: str, value: str, marks: frozenset[str]) -> None:
    kept = " ".join(mark for mark in value.split() if mark in marks)
    if kept:
        each.set(attribute, kept)
    else:
        del each.attrib[attribute]


def _can_be_read(address: str, words: str) -> bool:
    """Tell whether an address stands in the words of its own link, as a person reads it there."""
    plain = re.sub(r"^(https?://(www\.)?|mailto:|tel:)|/$", "", address.strip(), flags=re.I)
    return bool(plain) and re.match(r"(https?|mailto|tel):", address.strip(), re.I) is not None and plain in words


def _value_is_shown(each: Element, name: str) -> bool:
    return name in _WITH_VALUE or (name == "input" and str(each.get("type", "text")).lower() in _FIELDS_SHOWN)
