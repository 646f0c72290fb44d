"""What a page's style sheets fetch and hide: the first goes, the second is named. No I/O.

Standard: CSS Syntax Level 3, read only as far as needed: rules, selectors of one tag, class or name, and declarations.
"""

import re
from collections.abc import Iterator

from media.confined.child import Refusal

_COMMENT = re.compile(r"/\*.*?(\*/|$)", re.S)
_IMPORT = re.compile(r"@(import|namespace|charset)\b[^;}]*;?", re.I)
_FONT = re.compile(r"@font-face\s*\{[^}]*\}?", re.I)
_ADDRESS = re.compile(
    r"\b(url|image-set|-webkit-image-set|src|image|expression)\(\s*(\"[^\"]*\"|'[^']*'|[^()]*)[^)]*\)?", re.I
)
_BINDING = re.compile(r"(-moz-binding|behavior)\s*:[^;}]*;?", re.I)
_INSIDE = re.compile(r"url\(\s*[\"']?#[\w-]+[\"']?\s*\)", re.I)
_ESCAPE = re.compile(r"\\([0-9a-fA-F]{1,6})\s?|\\(.)", re.S)
_HIDING = re.compile(
    r"(?<![\w-])(display\s*:\s*none|visibility\s*:\s*(hidden|collapse)|opacity\s*:\s*0*\.?0*(?=\s*(;|!|\}|$))"
    r"|font-size\s*:\s*0[a-z%]*(?=\s*(;|!|\}|$))|max-(height|width)\s*:\s*0[a-z%]*(?=\s*(;|!|\}|$))"
    r"|color\s*:\s*transparent|(text-indent|left|top|right)\s*:\s*-(999|\d{4,})|clip\s*:\s*rect\(\s*0)",
    re.I,
)
_SHOWING = re.compile(
    r"(?<![\w-])(display\s*:\s*(?!none)\w|visibility\s*:\s*(visible|inherit|initial|unset)|opacity\s*:\s*(1|0?\.\d*[1-9])"
    r"|font-size\s*:\s*[1-9]|max-(height|width)\s*:\s*[1-9n]|(text-indent|left|top|right)\s*:\s*[^-])",
    re.I,
)
_RULE = re.compile(r"([^{}]*)\{([^{}]*)\}")
_STATE = re.compile(
    r":(hover|focus|active|checked|visited|link|target|disabled|enabled|open|before|after|placeholder|selection|marker"
    r"|backdrop|-webkit-|-moz-|-ms-)",
    re.I,
)
_SOMETIMES = re.compile(
    r"@media[^{]*\b(print|width|height|prefers|orientation|hover|pointer|resolution|device)|@(-\w+-)?key|@page", re.I
)
_ONE = re.compile(r"(?:([a-z][\w-]*|\*))?(?:([.#])([\w-]+))?", re.I)


def without_addresses(text: str) -> tuple[str, int]:
    """Give a style sheet, or an element's own style, without what it fetches, and how many such there were.

    Raises: Refusal `embedded-object` for a picture inside, `external-data` for addresses that are written in disguise.
    """
    text = _COMMENT.sub("", text)
    if re.search(r"data\s*:", text, re.I) and re.search(r"\(\s*[\"']?\s*data\s*:", text, re.I):
        raise Refusal("embedded-object")
    if _fetches(_ESCAPE.sub(_spelt_out, text)) != _fetches(text):
        raise Refusal("external-data")
    kept: list[str] = []

    def put_aside(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"\x00{len(kept) - 1}\x00"

    text = _INSIDE.sub(put_aside, text.replace("\x00", ""))
    count = 0
    for pattern, instead in ((_IMPORT, ""), (_FONT, ""), (_BINDING, ""), (_ADDRESS, "none")):
        text, found = pattern.subn(instead, text)
        count += found
    return re.sub("\x00(\\d+)\x00", lambda found: kept[int(found[1])], text), count


def hides(declarations: str) -> bool:
    """Tell whether declarations keep an element, or its words, from being seen."""
    return _HIDING.search(_COMMENT.sub("", declarations)) is not None


def hidden_by(sheet: str) -> Iterator[tuple[str, str, str]]:
    """Give tag, mark (`.` or `#`) and name of each selector whose elements a style sheet hides.

    What rules hide only on paper or on screens of some size is shown to others and stays. Raises: Refusal `hidden-data`
    for a rule that hides by more than can be told here.
    """
    for selectors, declarations in _RULE.findall(_without_conditions(_IMPORT.sub("", _COMMENT.sub("", sheet)))):
        if not hides(declarations):
            continue
        for selector in (each.strip() for each in selectors.split(",")):
            found = _ONE.fullmatch(selector)
            if _STATE.search(selector):
                continue  # It is shown in another state, or is no element of the page.
            if found is None or not selector:
                raise Refusal("hidden-data")
            yield (found[1] or "*").lower(), found[2] or "", found[3] or ""


def shown_by(sheet: str) -> Iterator[tuple[str, frozenset[str], frozenset[str]]]:
    """Give tag, classes and names of what each rule, in whatever condition or state, may show again."""
    for selectors, declarations in _RULE.findall(_COMMENT.sub("", sheet)):
        if not _SHOWING.search(declarations):
            continue
        for selector in selectors.split(","):
            last = re.sub(r"::?[\w-]+(\([^)]*\))?|\[[^\]]*\]", "", re.split(r"[\s>+~]+", selector.strip())[-1])
            tag = re.match(r"[a-z][\w-]*", last, re.I)
            yield (
                tag[0].lower() if tag else "*",
                frozenset(re.findall(r"\.([\w-]+)", last)),
                frozenset(re.findall(r"#([\w-]+)", last)),
            )


def _without_conditions(sheet: str) -> str:
    """Cut out blocks inside other blocks. Raises: Refusal `hidden-data` where one hides, and not only at times."""
    parts: list[str] = []
    depth, begin, place = 0, 0, 0
    for place, letter in enumerate(sheet):
        if letter == "{":
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
            if depth == 0:
                block = sheet[begin : place + 1]
                if block.count("{") == 1 and not block.lstrip().startswith("@"):
                    parts.append(block)
                elif hides(block) and not _SOMETIMES.match(block.lstrip()):
                    raise Refusal("hidden-data")
                begin = place + 1
    return "".join(parts)


def _fetches(text: str) -> int:
    return len(re.findall(r"url\s*\(|@import|image-set\s*\(|expression\s*\(|-moz-binding|behavior\s*:", text, re.I))


def _spelt_out(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[2]
    code = int(found[1], 16)
    return chr(code) if 0 < code < 0x110000 else ""
