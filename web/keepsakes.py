"""Short-lived secrets that a browser carries for us, sealed: the key of a return code, the visits that were finished.

They lie in cookies that the browser cannot read either, end by themselves, and are taken away when they are done with.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from flask import request
from werkzeug.wrappers import Response

from web.rooms import rooms, settings

RETURNING = "returning"
FINISHED = "finished"
_SECONDS = {RETURNING: 20 * 60, FINISHED: 24 * 3600}


def keep(response: Response, name: str, value: Any) -> None:
    """Have the browser carry a value for a while, sealed."""
    sealed = _cipher(name).encrypt(json.dumps(value).encode())
    response.set_cookie(
        name,
        sealed.decode("ascii"),
        max_age=_SECONDS[name],
        httponly=True,
        samesite="Lax",
        secure=settings().web.public_url.startswith("https://"),
    )


def kept(name: str) -> Any:
    """Return what the browser carries; None where there is nothing, or it has ended."""
    try:
        plain = _cipher(name).decrypt(request.cookies.get(name, "").encode("utf-8", "replace"), ttl=_SECONDS[name])
    except InvalidToken:
        return None
    return json.loads(plain)


def drop(response: Response, name: str) -> None:
    response.delete_cookie(name, httponly=True, samesite="Lax")


def _cipher(name: str) -> Fernet:
    key = hmac.digest(rooms().session_key, b"testigo keepsake " + name.encode("ascii"), hashlib.sha256)
    return Fernet(urlsafe_b64encode(key))
