"""The end of a handing over: the form that brings files, words and the choice of use; the receipt; its file.

Template of the receipt: `receipt` (`number`, `items` of `number`, `sha256`, `size_words`, `utc_words`, `different`,
`incomplete`, `superseded`, `handed_in`; `size_words`, `local_words`, `utc_words`, `use`; how many `files` there are,
and how many are `lost` to receipts, `incomplete`, `different`, `not_compared`, `refused`, `damaged`), `proof`
(`origin`, `size`, `root`, `keys`) or None, `return_code` in groups of four (else None) and for how many `code_minutes`,
`seen_url` of a picture that a browser asks for when the page with the code has come, `written_url`, `file_url`,
`reveals`.
"""

import hashlib
import hmac

from flask import Blueprint, Response, jsonify, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from archive.access import Action
from archive.errors import InputError, NotFoundError
from ingest.choices import ANSWERS, Choice
from ingest.consents import Rung
from ingest.handing_over import recorded_time
from ingest.tokens import grouped_code, visit_identity
from ingest.told import Told
from ingest.visits import DAMAGED, DIFFERS, NOT_GIVEN, REFUSED
from web.body import Body
from web.client import known_tokens, same_pace, take_up, token_octets, token_text, visit_token
from web.errors import wants_json
from web.form_stream import FilePart, FormStream
from web.keepsakes import FINISHED, RETURNING, keep, kept
from web.languages import tag
from web.rooms import rooms, settings
from web.security import check_form_token, proves_itself, requires
from web.words import local_words, size_words, utc_words

blueprint = Blueprint("receipts", __name__)
_MIB = 1 << 20
_MOST_FINISHED = 4
_DOT = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b")


@blueprint.post("/d/<code>", endpoint="deliver")
@requires(Action.DELIVER)
@proves_itself
def deliver(code: str) -> AnyResponse:
    """Take the whole form: files as they come, then the words and the choice; the way of a browser without scripts."""
    request.max_content_length = None
    with Body(request.environ) as body:
        form = FormStream(body, request.mimetype_params.get("boundary", ""))
        too_large = _take_files(code, form)
    check_form_token(form.fields.get("csrf_token"))
    if too_large is not None:
        raise too_large
    return _finish(code, form.fields)


@blueprint.get("/receipt")
@requires(Action.RETURN)
def receipt() -> AnyResponse:
    """Show the receipt of this browser's visit; the return code until it is written down, or was shown for long."""
    token = _shown()
    if token != _token():
        take_up(token)
    visit = rooms().visits.find(token)
    if rooms().visits.waits_to_be_finished(visit):
        return redirect(url_for("observer.drop", code="-"), 303)
    slips = rooms().handing_over.slips(visit, visit_identity(token))
    if visit.number is None:
        raise InputError("visits/nothing-sent", "Nothing was handed over yet. What was sent is kept.")
    files = rooms().visits.files(visit.id)
    items = [
        {
            "number": slip.number,
            "sha256": slip.sha256.hex(),
            "size_words": size_words(slip.size),
            "different": slip.comparison == DIFFERS,
            "incomplete": slip.incomplete,
            "handed_in": slip.handed_in,
            "superseded": slip.superseded,
            "utc_words": utc_words(recorded_time(slip)),
        }
        for slip in slips
    ]
    lost = rooms().handing_over.without_slip(visit, slips)
    received = rooms().handing_over.received_time(visit, slips)
    shown = {
        "number": visit.number,
        "items": items,
        "size_words": size_words(sum(slip.size for slip in slips)),
        "files": len(items) + lost,
        "lost": lost,
        "local_words": local_words(received),
        "utc_words": utc_words(received),
        "use": rooms().handing_over.chosen(token),
        "incomplete": sum(slip.incomplete and not slip.superseded for slip in slips),
        "different": sum(slip.comparison == DIFFERS for slip in slips),
        "not_compared": sum(
            slip.comparison == NOT_GIVEN and not slip.incomplete and not slip.written for slip in slips
        ),
        "refused": sum(file.state == REFUSED for file in files),
        "damaged": sum(file.state == DAMAGED for file in files),
    }
    reveals = sorted({kind for slip in slips for kind in slip.reveals})
    code = rooms().handing_over.unseen_code(token)
    page = render_template(
        "observer/receipt.html",
        receipt=shown,
        return_code=grouped_code(code) if code is not None else None,
        code_minutes=rooms().handing_over.code_minutes,
        seen_url=url_for("receipts.code_shown", proof=_proof_of_page(token), of=_shown_as(token)),
        written_url=url_for("receipts.code_written", of=_shown_as(token)),
        file_url=url_for("receipts.receipt_file", of=_shown_as(token)),
        proof=rooms().handing_over.printed_proof(visit, visit_identity(token)),
        reveals=reveals,
    )
    return make_response(page)


@blueprint.get("/receipt/seen/<proof>")
@requires(Action.RETURN)
def code_shown(proof: str) -> Response:
    """Give the picture at the end of the page with the return code: whoever asks for it has that page."""
    token = _shown()
    if not hmac.compare_digest(proof.encode("utf-8", "replace"), _proof_of_page(token).encode("ascii")):
        raise NotFoundError("visits/no-such-visit", "There is no such visit here. What was sent is kept.")
    rooms().handing_over.code_shown(token)
    return Response(_DOT, content_type="image/gif")


@blueprint.post("/receipt/written")
@requires(Action.RETURN)
def code_written() -> AnyResponse:
    """Take the code off the receipt: its sender has it on paper."""
    token = _shown()
    rooms().handing_over.code_written(token)
    return redirect(url_for("receipts.receipt", of=_shown_as(token)), 303)


@blueprint.get("/receipt.json")
@requires(Action.RETURN)
def receipt_file() -> Response:
    """Give the receipt as the file that proves, even against this archive, that the files were taken in."""
    token = _shown()
    visit = rooms().visits.find(token)
    response = make_response(rooms().handing_over.receipt(visit, visit_identity(token)))
    response.headers["Content-Type"] = "application/json"
    response.headers["Content-Disposition"] = f'attachment; filename="{visit.number}.json"'
    return response


def _take_files(code: str, form: FormStream) -> InputError | None:
    """Take each file of the form; one that is too large keeps out none of the others, and is told at the end."""
    too_large = None
    for part in form.files():
        try:
            _take_file(code, form, part)
        except InputError as error:
            if error.code != "uploads/larger-than-form":
                raise
            too_large = error
    return too_large


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
    with same_pace(token):
        rooms().handing_over.finish(token, code, choice)
    if wants_json():
        answer = jsonify(ok=True, location=url_for("receipts.receipt", of=_shown_as(token)))
        _remember_finished(answer, token)
        return answer
    if kept(RETURNING) is not None and rooms().handing_over.unseen_code(token) is None:
        return redirect(url_for("returning.me", done="added"), 303)
    return redirect(url_for("receipts.receipt"), 303)


def _choice(fields: dict[str, str]) -> Choice:
    chosen = fields.get("use", "")
    return Choice(
        rung=Rung(chosen) if chosen in tuple(Rung) else None,
        language=fields.get("statement_language", "")[:8] or tag(),
        saw=(fields.get("happened") or fields.get("saw") or "").strip(),
        told=fields.get("told", "").strip(),
        contact=fields.get("contact", ""),
        answers={name: fields[name] for name in ANSWERS if fields.get(name)},
        form=fields.get("form", "")[:64],
    )


def _proof_of_page(token: bytes) -> str:
    """What stands in the page alone: another site can have a browser ask for our addresses, and must not know it."""
    return hmac.digest(rooms().session_key, b"testigo page with code " + token, hashlib.sha256).hex()


def _shown_as(token: bytes) -> str:
    """What stands for a visit in an address; it says nothing to whoever reads a browser's history."""
    return hmac.digest(rooms().session_key, b"testigo receipt of " + token, hashlib.sha256).hex()[:32]


def _shown() -> bytes:
    """Return the token of the visit that the address speaks of; where it speaks of none, the one in the cookie.

    The answer with an earlier page may come late over a slow line, and brings back that page's visit. So what was
    finished stands in a cookie of its own.
    Raises: NotFoundError `visits/no-such-visit`: it is not this browser's.
    """
    of = request.args.get("of")
    if of is None:
        return _token()
    for token in (*known_tokens(), *_finished()):
        if hmac.compare_digest(_shown_as(token).encode("ascii"), of.encode("utf-8", "replace")):
            return token
    raise NotFoundError("visits/no-such-visit", "There is no such visit here. What was sent is kept.")


def _finished() -> list[bytes]:
    """Return the tokens of the visits that this browser has finished, its newest first."""
    texts = kept(FINISHED) or []
    return [token for text in texts if (token := token_octets(text)) is not None]


def _remember_finished(response: AnyResponse, token: bytes) -> None:
    earlier = [each for each in _finished() if each != token]
    keep(response, FINISHED, [token_text(each) for each in (token, *earlier[: _MOST_FINISHED - 1])])


def _token(fields: dict[str, str] | None = None) -> bytes:
    """Return the visit's token: the page's own, else the one in the cookie."""
    text = (fields or {}).get("visit") or request.headers.get("X-Visit") or visit_token()
    token = token_octets(text)
    if token is None:
        raise NotFoundError("visits/no-such-visit", "There is no such visit here. What was sent is kept.")
    return token
