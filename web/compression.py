"""Pages that travel compressed, with every secret in them left out of the compression.

Whoever makes a browser ask for a page with words of theirs in it, and sees how long the answer is, can guess a secret
that was compressed beside those words (BREACH). So only pages that say so are compressed, and the value of each hidden
field (the form's token, the visit's token) is written as a stored block of its own: before it the compressor forgets
all that it has seen, and it never sees the value. The length of an answer tells how long such a value is, and no more.
"""

import re
import zlib
from binascii import crc32
from collections.abc import Iterator

from flask import Flask, Response, current_app, request

from web.security import View

_MARK = "_testigo_travels_compressed"
_HIDDEN = re.compile(rb'<input type="hidden"[^>]*? value="([^"]*)"')
_HEADER = bytes.fromhex("1f8b08000000000002ff")
_MOST_STORED = 0xFFFF


def travels_compressed(view: View) -> View:
    """Say that a page holds no secret but in its hidden fields."""
    setattr(view, _MARK, True)
    return view


def wire(app: Flask) -> None:
    app.after_request(_compress)


def _compress(response: Response) -> Response:
    view = current_app.view_functions.get(request.endpoint or "")
    if not getattr(view, _MARK, False) or response.mimetype != "text/html":
        return response
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] and response.status_code == 200:
        response.set_data(compressed(response.get_data()))
        response.headers["Content-Encoding"] = "gzip"
    return response


def compressed(page: bytes) -> bytes:
    """Write a page as gzip (RFC 1952), the values of its hidden fields as stored blocks."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    parts = [_HEADER]
    for open_text, secret in _parted(page):
        # A full flush ends at an octet's edge, and nothing after it refers to anything before.
        parts += [squeeze.compress(open_text), squeeze.flush(zlib.Z_FULL_FLUSH), _stored(secret)]
    sizes = crc32(page).to_bytes(4, "little") + (len(page) & 0xFFFFFFFF).to_bytes(4, "little")
    return b"".join([*parts, squeeze.flush(zlib.Z_FINISH), sizes])


def _parted(page: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give what may be compressed, and the value that follows it; the last value is empty."""
    end = 0
    for found in _HIDDEN.finditer(page):
        yield page[end : found.start(1)], found[1]
        end = found.end(1)
    yield page[end:], b""


def _stored(octets: bytes) -> bytes:
    """Write octets as they are. Standard: RFC 1951, 3.2.4; not the last block."""
    blocks = (octets[start : start + _MOST_STORED] for start in range(0, len(octets), _MOST_STORED))
    return b"".join(
        b"\0" + len(block).to_bytes(2, "little") + (len(block) ^ _MOST_STORED).to_bytes(2, "little") + block
        for block in blocks
    )
