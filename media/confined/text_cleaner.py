"""Clean texts that say something of themselves: HTML, SVG, RTF, e-mail. A plain text is only looked at.

The first argument says which of them the input is, a second, `court`, that nothing that is seen may be left out;
`traces` are values, each ended by a zero, that no copy may hold. The answer is the copy and, a line each, what went.
"""

import re
from collections import Counter

from lxml import etree

from media.confined.child import Inputs, Refusal, answer
from media.confined.framing import framed
from media.confined.mail import clean_mail
from media.confined.markup import clean_svg
from media.confined.pages import Went, clean_page
from media.confined.rich_text import clean_rich_text
from media.confined.unseen_letters import holds_unseen

LONGEST = 64 << 20
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# A style sheet or a program: whoever opens the page or runs it never sees what its notes say.
_NOTES = re.compile(r"/\*.*?\*/.*?\{", re.DOTALL)


def main(arguments: list[str]) -> int:
    """Answer as a child."""
    return answer(arguments, work)


def work(inputs: Inputs, arguments: list[str]) -> bytes:
    """Give the cleaned copy of `file`, and what went."""
    content = bytes(inputs["file"])
    if len(content) > LONGEST:
        raise Refusal("too-large")
    made, went = _cleaned(content, arguments[0], for_court="court" in arguments)
    for trace in (trace for trace in bytes(inputs.get("traces", b"")).split(b"\0") if trace):
        if any(form in made for form in (trace, _in_rich_text(trace))):
            raise Refusal("value-in-text")
    lines = [f"{count} x {words}" for words, count in sorted(went.items())]
    return framed([made, "\n".join(lines).encode()])


def _in_rich_text(trace: bytes) -> bytes:
    """Give a text as RTF writes it: what is not ASCII in numbers."""
    return b"".join(
        letter.encode() if letter.isascii() else b"\\u%d" % ord(letter) for letter in trace.decode("utf-8", "replace")
    )


def _cleaned(content: bytes, kind: str, *, for_court: bool) -> tuple[bytes, Went]:
    went: Went = Counter()

    def of_mail(text: str) -> str:
        page, gone = clean_page(text, for_court=for_court)
        went.update(gone)
        return page.decode()

    try:
        match kind:
            case "plain":
                return clean_plain(content), went
            case "html":
                return clean_page(decoded(content)[0], for_court=for_court)
            case "svg":
                return clean_svg(content)
            case "rtf":
                return clean_rich_text(content), went
            case "mail":
                return clean_mail(content, of_mail), went
            case _:
                raise ValueError("no such kind of text")
    except (etree.LxmlError, UnicodeError, LookupError):
        raise Refusal("damaged") from None


def clean_plain(content: bytes) -> bytes:
    """Give a plain text as it is: it has no place for metadata. Raises: Refusal where it is more than a text."""
    text, _ = decoded(content)
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        raise Refusal("markup")
    if _NOTES.search(text):
        raise Refusal("source-notes")
    if holds_unseen(text):
        raise Refusal("unseen-characters")
    return content


def decoded(content: bytes) -> tuple[str, str]:
    """Give a text and its encoding. Raises: Refusal `not-text` for anything with control characters."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text, code = content.decode("utf-16"), "utf-16"
    else:
        try:
            text, code = content.decode("utf-8-sig"), "utf-8"
        except UnicodeDecodeError:
            text, code = content.decode("latin-1"), "latin-1"
    if _CONTROL.search(text):
        raise Refusal("not-text")
    return text, code
