"""Give an e-mail's visible part: who wrote to whom, when, about what, and the words. No I/O.

Standard: RFC 5322, RFC 2045. Every other header belongs to the way that the mail took or to the programs on it.
Attached files are refused: each is a file of its own and must come in as one.
"""

import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage

from media.confined.child import Refusal

SHOWN_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_BOUNDARY = "=_part_{}"


def clean_mail(content: bytes, clean_html: Callable[[str], str]) -> bytes:
    """Give the mail anew. Raises: Refusal `attachments`, `encrypted`, `signed`, `damaged`."""
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
    return copy.as_bytes()


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
        elif kind == "text/html" and marked is None:
            marked = clean_html(str(part.get_content()))
        else:
            raise Refusal("attachments")
    return plain, marked
