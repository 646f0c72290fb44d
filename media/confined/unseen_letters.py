"""Characters of a text that nobody sees, and that can mark one copy among others. No I/O.

Some belong to how a language is written or to a picture (joiners in Persian or Hindi, variants of signs): these stay
where they do what they are for, and mark where they do not. Standard: Unicode 15, 23.2 to 23.8; emoji, UTS 51.
"""

import re

_JOINERS = "[\u200c\u200d]"
_VARIANTS = "[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
_UNSEEN = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u200b\u2060-\u2064\u206a-\u206f\u3164\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
    "|(?<![\u1800-\u18af])[\u180b-\u180f]"
    # In Latin letters nothing is joined, and elsewhere once between two letters.
    f"|(?:^|[\u0000-\u02ff]){_JOINERS}|{_JOINERS}(?=[0-9A-Za-z\u00c0-\u02ff])|{_JOINERS}{{3}}"
    # One variant of a sign, not two; and none of a letter.
    f"|{_VARIANTS}{{2}}|[A-Za-z\u00c0-\u02ff\\s]{_VARIANTS}"
    "|(?<=.)\ufeff",
    re.DOTALL,
)
_FLAGS = re.compile("\U0001f3f4[\U000e0061-\U000e007a]{2,6}\U000e007f")
"""Flags of regions are spelt in letters that are not seen (England, Scotland, Wales)."""
_SOFT = re.compile("(?<=\\w)\u00ad(?=\\w)")


def holds_unseen(text: str) -> bool:
    """Tell whether a text holds characters that are not seen and belong to nothing."""
    return _UNSEEN.search(_SOFT.sub("", _FLAGS.sub("", text.removeprefix("\ufeff")))) is not None
