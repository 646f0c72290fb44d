"""What a text is: mark-up, a message, a card, or plain text. No I/O.

A text is what decodes as UTF-8, as UTF-16 with its mark, or as an eight-bit alphabet without control characters. A
programme's source is plain text: nothing in its bytes says more for certain.
"""

import json
import re

from media.first_bytes import Guess

_MAIL_HEADERS = frozenset(
    {"mime-version", "content-type", "from", "to", "subject", "date", "received", "message-id", "return-path"}
)
_BY_PROGRAMS = re.compile(
    r"^(?:mime-version:\s*\d|message-id:\s*<|return-path:\s*<|content-type:\s*[a-z]+/[a-z]|received:[^;]*"
    r"(?:\n[ \t][^;\n]*)*;|(?:dkim|arc|domainkey)-[a-z-]+:|(?:in-reply-to|references):\s*<"
    r"|user-agent:|delivered-to:|(?:list|resent|authentication)-[a-z-]+:|received-spf:|thread-index:|autocrypt:|envelope-to:"
    r"|content-transfer-encoding:\s*(?:[78]bit|binary|base64|quoted-printable)|x-[\w-]+:)",
    re.I | re.M,
)
"""Lines that only programs write into the head of a mail. People begin notes with From, Date and Subject, too."""
_FIRST_LINE = re.compile(r"From |[A-Za-z][A-Za-z-]{1,40}:")
_HEAD_LETTERS = 32_000
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_PROLOGUE = r"(?s:(<\?xml|<!--).{0,2000}?)?"
_RULES: tuple[tuple[re.Pattern[str], Guess], ...] = (
    (re.compile(r"<\?php\b", re.I), Guess(mime_type="text/x-php", name="PHP")),
    (re.compile(_PROLOGUE + r"(<svg[\s>]|<!DOCTYPE svg)"), Guess(mime_type="image/svg+xml", name="SVG")),
    (
        re.compile(_PROLOGUE + r"(<!DOCTYPE\s+html|<html[\s>])", re.I),
        Guess(mime_type="text/html", name="HTML", pronom="fmt/96"),
    ),
    (re.compile(_PROLOGUE + r"<gpx[\s>]"), Guess(mime_type="application/gpx+xml", name="GPS Exchange Format")),
    (
        re.compile(_PROLOGUE + r"<kml[\s>]"),
        Guess(mime_type="application/vnd.google-earth.kml+xml", name="KML", pronom="fmt/244"),
    ),
    (
        re.compile(_PROLOGUE + r"(<!DOCTYPE plist|<plist[\s>])"),
        Guess(mime_type="application/x-plist", name="Property list", family="plist"),
    ),
    (
        re.compile(_PROLOGUE + r"<(head|body|title|meta|script|table|h1|p|div)[\s>]", re.I),
        Guess(mime_type="text/html", name="HTML", pronom="fmt/96"),
    ),
    (
        re.compile(r"<\?xml\s|<!DOCTYPE\s|<!ELEMENT\s|<[A-Za-z_:][\w:.-]{0,100}(\s[^<>]{0,2000})?/?>"),
        Guess(mime_type="application/xml", name="XML", pronom="fmt/101"),
    ),
    (re.compile(r"BEGIN:VCARD", re.I), Guess(mime_type="text/vcard", name="vCard")),
    (re.compile(r"BEGIN:VCALENDAR", re.I), Guess(mime_type="text/calendar", name="iCalendar")),
    (
        re.compile(r"#define\s+\w+_width\s+\d+\s+#define\s+\w+_height\s"),
        Guess(mime_type="image/x-xbitmap", name="X bitmap"),
    ),
)


def from_text(head: bytes, size: int) -> Guess | None:
    """Tell what kind of text these first bytes begin; None where they are not text."""
    text = _decoded(head)
    if text is None:
        return None
    start = text.lstrip("\ufeff \t\r\n")
    if size <= len(head) and _is_json(start):
        return Guess(mime_type="application/json", name="JSON", pronom="fmt/817")
    for pattern, guess in _RULES:
        if pattern.match(start):
            return guess
    return _message(start) or Guess(mime_type="text/plain", name="plain text", pronom="x-fmt/111")


def _is_json(text: str) -> bool:
    if text[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _message(text: str) -> Guess | None:
    """Mail and saved web pages begin with at least two headers that mail has, one of which no person types.

    Whether its date can be read is not asked: a mail with a broken date must not pass as a text, its whole way in it.
    """
    headers = text[:_HEAD_LETTERS].replace("\r", "").partition("\n\n")[0]
    names = {name.lower() for name in re.findall(r"^([A-Za-z-]{2,40}):", headers, re.M)}
    if len(names & _MAIL_HEADERS) < 2 or not _FIRST_LINE.match(headers) or not _BY_PROGRAMS.search(headers):
        return None
    if re.search(r"^content-type:\s*multipart/related", headers, re.I | re.M):
        return Guess(mime_type="multipart/related", name="MHTML", pronom="x-fmt/429")
    return Guess(mime_type="message/rfc822", name="E-mail message", pronom="fmt/278")


def _decoded(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) & ~1].decode("utf-16", "replace")
    if _CONTROL.search(head):
        return None
    try:
        return head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The head may end inside a character; anything else is an eight-bit alphabet.
        cut = error.start >= len(head) - 3
        return head[: error.start].decode("utf-8") if cut else head.decode("latin-1")
