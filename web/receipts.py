"""The end of a handing over: the form that brings files, words and the choice of use; the receipt; its file.

Template of the receipt: `receipt` (`number`, `items` of `number`, `sha256`, `size_words`, `different`, `handed_in`;
`size_words`, `local_words`, `utc_words`, `use`, `refused`), `return_code` in groups of four (once, else None),
`file_url`, `reveals`.
"""

from typing import Any

from flask import Blueprint, Response, jsonify, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from archive.access import Action
from archive.errors import ConflictError, InputError, NotFoundError
from ingest.choices import ANSWERS, Choice
from ingest.consents import Rung
from ingest.tokens import grouped_code, visit_identity
from ingest.told import Told
from ingest.visits import REFUSED
from web.body import Body
from web.client import same_pace, take_up, token_octets, visit_token
from web.errors import wants_json
from web.form_stream import FilePart, FormStream
from web.keepsakes import RETURNING, SHOWN, drop, keep, kept
from web.languages import tag
from web.rooms import rooms, settings
from web.security import check_form_token, proves_itself, requires
from web.words import local_words, size_words, utc_words

blueprint = Blueprint("receipts", __name__)
_MIB = 1 << 20


@blueprint.post("/d/<code>", endpoint="deliver")
@requires(Action.DELIVER)
@proves_itself
def deliver(code: str) -> AnyResponse:
    """Take the whole form: files as they come, then the words and the choice; the way of a browser without scripts."""
    request.max_content_length = None
    with Body(request.environ) as body:
        form = FormStream(body, request.mimetype_params.get("boundary", ""))
        for part in form.files():
            _take_file(code, form, part)
    check_form_token(form.fields.get("csrf_token"))
    return _finish(code, form.fields)


@blueprint.get("/receipt")
@requires(Action.RETURN)
def receipt() -> Response:
    """Show the receipt of this browser's visit; the return code only this once."""
    token = _token()
    visit = rooms().visits.find(token)
    slips = rooms().handing_over.slips(visit, visit_identity(token))
    if visit.number is None:
        raise InputError("visits/nothing-sent", "Nothing was handed over yet. What was sent is kept.")
    items = [
        {
            "number": slip.number,
            "sha256": slip.sha256.hex(),
            "size_words": size_words(slip.size),
            "different": slip.comparison == "differs",
            "handed_in": slip.handed_in,
        }
        for slip in slips
    ]
    shown = {
        "number": visit.number,
        "items": items,
        "size_words": size_words(sum(slip.size for slip in slips)),
        "local_words": local_words(visit.created_time),
        "utc_words": utc_words(visit.created_time),
        "use": rooms().handing_over.use_of(visit),
        "refused": sum(file.state == REFUSED for file in rooms().visits.files(visit.id)),
    }
    reveals = sorted({kind for slip in slips for kind in slip.reveals})
    code = kept(SHOWN)
    page = render_template(
        "observer/receipt.html",
        receipt=shown,
        return_code=grouped_code(code) if isinstance(code, str) else None,
        file_url=url_for("receipts.receipt_file"),
        reveals=reveals,
    )
    response = make_response(page)
    drop(response, SHOWN)
    return response


@blueprint.get("/receipt.json")
@requires(Action.RETURN)
def receipt_file() -> Response:
    """Give the receipt as the file that proves, even against this archive, that the files were taken in."""
    token = _token()
    visit = rooms().visits.find(token)
    response = make_response(rooms().handing_over.receipt(visit, visit_identity(token)))
    response.headers["Content-Type"] = "application/json"
    response.headers["Content-Disposition"] = f'attachment; filename="{visit.number}.json"'
    return response


@blueprint.get("/visit.json")
@requires(Action.RETURN)
def visit_state() -> Response:
    """Say how far each file of this browser's visit is."""
    visit = rooms().visits.find(_token())
    files: list[dict[str, Any]] = [
        {"state": file.state, "declared": file.declared, "received": file.received}
        for file in rooms().visits.files(visit.id)
    ]
    return jsonify(ok=True, number=visit.number, files=files)


def _take_file(code: str, form: FormStream, part: FilePart) -> None:
    """Take one file of the form, if one was chosen; only from a form that our own page sent."""
    if part.field != "files":
        return
    first = part.stream.peek()
    if not part.untrusted_name and not first:
        return
    check_form_token(form.fields.get("csrf_token"))
    told = Told(name=part.untrusted_name, type=part.untrusted_type, way="form without scripts")
    token = _token(form.fields)
    with same_pace(token):
        # How long a file of a form is shows at its end; until then it counts as the whole form.
        limit = settings().web.form_file_mib * _MIB
        most = min(limit, request.content_length or limit)
        rooms().uploads.receive_whole(token, code, told, part.stream, most)


def _finish(code: str, fields: dict[str, str]) -> AnyResponse:
    token, choice = _token(fields), _choice(fields)
    take_up(token)  # The receipt that is shown next is this one's, whatever page was opened in between.
    response: AnyResponse
    if wants_json():
        response = jsonify(ok=True, location=url_for("receipts.receipt"))
    else:
        response = redirect(url_for("receipts.receipt"), 303)
    try:
        with same_pace(token):
            _, return_code = rooms().handing_over.hand_over(token, code, choice)
    except ConflictError as error:
        if error.code != "visits/handed-over":
            raise
        rooms().handing_over.add(token, choice)
        if kept(RETURNING) is not None:
            return redirect(url_for("returning.me", done="added"), 303) if not wants_json() else response
        return response
    keep(response, SHOWN, return_code)  # type: ignore[arg-type]  # Flask's redirect gives its own class at run time
    return response


def _choice(fields: dict[str, str]) -> Choice:
    chosen = fields.get("use", "")
    return Choice(
        rung=Rung(chosen) if chosen in tuple(Rung) else Rung.LEGAL,
        language=fields.get("statement_language", "")[:8] or tag(),
        saw=(fields.get("happened") or fields.get("saw") or "").strip(),
        told=fields.get("told", "").strip(),
        contact=fields.get("contact", ""),
        answers={name: fields[name] for name in ANSWERS if fields.get(name)},
    )


def _token(fields: dict[str, str] | None = None) -> bytes:
    """Return the visit's token: the page's own, else the one in the cookie."""
    text = (fields or {}).get("visit") or request.headers.get("X-Visit") or visit_token()
    token = token_octets(text)
    if token is None:
        raise NotFoundError("visits/no-such-visit", "There is no such visit here. What was sent is kept.")
    return token
