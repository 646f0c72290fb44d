"""What is known of whoever calls: a token in their own cookie and, for a while in memory, how often they guessed wrong.

No address, no user agent and no referrer is written anywhere (see `pace`).
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager

from flask import request, session

from web.rooms import pace, rooms

_TOKEN_OCTETS = 32
_MOST_VISITS = 4


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
    Whoever comes back to a link finds the visit that they began through it.
    """
    begun = _begun()
    earlier = begun.pop(link, None)
    if not again and session.get("link") not in (None, link):
        session.pop("visit", None)
        if earlier is not None:
            session["visit"] = earlier
    token = visit_token()
    begun[link] = token
    # In pairs: the names of an object come back in the order of the alphabet, and the oldest is to be dropped.
    session["link"], session["visits"] = link, [list(pair) for pair in list(begun.items())[-_MOST_VISITS:]]
    return token


def known_tokens() -> list[bytes]:
    """Return the tokens of the visits that this browser has begun, its newest first."""
    texts = [visit_token(), *reversed(_begun().values())]
    return [octets for text in dict.fromkeys(texts) if (octets := token_octets(text)) is not None]


def take_up(token: bytes) -> None:
    """Make a visit that a page proved to hold this browser's own: what is shown next is of that one."""
    text = token_text(token)
    session["visit"] = text
    session["link"] = next((link for link, begun in _begun().items() if begun == text), "")
    session.permanent = True


def _begun() -> dict[str, str]:
    begun = session.get("visits")
    return {link: text for link, text in begun} if isinstance(begun, list) else {}


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
def same_pace(token: bytes | None = None) -> Iterator[None]:
    """Slow wrong guesses of the codes that the block looks up; for a visit that has begun it looks up none."""
    if token is not None and rooms().visits.is_begun(token):
        yield
        return
    with pace().looking_up(request.remote_addr or ""):
        yield
