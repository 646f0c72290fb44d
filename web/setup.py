"""The page of a first start: whoever sets the server up chooses a passphrase and takes the keys away, once.

The page's address holds a token that the terminal printed; without it there is nothing here. The keys stand in one
response and nowhere else. English and Spanish, like all staff pages. What is founded is founded by `SetUp`, as
`testigo init` does it.
"""

import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flask import Blueprint, Flask, current_app, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from archive.access import Action
from archive.errors import ConflictError, InputError, NotFoundError, UnavailableError
from web.security import requires

blueprint = Blueprint("setup", __name__)

SPLITS = {"whole": None, "2of3": (2, 3), "3of5": (3, 5)}
_KEY = "testigo-set-up"
_WORDS = {
    "keys/weak-passphrase": _l("Choose a longer passphrase: at least 12 characters, or 5 words."),
    "keys/bad-recipient": _l("This is no age recipient. It begins with age1. Leave it empty to have one made."),
    "web/passphrases-differ": _l("The two passphrases are not the same."),
    "web/bad-form": _l("Choose one of the ways to keep the recovery key."),
}
_OTHER = _l("This could not be taken as it was sent. Nothing was made. Check it, then try again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the founder decides. `counsel` is counsel's age recipient, or empty; `split` how many parts of how many."""

    passphrase: str = field(repr=False)
    counsel: str
    split: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    """What must leave the machine now: the recovery key, whole or in parts; counsel's key where one was made."""

    account: str
    recovery: tuple[str, ...] = field(repr=False)
    counsel: str | None = field(repr=False)


class SetUp(Protocol):
    """Founds the archive, once. Raises: InputError for what the founder can put right; ConflictError."""

    def found(self, wishes: Wishes) -> HandedOut: ...

    def end(self) -> None:
        """Hear that the founder has the keys: the page is not needed any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    token: str = field(repr=False)
    set_up: SetUp
    is_founded: Callable[[], bool]
    home: str


def wire(app: Flask, *, token: str, set_up: SetUp, is_founded: Callable[[], bool], home: str) -> None:
    """Put the page into an application that has nothing else."""
    app.extensions[_KEY] = _Kept(token=token, set_up=set_up, is_founded=is_founded, home=home)
    app.register_blueprint(blueprint)


def new_session_key() -> bytes:
    """Make a key for the cookies of one first start; nothing that was signed with it is good afterwards."""
    return os.urandom(32)


@blueprint.get("/setup/<token>")
@requires(Action.VISIT)
def page(token: str) -> str:
    """Ask for what is needed. Template: `problem` (words or empty), `counsel`, `split`."""
    kept = _known(token)
    if kept.is_founded():
        raise _already()
    return render_template("setup/form.html", problem="", counsel="", split="whole", token=token)


@blueprint.post("/setup/<token>")
@requires(Action.VISIT)
def found(token: str) -> str | tuple[str, int]:
    """Found the archive and show its keys. Template: `handed` (HandedOut), `token`."""
    kept = _known(token)
    if kept.is_founded():
        raise _already()
    try:
        handed = kept.set_up.found(_wishes(request.form))
    except InputError as error:
        told = {"problem": _WORDS.get(error.code, _OTHER), "token": token}
        told |= {"counsel": request.form.get("counsel", ""), "split": request.form.get("split", "whole")}
        return render_template("setup/form.html", **told), 422
    return render_template("setup/keys.html", handed=handed, token=token)


@blueprint.post("/setup/<token>/done")
@requires(Action.VISIT)
def done(token: str) -> str:
    """End the set-up and say what comes next. Template: `home`."""
    kept = _known(token)
    if not kept.is_founded():
        raise UnavailableError("web/not-set-up", "There is no archive here yet.")
    kept.set_up.end()
    return render_template("setup/next.html", home=kept.home, root=request.url_root)


@blueprint.app_errorhandler(404)
def nothing(_error: Exception) -> tuple[str, int]:
    """Say of every other address that there is nothing yet."""
    return render_template("setup/nothing.html"), 503


def words(code: str) -> str | None:
    """Return the words of this page's own errors."""
    return {
        "web/set-up-before": _(
            "This archive is set up already. Its keys were shown once. If nobody wrote them down and nothing was taken "
            "in yet, stop the server, delete the archive’s folder and begin again."
        ),
        "web/not-set-up": _("There is no archive here yet. Fill in the form first."),
        "web/no-such-page": _("There is nothing here. The address for setting up stands in the terminal."),
    }.get(code)


def _known(token: str) -> _Kept:
    kept: _Kept = current_app.extensions[_KEY]
    if not hmac.compare_digest(token.encode("utf-8", "replace"), kept.token.encode("ascii")):
        raise NotFoundError("web/no-such-page", "There is no such page.")
    return kept


def _wishes(form: Mapping[str, str]) -> Wishes:
    passphrase = form.get("passphrase", "")
    if passphrase != form.get("again", ""):
        raise InputError("web/passphrases-differ", "The two passphrases differ. Nothing was made.")
    if form.get("split", "") not in SPLITS:
        raise InputError("web/bad-form", "This form could not be read.")
    return Wishes(passphrase=passphrase, counsel=form.get("counsel", "").strip(), split=SPLITS[form["split"]])


def _already() -> ConflictError:
    return ConflictError("web/set-up-before", "This archive is set up already. Nothing was changed.")
