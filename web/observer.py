"""The observer's door: drop page, receipt, safety, leaving. Every page works without scripts.

What templates are given stands at each view. A visit is known by a random token in the reader's own cookie and page;
the archive keeps only what is derived from it.
"""

import os

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from archive.access import Action
from ingest.consents import Rung
from web import keepsakes
from web.client import known_tokens, same_pace, token_octets, visit_through
from web.compression import travels_compressed
from web.errors import words_again
from web.rooms import rooms, settings
from web.security import OPEN_TO_THE_LENS, proves_itself, requires

blueprint = Blueprint("observer", __name__)

AGAIN = "-"
"""In place of a code: the visit that this browser has begun, or came back to."""

_THEMES = ("auto", "light", "dark")


@blueprint.get("/")
@requires(Action.VISIT)
def index() -> AnyResponse:
    return redirect(url_for("observer.enter_code"), 303)


@blueprint.get("/d")
@requires(Action.VISIT)
def enter_code() -> str | AnyResponse:
    """Ask for the code of a drop link. Template: `unknown` tells that a code was tried and does not work."""
    code = request.args.get("code", "")
    if code:
        return redirect(url_for("observer.drop", code=code[:64]), 303)
    return render_template("observer/code.html", unknown=False)


@blueprint.get("/d/<code>")
@requires(Action.DELIVER)
@travels_compressed
def drop(code: str) -> Response:
    """Show the drop page. Template: `link` (OpenLink: `label`, `questions`, `octets_left`, `closed`), `code`, `visit`
    (the token that the page's script sends as `visit` with each upload), `use` that was chosen before, `asks_use`,
    `form` that tells this page from another, `limit_mib` of the form without scripts."""
    with same_pace():
        ours = known_tokens()
        link = rooms().visits.link_again(ours[0]) if code == AGAIN else rooms().visits.link_for(ours, code)
    token = visit_through(str(link.link.id), again=code == AGAIN)
    chosen = rooms().handing_over.chosen(token_octets(token) or b"")
    page = render_template(
        "observer/drop.html",
        link=link,
        code=code,
        visit=token,
        use=chosen or Rung.LEGAL,
        asks_use=code != AGAIN or chosen is None,
        form=os.urandom(8).hex(),
        limit_mib=settings().web.form_file_mib,
    )
    response = make_response(page)
    response.headers["Permissions-Policy"] = OPEN_TO_THE_LENS
    return response


@blueprint.get("/check")
@requires(Action.VISIT)
@travels_compressed
def check() -> str:
    """Check a saved receipt file in the browser; nothing is sent anywhere."""
    return render_template("observer/check.html")


@blueprint.get("/safety")
@requires(Action.VISIT)
@travels_compressed
def safety() -> str:
    """Say what this can and cannot hide. Template: `seals` tells that waiting copies are sealed on the phone."""
    return render_template("observer/safety.html", seals=settings().web.seal_waiting_copies)


@blueprint.get("/help/iphone")
@requires(Action.VISIT)
@travels_compressed
def iphone() -> str:
    return render_template("observer/iphone.html")


@blueprint.get("/exit")
@requires(Action.VISIT)
def leave() -> AnyResponse:
    """Leave quickly. What waits to be sent stays on the phone; only "clear this phone" takes it away."""
    response = redirect(settings().web.leave_url, 303)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@blueprint.post("/forget")
@requires(Action.VISIT)
def forget() -> AnyResponse:
    """Clear this phone: cookies, what waits to be sent, what was kept to open the page without a network."""
    session.clear()
    response = redirect(url_for("observer.forgotten"), 303)
    for name in (keepsakes.RETURNING, keepsakes.FINISHED):
        keepsakes.drop(response, name)  # Where the next line says nothing to the browser.
    response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
    return response


@blueprint.get("/forgotten")
@requires(Action.VISIT)
def forgotten() -> str:
    return render_template("observer/forgotten.html")


@blueprint.get("/problem/<int:status>/<path:saying>")
@requires(Action.VISIT)
def problem(status: int, saying: str) -> str:
    """Say once more, in another language, what went wrong with a form that was sent."""
    words = words_again(saying)
    if words is None:
        abort(404)
    return render_template("observer/problem.html", status=status, code=saying, words=words)


@blueprint.post("/theme")
@requires(Action.VISIT)
def theme() -> AnyResponse:
    chosen = request.form.get("theme", "")
    response = redirect(url_for("observer.safety"), 303)
    if chosen in _THEMES:
        response.set_cookie("theme", chosen, max_age=365 * 24 * 3600, httponly=True, samesite="Lax")
    return response


@blueprint.post("/csp")
@requires(Action.VISIT)
@proves_itself
def policy_report() -> tuple[str, int]:
    """Take a browser's report that a page broke the policy, and keep nothing of it."""
    return "", 204
