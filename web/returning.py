"""Coming back with a return code: status, answers, another choice of use, more files, stop.

Template of `me`: `visit` (`number`, `received_words`, `files`, `can_add`, `status`, `use`, `stopped`), `questions`
(`id`, `words`) that are not answered and still may be, `done` (use, stop, answer, added, or None). The code is posted,
and is in no address, log or title.
"""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from archive.access import Action
from archive.age.recipients import parse_identity
from archive.errors import AccessError, NotFoundError
from ingest.consents import Rung
from ingest.returning import Returned
from ingest.visits import STOPPED
from web.client import same_pace, token_text
from web.keepsakes import FINISHED, RETURNING, drop, keep, kept
from web.languages import tag
from web.rooms import rooms
from web.security import requires
from web.words import local_words

blueprint = Blueprint("returning", __name__, url_prefix="/r")

_DONE = ("use", "stop", "answer", "added")
_STATES = {"checked": "received", "in review": "in_review"}


@blueprint.get("")
@requires(Action.RETURN)
def code() -> str:
    return render_template("returning/code.html", wrong=False)


@blueprint.post("")
@requires(Action.RETURN)
def enter() -> AnyResponse | tuple[str, int]:
    try:
        with same_pace():
            returned = rooms().returning.enter(request.form.get("code", ""))
    except NotFoundError:
        return render_template("returning/code.html", wrong=True), 422
    response = redirect(url_for("returning.me"), 303)
    keep(response, RETURNING, [str(returned.visit.id), returned.identity.secret_text()])
    return response


@blueprint.get("/me")
@requires(Action.RETURN)
def me() -> str:
    returned = _returned()
    status = rooms().returning.status(returned)
    done = request.args.get("done")
    visit = {
        "number": returned.visit.number,
        "received_words": local_words(status.received_time),
        "files": status.files,
        "can_add": status.can_add,
        "status": _STATES.get(status.state, status.state),
        "use": status.rung,
        "stopped": status.state == "stopped",
    }
    waiting = [each for each in status.questions if not each.answered and not visit["stopped"]]
    questions = [{"id": each.id, "words": each.text} for each in waiting]
    return render_template("returning/me.html", visit=visit, questions=questions, done=done if done in _DONE else None)


@blueprint.post("/me/use")
@requires(Action.RETURN)
def use() -> AnyResponse:
    chosen = request.form.get("use", "")
    rung = Rung(chosen) if chosen in tuple(Rung) else Rung.LEGAL
    rooms().returning.change_use(_returned(), rung, tag())
    return redirect(url_for("returning.me", done="use"), 303)


@blueprint.get("/me/stop")
@requires(Action.RETURN)
def ask_stop() -> str | AnyResponse:
    if _returned().visit.status == STOPPED:
        return redirect(url_for("returning.me"), 303)
    return render_template("returning/stop.html")


@blueprint.post("/me/stop")
@requires(Action.RETURN)
def stop() -> AnyResponse:
    rooms().returning.stop(_returned(), tag())
    return redirect(url_for("returning.me", done="stop"), 303)


@blueprint.post("/me/answer")
@requires(Action.RETURN)
def answer() -> AnyResponse:
    try:
        question = UUID(request.form.get("question", ""))
    except ValueError as error:
        raise NotFoundError("visits/no-such-question", "There is no such question. Nothing was changed.") from error
    rooms().returning.answer(_returned(), question, request.form.get("answer", ""))
    return redirect(url_for("returning.me", done="answer"), 303)


@blueprint.get("/me/add")
@requires(Action.RETURN)
def add() -> AnyResponse:
    """Open the drop page for this visit again."""
    returned = _returned()
    if returned.visit.status == STOPPED:
        return redirect(url_for("returning.me"), 303)
    session["visit"] = token_text(rooms().returning.token_of(returned))
    return redirect(url_for("observer.drop", code="-"), 303)


@blueprint.post("/out")
@requires(Action.RETURN)
def out() -> AnyResponse:
    session.clear()
    response = redirect(url_for("returning.code"), 303)
    for name in (RETURNING, FINISHED):
        drop(response, name)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def _returned() -> Returned:
    """Raises: AccessError `visits/enter-code` where no code was entered, or it was long ago."""
    held = kept(RETURNING)
    if not isinstance(held, list):
        raise AccessError("visits/enter-code", "Enter your return code again. Nothing was changed.")
    return rooms().returning.again(UUID(held[0]), parse_identity(held[1]))
