"""Read a cleaned office file or text with other code than made it, and name what should not be there.

The standard library alone is used here (`zipfile`, `expat`, `html.parser`), where the cleaners use lxml, and nothing is
shared with them but the frame of a child. The answer is a phrase a line; none means that nothing was found.
"""

import email
import io
import re
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from xml.parsers import expat

from media.confined.child import Inputs, answer

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MEMBER = re.compile(
    r"mimetype|META-INF/manifest\.xml|(Object [^/]+/)?(content|styles)\.xml|(Pictures|media|Media|Fonts)/[^/]+"
    r"|Object [^/]+/[^/]+"
    r"|\[Content_Types\]\.xml|(.*/)?_rels/[^/]*\.rels"
    r"|(word|xl|ppt)/(([a-zA-Z]+/)?[a-zA-Z]+\d*\.(xml|vml|odttf|fntdata)|media/[^/]+|diagrams/[a-zA-Z]+\d*\.xml|drawings/.*)"
)
_ELEMENTS = frozenset(
    "rsids rsid del moveFrom ins moveTo comment comments author creator lastModifiedBy annotation tracked-changes "
    "changed-region change-info creation-date initial-creator editing-cycles generator absPath revisionPtr fileSharing "
    "fileVersion docVars attachedTemplate documentProtection OLEObject externalReference metadata RDF script".split()
)
_ATTRIBUTES = re.compile(
    r"(rsid\w*|paraId|textId|author|initials|descr|creator|docName|export-filename|on[a-z]{4,})", re.I
)
_REMOTE = re.compile(r"(https?|mailto|tel):|#", re.I)
_RICH = re.compile(
    rb"\\(info|author|operator|company|generator|rsid\w*|revtbl|annotation|pict|object|userprops|creatim|revtim)\b"
)
_HEADERS = frozenset(
    {"from", "to", "cc", "date", "subject", "mime-version", "content-type", "content-transfer-encoding"}
)
_MOST = 50
_NOBODYS = 0o600 << 16
_MATH = "http://www.w3.org/1998/Math/MathML"


def main(arguments: list[str]) -> int:
    """Answer as a child."""
    return answer(arguments, work)


def work(inputs: Inputs, arguments: list[str]) -> bytes:
    """Name what should not be in `file`."""
    content = bytes(inputs["file"])
    readers = {"office": _read_office, "html": _read_html, "svg": _read_svg, "rtf": _read_rich, "mail": _read_mail}
    try:
        found = list(readers[arguments[0]](content)) if arguments[0] in readers else []
    except (
        zipfile.BadZipFile,
        expat.ExpatError,
        UnicodeError,
        EOFError,
        ValueError,
        RuntimeError,
    ):
        found = ["something that cannot be read to its end"]
    return "\n".join(dict.fromkeys(found[:_MOST])).encode()


def _read_office(content: bytes) -> Iterator[str]:
    belongs = 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if archive.comment:
            yield "a comment of the archive"
        for each in archive.infolist():
            name = each.filename.encode()
            belongs += 30 + len(name) + each.compress_size + 46 + len(name)
            if each.date_time != _EPOCH or each.extra or each.comment or each.external_attr != _NOBODYS:
                yield "a member with times, comments or permissions of its own"
            if not _MEMBER.fullmatch(each.filename):
                yield "a member of a kind that is not known"
            octets = archive.read(each)
            if octets[:5].lstrip().startswith((b"<?xml", b"<")) or each.filename.endswith((".xml", ".rels")):
                yield from _read_xml(octets)
    if belongs + 22 != len(content):
        yield "bytes that belong to no member"


def _read_xml(content: bytes, *, drawing: bool = False) -> Iterator[str]:
    found: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        word = name.rpartition("|")[2]
        if word in _ELEMENTS and not name.startswith(_MATH):
            found.append("an element that tells of people, changes or programs")
        for attribute, value in attributes.items():
            if drawing and attribute.rpartition("|")[2] == "href" and not value.startswith("#"):
                found.append("an address elsewhere")
            if drawing and _IN_STYLE.search(value):
                found.append("an address that a style fetches from")
            if _ATTRIBUTES.fullmatch(attribute.rpartition("|")[2]) and value:
                found.append("an attribute that tells of people, changes or programs")
        if attributes.get("TargetMode") == "External" and not _REMOTE.match(attributes.get("Target", "")):
            found.append("a link into somebody's own machine")

    reader = expat.ParserCreate(namespace_separator="|")
    reader.StartElementHandler = start
    reader.CommentHandler = lambda _text: found.append("a comment")
    reader.ProcessingInstructionHandler = lambda _target, _text: found.append("an instruction to a program")
    reader.StartDoctypeDeclHandler = lambda *_: found.append("a document type of its own")
    reader.Parse(content, True)
    yield from found


_FETCHING = frozenset(
    "src srcset action formaction poster background ping cite longdesc data manifest codebase usemap profile".split()
)
_FOREIGN = frozenset("base link iframe frame img video audio source track picture param applet".split())
_IN_STYLE = re.compile(r"url\(\s*(?![\"']?#)|@import|image-set|expression\(|behavior\s*:|-moz-binding", re.I)
_OUT_OF_SIGHT = re.compile(r"(?<![\w-])(display\s*:\s*none|visibility\s*:\s*hidden)", re.I)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._style = False
        self._links: list[tuple[str, list[str]]] = []

    def handle_data(self, data: str) -> None:
        if self._style and _IN_STYLE.search(data):
            self.found.append("an address that a style fetches from")
        for _, words in self._links:
            words.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._style = False
        if tag == "a" and self._links:
            address, words = self._links.pop()
            if re.sub(r"^(https?://(www\.)?|mailto:|tel:)|/$", "", address) not in "".join(words):
                self.found.append("an address that the words of its link do not show")

    def handle_comment(self, data: str) -> None:
        del data
        self.found.append("a comment")

    def handle_pi(self, data: str) -> None:
        del data
        self.found.append("an instruction to a program")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        self._style = tag == "style"
        if tag == "a":
            address = dict(attrs).get("href") or ""
            self._links.append(("" if address.startswith("#") else address.strip(), []))
        elif any(name.rpartition(":")[2] == "href" and not (value or "").startswith("#") for name, value in attrs):
            self.found.append("an address elsewhere")
        if names & _FETCHING or tag in _FOREIGN:
            self.found.append("an address elsewhere")
        if any(_IN_STYLE.search(value or "") for _, value in attrs):
            self.found.append("an address that a style fetches from")
        if "hidden" in names or ("type", "hidden") in attrs or _OUT_OF_SIGHT.search(dict(attrs).get("style") or ""):
            self.found.append("a part that is not shown")
        if tag in ("script", "object", "embed", "template"):
            self.found.append("a program")
        if tag == "meta" and "charset" not in names and ("name", "viewport") not in attrs:
            self.found.append("what the head of a page says of it")
        if any(re.fullmatch(r"on[a-z]+|data-.*", name) for name in names):
            self.found.append("an attribute that is not shown")


def _read_html(content: bytes) -> Iterator[str]:
    page = _Page()
    page.feed(content.decode("utf-8"))
    page.close()
    yield from page.found


def _read_svg(content: bytes) -> Iterator[str]:
    yield from _read_xml(content, drawing=True)


def _read_rich(content: bytes) -> Iterator[str]:
    if _RICH.search(content):
        yield "what a document says of itself and of its editing"
    if not content.endswith(b"}"):
        yield "bytes after the end"


def _read_mail(content: bytes) -> Iterator[str]:
    head = content.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    for line in re.findall(r"(?m)^([^\s:]+):", head):
        if line.lower() not in _HEADERS:
            yield "a header that only machines read"
    for part in email.message_from_bytes(content).walk():
        page = part.get_payload(decode=True)
        if part.get_content_type() == "text/html" and isinstance(page, bytes):
            yield from _read_html(page)
