"""Whether a text that stands in place of drawn letters says the same as they do.

Printing programs put such a text beside ligatures, Indic clusters and joined Arabic letters, because no single letter
has a number of its own there; without it a word is no longer found, and vowels are missing. What letters say is what
their font tells of them (`ToUnicode`), which a viewer copies and searches by as well. Letters that the font does not
tell of may be a few to a text: no more can be hidden so than in the font's own table.
Standard: ISO 32000-1, 9.10.2 (ToUnicode), 14.9.4 (replacement text); Unicode, annex 15 (NFKD).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pikepdf import Array, ContentStreamInlineImage, ContentStreamInstruction, Dictionary, Name, Object, Stream, String

Instruction = ContentStreamInstruction | ContentStreamInlineImage
_SHOWS = frozenset(("Tj", "TJ", "'", '"'))
_LETTERS = re.compile(rb"beginbfchar(.*?)endbfchar", re.DOTALL)
_RANGES = re.compile(rb"beginbfrange(.*?)endbfrange", re.DOTALL)
_PAIR = re.compile(rb"<([0-9a-fA-F\s]*)>\s*<([0-9a-fA-F\s]*)>")
_RANGE = re.compile(rb"<([0-9a-fA-F]+)>\s*<([0-9a-fA-F]+)>\s*(?:<([0-9a-fA-F\s]+)>|\[([^\]]*)\])")
_ONE = re.compile(rb"<([0-9a-fA-F\s]*)>")
_LARGEST_RANGE = 1 << 16
_MOST_UNTOLD = {"letter": 6, "latin": 3, "mark": 8}
"""Letters of a text that the font does not tell of; a glyph may be a cluster of four with what joins them."""
_JOINERS = frozenset("\u00ad\u200c\u200d\u200e\u200f")
_MOST_JOINERS = 2
_OWN_NAMES = {0x20: ("/space",), 0x27: ("/quotesingle",), 0x60: ("/grave",), 0x2D: ("/hyphen", "/minus")}
_OWN_NAMES |= {ord(letter): (f"/{letter}",) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"}
_PLAIN_ENCODINGS = (None, Name.WinAnsiEncoding, Name.StandardEncoding, Name.MacRomanEncoding)


@dataclass(slots=True)
class _Span:
    begin: int
    text: str | None
    drawn: list[str] = field(default_factory=list)
    untold: int = 0
    is_known: bool = True


def spans_that_say_the_same(drawn: Sequence[Instruction], fonts: Object | None) -> frozenset[int]:
    """Give the places of the marks whose text says what the letters between them and their end say."""
    known: dict[str, _Letters | None] = {}
    spans: list[_Span] = []
    kept: set[int] = set()
    font: _Letters | None = None
    saved: list[_Letters | None] = []
    for number, each in enumerate(drawn):
        operator = "" if isinstance(each, ContentStreamInlineImage) else str(each.operator)
        if operator == "Tf":
            name = str(each.operands[0])
            if name not in known:
                known[name] = _letters_of(fonts, name)
            font = known[name]
        elif operator in ("q", "Q"):
            font = _saved(saved, font, operator)
        elif operator in ("BDC", "BMC"):
            spans.append(_Span(number, _text_of(each)))
        elif operator == "EMC" and spans:
            done = spans.pop()
            if done.text is not None and done.is_known and _same(done):
                kept.add(done.begin)
        elif operator in _SHOWS:
            for span in spans:
                _add(span, list(each.operands), font)
        elif operator in ("Do", "sh", "gs") or not operator:
            for span in spans:
                span.is_known = span.is_known and operator == "gs"
    return frozenset(kept)


def draws(drawn: Sequence[Instruction], fonts: Object | None, text: str) -> bool:
    """Tell whether letters and digits of a text are drawn, in whatever order; what cannot be told, is not doubted."""
    known: dict[str, _Letters | None] = {}
    whole, font = _Span(0, text), None
    for each in drawn:
        if isinstance(each, ContentStreamInlineImage):
            return True
        operator = str(each.operator)
        if operator == "Tf":
            name = str(each.operands[0])
            font = known.setdefault(name, _letters_of(fonts, name))
        elif operator in _SHOWS:
            _add(whole, list(each.operands), font)
        elif operator == "Do":
            return True
    missing = Counter(filter(str.isalnum, _folded(text))) - Counter(_folded("".join(whole.drawn)))
    return not whole.is_known or sum(missing.values()) <= whole.untold


def has_text_of_its_own(each: Instruction) -> bool:
    return _text_of(each) is not None


def _saved(saved: "list[_Letters | None]", font: "_Letters | None", operator: str) -> "_Letters | None":
    if operator == "q":
        saved.append(font)
        return font
    return saved.pop() if saved else font


def _text_of(each: Instruction) -> str | None:
    told = each.operands[-1] if not isinstance(each, ContentStreamInlineImage) and len(each.operands) == 2 else None
    if not isinstance(told, Dictionary) or "/ActualText" not in told:
        return None
    text = told["/ActualText"]
    return str(text) if isinstance(text, String) else ""


@dataclass(frozen=True, slots=True)
class _Letters:
    width: int
    told: dict[int, str]


def _letters_of(fonts: Object | None, name: str) -> _Letters | None:
    font = fonts.get(name) if isinstance(fonts, Dictionary) else None
    if not isinstance(font, Dictionary):
        return None
    width = 2 if font.get("/Subtype") == Name.Type0 else 1
    table = font.get("/ToUnicode")
    if isinstance(table, Stream):
        return _Letters(width, _table(bytes(table.read_bytes())))
    if width == 1 and _has_plain_letters(font.get("/Encoding")):
        return _Letters(1, {code: chr(code) for code in range(0x20, 0x7F)})
    return None


def _has_plain_letters(encoding: Object | None) -> bool:
    """Tell whether the codes of ASCII draw what they are there: forms give other codes other letters."""
    if not isinstance(encoding, Dictionary):
        return encoding in _PLAIN_ENCODINGS
    code = 0
    for each in encoding.get("/Differences", Array()):
        if isinstance(each, Name):
            if 0x20 <= code < 0x7F and str(each) not in _OWN_NAMES.get(code, ()):
                return False
            code += 1
        else:
            code = int(each)
    return encoding.get("/BaseEncoding") in _PLAIN_ENCODINGS


def _table(content: bytes) -> dict[int, str]:
    told: dict[int, str] = {}
    for part in _LETTERS.findall(content):
        for code, text in _PAIR.findall(part):
            told[int(code, 16)] = _decoded(text)
    for part in _RANGES.findall(content):
        for first, last, begin, several in _RANGE.findall(part):
            low, high = int(first, 16), int(last, 16)
            if high - low > _LARGEST_RANGE:
                continue
            if begin:
                start = _decoded(begin)
                told |= {low + step: start[:-1] + chr(ord(start[-1]) + step) for step in range(high - low + 1) if start}
            else:
                told |= {low + step: _decoded(text) for step, text in enumerate(_ONE.findall(several))}
    return told


def _decoded(digits: bytes) -> str:
    return bytes.fromhex(digits.decode("ascii")).decode("utf-16-be", "replace")


def _add(span: _Span, operands: Sequence[Object], font: _Letters | None) -> None:
    if font is None:
        span.is_known = False
        return
    shown = operands[-1] if operands else None
    for piece in shown if isinstance(shown, Array) else [shown]:
        if isinstance(piece, String):
            octets = bytes(piece)
            for at in range(0, len(octets), font.width):
                told = font.told.get(int.from_bytes(octets[at : at + font.width], "big"), "").strip("\0")
                span.drawn.append(told)
                span.untold += not told


def _same(span: _Span) -> bool:
    said = span.text or ""
    unseen = [each for each in said if _is_unseen(each)]
    if len(unseen) > _MOST_JOINERS or not _JOINERS.issuperset(unseen):
        return False
    told, drawn = _folded(said), _folded("".join(span.drawn))
    if told in (drawn, drawn[::-1]) or not told:
        return True
    more, missing = Counter(told) - Counter(drawn), Counter(drawn) - Counter(told)
    if missing:
        return False
    counts = Counter[str]()
    for letter, count in more.items():
        kind = "mark" if unicodedata.category(letter).startswith("M") else "latin" if letter < "\u0370" else "letter"
        counts[kind] += count
    return all(count <= min(4 * span.untold, _MOST_UNTOLD[kind]) for kind, count in counts.items())


def _is_unseen(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cf", "Cc", "Co", "Cn") or 0xFE00 <= ord(letter) <= 0xFE0F


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return "".join(each for each in plain if not each.isspace() and not _is_unseen(each))


def fonts_of(described: Mapping[tuple[int, int], Object | None], stream: Object) -> Object | None:
    """Give the fonts that a description draws with: its own, or those of the page that it describes."""
    resources = stream.get("/Resources") or described.get(stream.objgen)
    fonts = resources.get("/Font") if isinstance(resources, Dictionary) else None
    return fonts if isinstance(fonts, Dictionary) else None
