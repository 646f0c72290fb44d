"""Give an e-mail's visible part: who wrote to whom, when, about what, and the words. No I/O.

Standard: RFC 5322, RFC 2045. Every other header belongs to the way that the mail took or to the programs on it.
Attached files are refused: each is a file of its own and must come in as one.
"""

import email
import email.policy
import re
from collections.abc import Callable
from email.message import EmailMessage

from media.confined.child import Refusal
from media.confined.mail_lines import SHOWN_HEADERS, is_of_the_way, says_the_same
from media.confined.unseen_letters import holds_unseen

_BOUNDARY = "=_part_{}"
_NEXT_MAIL = re.compile(rb"\n\r?\nFrom [^\n]+\n[!-9;-~]+:")
"""How the next mail of a whole folder in one file (mbox, RFC 4155) begins."""


def clean_mail(content: bytes, clean_html: Callable[[str], str]) -> bytes:
    """Give the mail anew.

    Raises: Refusal `attachments`, `encrypted`, `signed`, `damaged`, `mail-lines`, `several-mails`.
    """
    content = content.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")  # Or its head would be its words.
    if content.startswith(b"From ") and _NEXT_MAIL.search(content):
        raise Refusal("several-mails")
    policy = email.policy.SMTP.clone(max_line_length=998, refold_source="all")
    original = email.message_from_bytes(content, policy=policy)
    copy = EmailMessage(policy)
    for name in SHOWN_HEADERS:
        for value in original.get_all(name, [])[:1]:
            copy[name] = str(value).replace("\n", " ").replace("\r", " ")
    plain, marked = _bodies(original, clean_html)
    if plain is not None:
        copy.set_content(plain)
        if marked is not None:
            copy.add_alternative(marked, subtype="html")
    elif marked is not None:
        copy.set_content(marked, subtype="html")
    else:
        copy.set_content("")
    for number, part in enumerate(copy.walk()):
        if part.is_multipart():
            part.set_boundary(_BOUNDARY.format(number))
    made = copy.as_bytes()
    _compare_heads(content, made)
    return made


def _compare_heads(content: bytes, made: bytes) -> None:
    """Find that every line that is shown says what it said, and that only lines went which mail programs write."""
    before, after = (_head(each) for each in (content, made))
    shown = {name.lower() for name in SHOWN_HEADERS}
    for name in {name.lower() for name, _ in before}:
        values = [[value for other, value in lines if other.lower() == name] for lines in (before, after)]
        if name not in shown:
            if not is_of_the_way(name):
                raise Refusal("mail-lines")
        elif len(values[0]) != 1 or len(values[1]) != 1 or not says_the_same(name, values[0][0], values[1][0]):
            raise Refusal("mail-lines")


def _head(content: bytes) -> list[tuple[str, str]]:
    """Give the lines of the head as they stand, read without any meaning."""
    read = email.message_from_bytes(content, policy=email.policy.compat32)
    return [(name, _as_text(value)) for name, value in read.raw_items()]


def _as_text(value: object) -> str:
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _bodies(original: EmailMessage, clean_html: Callable[[str], str]) -> tuple[str | None, str | None]:
    plain: str | None = None
    marked: str | None = None
    if original.defects:
        raise Refusal("damaged")
    for part in original.walk():
        kind = part.get_content_type()
        if kind in ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"):
            raise Refusal("encrypted")
        if kind == "multipart/signed":
            raise Refusal("signed")
        if part.is_multipart() and kind.startswith("multipart/"):
            continue
        if part.get_filename() is not None or part.get_content_disposition() == "attachment":
            raise Refusal("attachments")
        if kind == "text/plain" and plain is None:
            plain = str(part.get_content())
            if holds_unseen(plain):
                raise Refusal("unseen-characters")
        elif kind == "text/html" and marked is None:
            marked = clean_html(str(part.get_content()))
        else:
            raise Refusal("attachments")
    return plain, marked
