"""The tus 1.0 protocol over `ingest.uploads`: core, creation, creation-with-upload, expiration, termination, checksum.

Standard: https://tus.io/protocols/resumable-upload (1.0.0). An upload's address is a capability: whoever has it may go
on with that upload and nothing else, so no cookie and no form token is asked for. What a browser may not do to another
site (a custom header, another method than POST) is what keeps other sites out.
"""

import base64
import binascii
import hashlib
import re
from email.utils import format_datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for

from archive.access import Action
from archive.errors import InputError, NotFoundError
from ingest.told import Told
from ingest.uploads import Checksum, Progress
from ingest.visits import REFUSED, state_of
from web.body import Body
from web.client import same_pace, token_octets
from web.errors import WORDS
from web.rooms import rooms, settings
from web.security import proves_itself, requires

blueprint = Blueprint("tus", __name__, url_prefix="/tus")

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination,checksum"
OCTETS = "application/offset+octet-stream"
_HASHES = {"sha256": hashlib.sha256, "sha1": hashlib.sha1}
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


@blueprint.before_request
def _version() -> Response | None:
    """Refuse another version, as the protocol says, before anything else is looked at."""
    if _method() in ("OPTIONS", "GET") or request.headers.get("Tus-Resumable") == VERSION:
        return None
    response = jsonify(ok=False, status=412, code="uploads/version", error="", errors=[])
    response.status_code = 412
    response.headers["Tus-Version"] = VERSION
    return response


@blueprint.after_request
def _speak(response: Response) -> Response:
    response.headers["Tus-Resumable"] = VERSION
    return response


@blueprint.route("/", methods=["OPTIONS", "POST"], strict_slashes=False, provide_automatic_options=False)
@requires(Action.DELIVER)
@proves_itself
def collection() -> Response:
    """Say what is spoken here, or make room for a new upload."""
    match _method():
        case "OPTIONS":
            return _capabilities()
        case "POST":
            return _create()
    return _no_such_method("OPTIONS, POST")


@blueprint.route(
    "/<address>", methods=["OPTIONS", "HEAD", "GET", "PATCH", "DELETE", "POST"], provide_automatic_options=False
)
@requires(Action.DELIVER)
@proves_itself
def upload(address: str) -> Response:
    """One upload: where it stands, its next octets, its end."""
    match _method():
        case "OPTIONS":
            return _capabilities()
        case "HEAD":
            return _head(_octets(address))
        case "GET":
            return _look(_octets(address))
        case "PATCH":
            return _patch(_octets(address))
        case "DELETE":
            rooms().uploads.end(_octets(address))
            return Response(status=204)
    return _no_such_method("OPTIONS, HEAD, GET, PATCH, DELETE")


@blueprint.post("/<address>/digest")
@requires(Action.DELIVER)
@proves_itself
def digest(address: str) -> Response:
    """Take the SHA-256 that a browser has worked out while it was sending, or all it tells, sealed in the phone."""
    told = request.get_json(silent=True)
    sealed = told.get("sealed") if isinstance(told, dict) else None
    if isinstance(sealed, str):
        rooms().uploads.told.note(_octets(address), _base64(sealed))
        return Response(status=204)
    sha256 = told.get("sha256") if isinstance(told, dict) else None
    if not isinstance(sha256, str) or not _HEX_SHA256.fullmatch(sha256):
        raise _bad("The SHA-256 must be 64 lower-case hexadecimal digits.")
    rooms().uploads.told.digest(_octets(address), sha256)
    return Response(status=204)


def _create() -> Response:
    if "Upload-Defer-Length" in request.headers:
        raise _bad("The length must be known when an upload is made.")
    declared = _number("Upload-Length")
    told = _metadata()
    token = token_octets(told.get("visit", ""))
    if token is None:
        raise _bad("The upload names no visit.")
    with_body = request.content_type == OCTETS
    checksum = _checksum() if with_body else None
    with same_pace(token):
        address, progress = rooms().uploads.create(token, told.get("code", ""), _told(told), declared)
    text = base64.urlsafe_b64encode(address).decode("ascii").rstrip("=")
    if with_body and declared:
        with Body(request.environ) as body:
            progress = rooms().uploads.append(address, 0, body, body.length, checksum)
    response = _told_progress(201, progress)
    response.headers["Location"] = url_for("tus.upload", address=text)
    return response


def _head(address: bytes) -> Response:
    progress = rooms().uploads.progress(address)
    response = _told_progress(200, progress)
    response.headers["Upload-Length"] = str(progress.declared)
    response.headers["Cache-Control"] = "no-store"
    return response


def _patch(address: bytes) -> Response:
    if request.content_type != OCTETS:
        raise InputError("uploads/not-octets", f"The body must be {OCTETS}. Nothing was taken.")
    offset, checksum = _number("Upload-Offset"), _checksum()
    with Body(request.environ) as body:
        progress = rooms().uploads.append(address, offset, body, body.length, checksum)
    return _told_progress(204, progress)


def _look(address: bytes) -> Response:
    """Say how an upload stands without taking the turn from whoever sends it."""
    progress, delivery = rooms().uploads.look(address)
    state = state_of(progress.state, progress.offset == progress.declared, delivery)
    why = {"error": str(WORDS["ingest/cannot-strip"])} if state == REFUSED else {}
    return jsonify(ok=True, state=state, offset=progress.offset, length=progress.declared, **why)


def _told_progress(status: int, progress: Progress) -> Response:
    response = Response(status=status)
    response.headers["Upload-Offset"] = str(progress.offset)
    if progress.offset < progress.declared:
        response.headers["Upload-Expires"] = format_datetime(progress.expires, usegmt=True)
    return response


def _capabilities() -> Response:
    response = Response(status=204)
    response.headers["Tus-Version"] = VERSION
    response.headers["Tus-Extension"] = EXTENSIONS
    response.headers["Tus-Max-Size"] = str(settings().ingest.max_file_octets)
    response.headers["Tus-Checksum-Algorithm"] = ",".join(_HASHES)
    return response


def _method() -> str:
    """Return the method that is meant: some networks let through POST alone."""
    return request.headers.get("X-HTTP-Method-Override", request.method).upper()


def _no_such_method(allowed: str) -> Response:
    response = jsonify(ok=False, status=405, code="web/wrong-method", error="", errors=[])
    response.status_code = 405
    response.headers["Allow"] = allowed
    return response


def _octets(address: str) -> bytes:
    """Read an address; one that cannot be one is like one that is not there."""
    octets = token_octets(address)
    if octets is None or len(address) != 43:
        raise NotFoundError("uploads/no-such-upload", "There is no such unfinished upload.")
    return octets


def _number(header: str) -> int:
    text = request.headers.get(header, "")
    if not _NUMBER.fullmatch(text):
        raise _bad(f"{header} must be a whole number.")
    return int(text)


def _metadata() -> dict[str, str]:
    """Read Upload-Metadata: pairs of a key and base64 of UTF-8; what is none is kept as escapes."""
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in request.headers.get("Upload-Metadata", "").split(","))):
        key, _, value = pair.partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode("utf-8", "backslashreplace")
        except (ValueError, binascii.Error) as error:
            raise _bad("Upload-Metadata is not pairs of a key and base64.") from error
    return found


def _told(metadata: dict[str, str]) -> Told:
    sha256, plain_size = metadata.get("sha256", "").lower(), _plain_size(metadata)
    return Told(
        name=metadata.get("filename", metadata.get("name", "")),
        type=metadata.get("filetype", metadata.get("type", "")),
        sha256=sha256 if _HEX_SHA256.fullmatch(sha256) else None,
        last_modified=metadata.get("last_modified", ""),
        way="upload, sealed on the phone" if plain_size is not None else "upload",
        plain_size=plain_size,
    )


def _plain_size(metadata: dict[str, str]) -> int | None:
    """Read how large the file in a sealed upload is; None where the upload is the file itself."""
    if metadata.get("sealed") != "1":
        return None
    text = metadata.get("plain_size", "")
    if not _NUMBER.fullmatch(text):
        raise _bad("plain_size must be a whole number.")
    return int(text)


def _checksum() -> Checksum | None:
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    name, _, value = text.partition(" ")
    if name not in _HASHES:
        raise InputError("uploads/checksum-unknown", "This checksum is not known here. Nothing was taken.")
    make: Any = _HASHES[name]
    try:
        octets = base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error) as error:
        raise _bad("Upload-Checksum is not a name and base64.") from error
    return Checksum(value=octets, make=make)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise _bad("What is sealed must be base64.") from error


def _bad(words: str) -> InputError:
    return InputError("uploads/bad-request", f"{words} Nothing was taken.")
