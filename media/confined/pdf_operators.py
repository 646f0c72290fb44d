"""What a page description draws with: each operator and how many operands it takes. No I/O.

Viewers pass over an operator that they do not know, so words may lie before it that nobody sees: these go. Where a
known one has too many operands, viewers differ in what they draw, and no copy would be true to all: it is refused.
Standard: ISO 32000-1, annex A.
"""

from collections.abc import Set

import pikepdf
from pikepdf import ContentStreamInlineImage, ContentStreamInstruction, Dictionary, Object

from media.confined.child import Refusal
from media.confined.pdf_keys import INLINE_IMAGE, PROPERTIES
from media.confined.pdf_shown_text import has_text_of_its_own, spans_that_say_the_same

_COLOUR = 33  # up to 32 components and a pattern's name
_TAKES = {
    **dict.fromkeys("b B b* B* BT BX EMC ET EX f F f* h n q Q s S T* W W*".split(), 0),
    **dict.fromkeys("BMC CS cs Do g G gs i j J M MP ri sh Tc TJ Tj TL Tr Ts Tw Tz w '".split(), 1),
    **dict.fromkeys("BDC d d0 DP l m Td TD Tf".split(), 2),
    **dict.fromkeys('RG rg "'.split(), 3),
    **dict.fromkeys("K k re v y".split(), 4),
    **dict.fromkeys("c cm d1 Tm".split(), 6),
    **dict.fromkeys("SC sc SCN scn".split(), _COLOUR),
}
Instruction = ContentStreamInstruction | ContentStreamInlineImage


def only_what_draws(stream: Object, *, rewrite: bool, fonts: Object | None) -> tuple[bytes | None, bool]:
    """Give a page description without what no viewer looks at (None where nothing of that is in it), and whether a
    text that stood in place of the letters drawn, and does not say the same, was left out.

    `rewrite` has it written anew in any case, which loses the comments. Raises: Refusal `damaged`.
    """
    before = list(pikepdf.parse_content_stream(stream))
    marks = [has_text_of_its_own(each) for each in before]
    same = spans_that_say_the_same(before, fonts) if any(marks) else frozenset()
    bared = [_bare(each, text_stays=number in same) for number, each in enumerate(before)]
    drawn = [each for each in bared if each is not None]
    left_out = sum(marks) > len(same)
    if (
        not rewrite
        and len(drawn) == len(before)
        and all(one is other for one, other in zip(before, drawn, strict=True))
    ):
        return None, left_out
    return bytes(pikepdf.unparse_content_stream(drawn)), left_out


def _bare(each: Instruction, *, text_stays: bool) -> Instruction | None:
    if isinstance(each, ContentStreamInlineImage):
        if not set(each.iimage.obj.keys()) <= INLINE_IMAGE:
            raise Refusal("damaged-image")
        return each
    name, operands = str(each.operator), list(each.operands)
    takes = _TAKES.get(name)
    if takes is None:
        return None
    if len(operands) > takes or (takes == _COLOUR and any(isinstance(one, pikepdf.String) for one in operands)):
        raise Refusal("damaged")
    if name in ("BDC", "DP") and operands and isinstance(operands[-1], Dictionary):
        kept = PROPERTIES | ({"/ActualText"} if text_stays else set())
        if not set(operands[-1].keys()) <= kept:
            return ContentStreamInstruction([*operands[:-1], _marks(operands[-1], kept)], each.operator)
    return each


def _marks(told: Dictionary, kept: Set[str]) -> Dictionary:
    """Of what a mark says only its number is needed, and a text in place of the letters that says the same as they."""
    return Dictionary({name: told[name] for name in sorted(kept & set(told.keys()))})
