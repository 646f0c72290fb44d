"""What is known of whoever calls: a token in their own cookie and, for a while in memory, how often they guessed wrong.

No address, no user agent and no referrer is written anywhere (see `pace`).
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager

from flask import request, session

from archive.errors import NotFoundError
from web.rooms import pace

_TOKEN_OCTETS = 32


def visit_token() -> str:
    """Return this browser's visit token, made when it is first needed."""
    token = session.get("visit")
    if not isinstance(token, str) or token_octets(token) is None:
        token = session["visit"] = token_text(os.urandom(_TOKEN_OCTETS))
        session.permanent = True
    return token


def visit_through(link: str, *, again: bool) -> str:
    """Return this browser's visit through a link; `again` goes on with the visit that there is.

    A visit is for one incident: another link begins another, or files would be kept under the incident of the first.
    """
    if not again and session.get("link") not in (None, link):
        session.pop("visit", None)
    session["link"] = link
    return visit_token()


def token_text(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode("ascii").rstrip("=")


def token_octets(text: str) -> bytes | None:
    """Read a token; None where it cannot be one."""
    try:
        octets = urlsafe_b64decode(text[:64] + "=")
    except ValueError:
        return None
    return octets if len(octets) == _TOKEN_OCTETS else None


@contextmanager
def same_pace() -> Iterator[None]:
    """Slow wrong guesses of the codes that the block looks up."""
    who = request.remote_addr or ""
    pace().wait(who)
    try:
        yield
    except NotFoundError:
        pace().wrong(who)
        raise
    pace().right(who)
