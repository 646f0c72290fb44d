"""Give the text of a document: of office files what stands in their paragraphs, of mail its words, of text itself."""

import email
import email.policy
import io
import re
import zipfile

from lxml import etree

from media.confined.child import Inputs, Refusal, answer
from media.confined.mail_lines import SHOWN_HEADERS, as_read, is_of_the_way

_MOST_TEXT = 4_000_000
_MOST_OCTETS = 64 << 20
_PARTS = re.compile(r"(word/(document|footnotes|endnotes)|ppt/slides/slide\d+|xl/sharedStrings|content)\.xml")
_ENDS = frozenset({"p", "h", "tr", "br", "line-break", "si", "tab"})


def main(arguments: list[str]) -> int:
    """Answer as a child."""
    return answer(arguments, work)


def work(inputs: Inputs, arguments: list[str]) -> bytes:
    """Give the text of `file`, which is `office`, `mail` or `text`."""
    content = bytes(inputs["file"])
    try:
        match arguments[0]:
            case "office":
                text = _office(content)
            case "mail":
                text = _mail(content)
            case _:
                text = _plain(content)
    except (zipfile.BadZipFile, etree.XMLSyntaxError, ValueError, KeyError, RuntimeError, EOFError, OSError, TypeError):
        raise Refusal("not-shown") from None  # Damaged, encrypted, or something else than it seemed.
    if not text.strip():
        raise Refusal("no-text")
    return text[:_MOST_TEXT].encode("utf-8", "replace")


def _office(content: bytes) -> str:
    words: list[str] = []
    left = _MOST_OCTETS
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        for name in sorted(name for name in packed.namelist() if _PARTS.fullmatch(name)):
            with packed.open(name) as part:
                octets = part.read(left)
            left -= len(octets)
            if left <= 0:
                raise Refusal("too-complex")
            root = etree.fromstring(octets, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False))
            for event, element in etree.iterwalk(root, events=("start", "end")):
                name_of = etree.QName(element).localname if isinstance(element.tag, str) else ""
                if event == "start" and element.text and name_of:
                    words.append(element.text)
                if event == "end":
                    words.append("\n" if name_of in _ENDS else "")
                    words.append(element.tail or "")
    return "".join(words)


def _mail(content: bytes) -> str:
    letter = email.message_from_bytes(content, policy=email.policy.default)
    heads = [f"{name}: {_as_written(value)}" for name, value in letter.raw_items() if _is_shown(name)]
    body = letter.get_body(preferencelist=("plain", "html"))
    words = body.get_content() if body is not None else ""
    return "\n".join([*heads, "", str(words)])


def _is_shown(name: str) -> bool:
    """Also a line that no mail has: somebody wrote it to be read."""
    return name.title() in SHOWN_HEADERS or not is_of_the_way(name)


def _as_written(value: object) -> str:
    text = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        return as_read(text)
    except ValueError:
        return " ".join(text.split())


def _plain(content: bytes) -> str:
    for mark, code in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(code, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
