"""From the error tree to pages and JSON: the only mapping table of the doors, and the words in the reader's language.

A page says what happened, what is kept and what to do. Words for what an observer can meet stand here, to be
translated; any other error is told by its class, so that no page ever falls back on another language or shows a value.
"""

import logging
import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, jsonify, make_response, render_template, request, url_for
from flask_babel import lazy_gettext as _l
from werkzeug.exceptions import HTTPException

from archive import errors
from web.body import BrokenOffError
from web.rooms import settings


class _FormLimit:
    """How many MB a file of a form without scripts may have, as the settings say when it is told."""

    def __str__(self) -> str:
        return str(settings().web.form_file_mib)


Words = Callable[[str], str | None]
"""Gives the words for the code of an error, or None."""

STATUS: dict[type[errors.TestigoError], int] = {
    errors.ConfigError: 500,
    errors.InputError: 422,
    errors.NotFoundError: 404,
    errors.AccessError: 403,
    errors.DisclosureError: 409,
    errors.ConflictError: 409,
    errors.LockedError: 423,
    errors.UnavailableError: 503,
    errors.IntegrityError: 500,
}
STATUS_BY_CODE = {
    "uploads/too-large": 413,
    "web/probe-too-large": 413,
    "uploads/quota": 413,
    "uploads/beyond-length": 413,
    "uploads/larger-than-form": 413,
    "uploads/no-room": 507,
    "archive/store-full": 507,
    "uploads/expired": 410,
    "uploads/damaged": 410,
    "uploads/bad-checksum": 460,
    "uploads/bad-request": 400,
    "uploads/checksum-unknown": 400,
    "uploads/not-octets": 415,
    "uploads/version": 412,
    "web/bad-form": 400,
    "web/too-many-tries": 429,
}
WORDS_BY_CLASS: dict[type[errors.TestigoError], Any] = {
    errors.ConfigError: _l(
        "This archive is not set up right. Nothing of yours was changed. Please tell whoever gave you the link."
    ),
    errors.InputError: _l(
        "This could not be taken as it was sent. What arrived before is kept. Check it, then try again."
    ),
    errors.NotFoundError: _l("There is nothing here, or it is not for you. What you sent before is kept."),
    errors.AccessError: _l("This is not allowed here. Nothing was changed."),
    errors.DisclosureError: _l("This would show what must stay closed. Nothing was changed."),
    errors.ConflictError: _l("Something changed in between. Nothing is lost. Open the page again and repeat the step."),
    errors.LockedError: _l("The archive is locked now. What you sent is kept. Try again later."),
    errors.UnavailableError: _l(
        "The archive cannot answer just now. What you sent is kept. Try again in a few minutes."
    ),
    errors.IntegrityError: _l(
        "Something does not match what was recorded, and people were told to look. What you sent is kept."
    ),
}
_DAMAGED = _l(
    "Part of this file was damaged on our side, and people were told to look. What is left of it is kept. Send this "
    "file again."
)
WORDS: dict[str, Any] = {
    "uploads/damaged": _DAMAGED,
    "uploads/octets-lost": _DAMAGED,
    "uploads/segment-changed": _DAMAGED,
    "drop/no-such-code": _l(
        "This code does not work, or does not work any more. What you sent before is kept. Ask for a new code."
    ),
    "uploads/no-such-upload": _l("There is no such unfinished upload. Choose the file again to send it anew."),
    "visits/receipt-lost": _l(
        "This archive lost its catalogue and made it anew. What you sent is here, "
        "but its receipt cannot be given again."
    ),
    "uploads/expired": _l("This upload has waited too long and was closed. What arrived is kept. Send the file again."),
    "uploads/too-large": _l("This file is larger than this archive takes. Nothing of it was taken in."),
    "uploads/quota": _l(
        "No more can be sent through this link. What arrived is kept. Ask whoever gave you the link for a new one."
    ),
    "uploads/no-room": _l("The archive has no room just now. What arrived is kept. Try again later."),
    "archive/store-full": _l("The archive has no room just now. What arrived is kept. Try again later."),
    "uploads/wrong-offset": _l(
        "The archive has another number of bytes than was said. Nothing is lost. Sending goes on."
    ),
    "uploads/retired": _l("The same file is being sent by a newer request. Nothing is lost. This one has stopped."),
    "uploads/beyond-length": _l("More arrived than was announced. What was announced is kept. Send the file again."),
    "uploads/larger-than-form": _l(
        "One file is larger than %(n)s MB, which is the most without scripts. Its first part is kept, marked as "
        "incomplete; other files of this form are in. Send this file with scripts turned on, or in smaller parts. What "
        "you wrote was not taken yet: go back and choose Finish again without this file.",
        n=_FormLimit(),
    ),
    "uploads/differs": _l("What arrived is not the same as on your side. Both are kept. Send the file once more."),
    "ingest/cannot-strip": _l(
        "This archive keeps no hidden data of such files and could not take it out of this one. Nothing of it was "
        "kept. It is still on your phone."
    ),
    "visits/no-such-visit": _l("There is no such sending here any more. What you sent is kept. Use your return code."),
    "visits/no-such-code": _l("This code is not known. Check each digit and try again. Nothing was changed."),
    "visits/nothing-sent": _l("Nothing has arrived yet. Choose files or write what you saw, then ask for the receipt."),
    "visits/not-finished": _l(
        "Your files are in. Open the page that you sent them from and choose Finish; then there is a receipt."
    ),
    "visits/enter-code": _l("Enter your return code again. Nothing was changed."),
    "visits/handed-over": _l("The receipt for this was given before. What you sent is kept. Use your return code."),
    "visits/stopped": _l("You said stop before. Nothing was changed."),
    "visits/no-such-question": _l("There is no such question any more. Nothing was changed."),
    "visits/no-answer": _l("The answer is empty. Write something first. Nothing was changed."),
    "visits/unfinished": _l("Some files are still being checked. Nothing is lost. Ask again in a moment."),
    "custody/not-published": _l("Your files are in; the receipt is being made. Ask again in a moment."),
    "web/stale-page": _l(
        "This page is too old, or cookies are off. Nothing was changed. Open the page again and repeat the step."
    ),
    "web/too-many-tries": _l("Too many tries. Nothing was changed. Wait a little, then try again."),
    "web/bad-form": _l("This form could not be read. What arrived before is kept. Open the page again and repeat it."),
    "web/broken-off": _l("The line broke off. What arrived is kept. Sending goes on from there."),
    "web/no-such-page": _l("There is no such page. Check the address, or ask for a new link."),
    "web/wrong-method": _l("This page cannot be used in this way. Nothing was changed. Open it again from its start."),
    "web/unforeseen": _l("Something went wrong on our side. What you sent is kept. Try again in a few minutes."),
}
_SAYINGS = {**WORDS, **{kind.__name__: words for kind, words in WORDS_BY_CLASS.items()}}
_BY_STATUS = {404: "web/no-such-page", 405: "web/wrong-method"}
_KEY = "testigo-errors"
_TRACEBACK_VARIABLE = "TESTIGO_TRACEBACK"
_log = logging.getLogger("testigo.web")


def status_of(error: errors.TestigoError) -> int:
    """Look up the one table; a code of its own goes before its class."""
    if error.code in STATUS_BY_CODE:
        return STATUS_BY_CODE[error.code]
    return next(status for kind, status in STATUS.items() if isinstance(error, kind))


def words_of(error: errors.TestigoError) -> str:
    """Say what happened in the reader's language."""
    return str(_SAYINGS[_saying_of(error)])


def words_again(saying: str) -> str | None:
    """Say the same once more, in the language of this request; None where nothing is said by that name."""
    return str(_SAYINGS[saying]) if saying in _SAYINGS else None


def _saying_of(error: errors.TestigoError) -> str:
    if error.code in WORDS:
        return error.code
    return next(kind.__name__ for kind in WORDS_BY_CLASS if isinstance(error, kind))


def wire(app: Flask, *, template: str = "observer/problem.html", words: Words | None = None) -> None:
    """Answer errors by the page `template`; `words` says them, where it has others than `words_of`."""
    app.extensions[_KEY] = (template, words or (lambda _: None))
    app.register_error_handler(errors.TestigoError, _ours)
    app.register_error_handler(BrokenOffError, _broken_off)
    app.register_error_handler(HTTPException, _of_the_protocol)
    app.register_error_handler(Exception, _unforeseen)


def _ours(error: errors.TestigoError) -> Response:
    status = status_of(error)
    if status >= 500:
        _log.error("%s: %s", error.code, error.message)
    return _answer(status, error.code, _own_words(error.code) or words_of(error), saying=_saying_of(error))


def _of_the_protocol(error: HTTPException) -> Response:
    """Answer what the framework itself refuses: wrong addresses, methods, sizes and forms."""
    status = error.code or 500
    if 300 <= status < 400:
        return make_response(error.get_response(request.environ))
    code = _BY_STATUS.get(status, "web/bad-form" if status < 500 else "web/unforeseen")
    response = _answer(status, code, _own_words(code) or str(WORDS[code]))
    valid = getattr(error, "valid_methods", None)
    if valid:
        response.headers["Allow"] = ", ".join(sorted(valid))
    return response


def _broken_off(_: BrokenOffError) -> Response:
    """Answer a sender that fell silent; where its line is gone, nobody hears it."""
    return _answer(408, "web/broken-off", str(WORDS["web/broken-off"]))


def _unforeseen(error: Exception) -> Response:
    # The door: what no room foresaw still ends in words. Its text may quote what was sent, so only its type is written.
    _log.error("unforeseen: %s", type(error).__name__, exc_info=error if os.environ.get(_TRACEBACK_VARIABLE) else None)
    return _answer(500, "web/unforeseen", str(WORDS["web/unforeseen"]))


def wants_json() -> bool:
    if request.path.endswith(".json") or request.path.startswith("/tus"):
        return True
    accepted = request.accept_mimetypes
    return accepted.best_match(["text/html", "application/json"]) == "application/json"


def _answer(status: int, code: str, words: str, saying: str = "") -> Response:
    if wants_json():
        response = jsonify(ok=False, status=status, error=words, errors=[], code=code)
    else:
        template, _ = current_app.extensions[_KEY]
        here = _address_again(status, saying or code)
        response = make_response(render_template(template, status=status, code=code, words=words, **here))
    response.status = f"{status} {_phrase(status)}"
    return response


def _address_again(status: int, saying: str) -> dict[str, str]:
    """Where the same words stand in another language: what a form is sent to may be no page that can be opened."""
    if request.method in ("GET", "HEAD") or "observer.problem" not in current_app.view_functions:
        return {}
    return {"here": url_for("observer.problem", status=status, saying=saying)}


def _own_words(code: str) -> str | None:
    _, words = current_app.extensions[_KEY]
    found: str | None = words(code)
    return found


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Checksum Mismatch"
