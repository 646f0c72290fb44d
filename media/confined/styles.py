"""What a page's style sheets fetch and hide: the first goes, the second is named. No I/O.

Standard: CSS Syntax Level 3, read only as far as needed: rules, selectors of one tag, class or name, and declarations.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Set

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
_END = r"(?=\s*(;|!|\}|$))"
_NOTHING = r"[-+]?0*\.?0*(px|em|rem|ex|ch|pt|pc|cm|mm|in|q|v[wh]|%)?" + _END
_FAR = r"-(999|\d{4,}|\d{3,}\s*(em|rem|v[wh]|%))"
_HIDING = re.compile(
    r"(?<![\w-])(display\s*:\s*none|content-visibility\s*:\s*hidden|mso-hide\s*:\s*(all|screen)"
    rf"|(opacity|max-height|max-width|zoom|scale)\s*:\s*{_NOTHING}|opacity\s*:\s*0*\.0[0-2]"
    rf"|(text-indent|left|top|right|bottom|margin(-left|-top|-right)?)\s*:\s*{_FAR}"
    r"|clip\s*:\s*rect\(\s*[01](px)?[\s,]|clip-path\s*:\s*(inset\(\s*([5-9]\d|100)(\.\d*)?%|circle\(\s*0)"
    rf"|transform\s*:[^;]*(scale[xy]?\(\s*0*\.?0*\s*[,)]|translate[xy]?\([^)]*{_FAR}))",
    re.I,
)
_WORDLESS = re.compile(
    rf"(?<![\w-])(visibility\s*:\s*(hidden|collapse)|(font-size|fill-opacity)\s*:\s*{_NOTHING}"
    r"|font-size\s*:\s*[01](\.\d*)?(px|pt)|font\s*:[^;]*?(?<![\d.])[01](\.\d*)?(px|pt)?\s*/"
    r"|color\s*:\s*(transparent|(rgb|hsl)a\([^)]*[,/]\s*0*\.?0*%?\s*\)|#\w{3}0" + _END + r"|#\w{6}00" + _END + "))",
    re.I,
)
_WORDS_AGAIN = re.compile(r"(?<![\w-])(visibility|font-size|font|color|fill-opacity)\s*:", re.I)
_CUT = re.compile(r"(?<![\w-])overflow(-[xy])?\s*:\s*(hidden|clip)", re.I)
_NO_SIZE = re.compile(rf"(?<![\w-])(height|width)\s*:\s*{_NOTHING}", re.I)
_A_POINT = (re.compile(r"(?<![\w-])height\s*:\s*1px", re.I), re.compile(r"(?<![\w-])width\s*:\s*1px", re.I))
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
_PRESENTED = ("display", "visibility", "opacity", "font-size", "transform")
"""Attributes that say in a drawing what declarations say."""
_UNKEPT = ("data-", "aria-", "role", "href", "src", "action", "on")
"""How names of attributes begin that no copy has, or not as they were."""
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


def declared(attributes: Mapping[str, str], *, drawn: bool) -> str:
    """Give what an element says of its own look, as declarations: its style and, where `drawn`, its attributes."""
    presented = (f"{key}:{attributes[key]}" for key in _PRESENTED if drawn and attributes.get(key))
    return ";".join((*presented, attributes.get("style", "")))


def hides(declarations: str) -> bool:
    """Tell whether declarations keep an element from being seen, whatever is in it; escapes are read as they spell."""
    text = _read(declarations)
    if _HIDING.search(text) is not None:
        return True
    if _CUT.search(text) is None or re.search(r"(?<![\w-])padding", text, re.I):
        return False
    return _NO_SIZE.search(text) is not None or all(each.search(text) for each in _A_POINT)


def hides_words(declarations: str) -> bool:
    """Tell whether declarations hide the words in an element, unless one inside says otherwise of its own."""
    text = _read(declarations)
    return _WORDLESS.search(text) is not None and re.search(r"background-clip\s*:\s*text", text, re.I) is None


def shows_words(declarations: str) -> bool:
    """Tell whether declarations may let the words of an element be seen again."""
    return _WORDS_AGAIN.search(_read(declarations)) is not None and not hides_words(declarations)


def _read(declarations: str) -> str:
    return _ESCAPE.sub(_spelt_out, _COMMENT.sub("", declarations))


def hidden_by(sheet: str, hiding: Callable[[str], bool]) -> Iterator[tuple[str, str, str]]:
    """Give tag, mark (`.` or `#`) and name of each selector whose elements a style sheet hides, as `hiding` tells.

    What rules hide only on paper or on screens of some size is shown to others and stays. Raises: Refusal `hidden-data`
    for a rule that hides by more than can be told here.
    """
    for selectors, declarations in _RULE.findall(_without_conditions(_IMPORT.sub("", _COMMENT.sub("", sheet)), hiding)):
        if not hiding(declarations):
            continue
        for selector in (each.strip() for each in selectors.split(",")):
            found = _ONE.fullmatch(selector)
            if _STATE.search(selector):
                continue  # It is shown in another state, or is no element of the page.
            if found is None or not selector:
                raise Refusal("hidden-data")
            yield (found[1] or "*").lower(), found[2] or "", found[3] or ""


def without_strangers(sheet: str, marks: Set[str]) -> str:
    """Give a style sheet without the rules that speak of no class or name that any element has: they tell of people
    and parts that are not on the page. A sheet with braces in its texts is left as it is."""
    if re.search(r"\"[^\"\n]*[{}][^\"\n]*\"|'[^'\n]*[{}][^'\n]*'", sheet):
        return sheet

    def kept(rule: re.Match[str]) -> str:
        begin = rule[1].rpartition(";")[0]
        selectors = [each for each in rule[1][len(begin) :].lstrip(";").split(",") if not _is_strange(each, marks)]
        return f"{begin}{';' if begin else ''}{','.join(selectors)}{{{rule[2]}}}" if selectors else begin

    return _RULE.sub(kept, sheet)


def _is_strange(selector: str, marks: Set[str]) -> bool:
    if re.search(r":(not|is|where|has|-webkit-any|matches)\(", selector, re.I) or selector.lstrip().startswith("@"):
        return False
    named = re.findall(r"[.#](-?[A-Za-z_][\w-]*)", re.sub(r"\[[^\]]*\]", "", selector))
    asked = re.findall(r"\[\s*([\w-]+)", selector)
    return any(name not in marks for name in named) or any(name.lower().startswith(_UNKEPT) for name in asked)


def shown_by(sheet: str) -> Iterator[tuple[str, frozenset[str], frozenset[str]]]:
    """Give tag, classes and names of what each rule, in whatever condition or state, may show again."""
    for selectors, declarations in _RULE.findall(_COMMENT.sub("", sheet)):
        if not _SHOWING.search(_read(declarations)) or hides(declarations) or hides_words(declarations):
            continue
        for selector in selectors.split(","):
            last = re.sub(r"::?[\w-]+(\([^)]*\))?|\[[^\]]*\]", "", re.split(r"[\s>+~]+", selector.strip())[-1])
            tag = re.match(r"[a-z][\w-]*", last, re.I)
            yield (
                tag[0].lower() if tag else "*",
                frozenset(re.findall(r"\.([\w-]+)", last)),
                frozenset(re.findall(r"#([\w-]+)", last)),
            )


def _without_conditions(sheet: str, hiding: Callable[[str], bool]) -> str:
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
                elif hiding(block) and not _SOMETIMES.match(block.lstrip()):
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
