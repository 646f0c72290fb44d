"""Which language a page speaks: the reader's choice, else the browser's wish, else English."""

from gettext import GNUTranslations
from pathlib import Path
from typing import Any

from babel import Locale
from flask import Flask, Response, current_app, g, request
from flask_babel import Babel, force_locale, gettext

LANGUAGES = {"en": "English", "es_US": "Español", "ko": "한국어", "fil": "Tagalog", "bn": "বাংলা"}
"""Each in its own script, in the order in which the links stand."""

STAFF_LANGUAGES = {code: LANGUAGES[code] for code in ("en", "es_US")}

_KEY = "testigo-languages"
_AWAY_KEY = "testigo-languages-away"
_ALIASES = {"tl": "fil", "es": "es_US"}
_COOKIE = "lang"
_DRAFT = "draft"
_THEMES = ("auto", "light", "dark")
_A_YEAR = 365 * 24 * 3600


def wire(app: Flask, time_zone: str, *, staff: bool = False) -> None:
    """Have an application speak all languages, or those of staff pages, whose words are in a catalogue of their own.
    Local times are those of `time_zone`."""
    app.extensions[_KEY] = STAFF_LANGUAGES if staff else LANGUAGES
    domain = "staff" if staff else "messages"
    Babel(
        app,
        locale_selector=chosen,
        default_domain=domain,
        default_locale="en",
        default_timezone=time_zone,
    )
    app.after_request(_remember)


def chosen() -> str:
    """Return the language of this request."""
    found = g.get("language")
    if found is None:
        found = g.language = _known(request.args.get("lang")) or _known(request.cookies.get(_COOKIE)) or _wished()
    return str(found)


def tag() -> str:
    """Return the language as HTML and HTTP write it: `es-US`."""
    return chosen().replace("_", "-")


def shared() -> dict[str, Any]:
    theme = request.cookies.get("theme", "auto")
    return {
        "lang": tag(),
        "here": "",  # The address of this page, where another than that of the request.
        "away": _away(),
        "languages": [(code.replace("_", "-"), name) for code, name in _offered().items()],
        "direction": Locale.parse(chosen()).text_direction,
        "theme": theme if theme in _THEMES else "auto",
    }


def _away() -> dict[str, str]:
    """What a page says in each language where it is stored on a phone in another one only, and there is no signal."""
    found: dict[str, str] | None = current_app.extensions.get(_AWAY_KEY)
    if found is None:
        found = {}
        for code in _offered() if _offered() is LANGUAGES else ():
            with force_locale(code):
                found[code.replace("_", "-")] = gettext(
                    "No signal. This page is stored only in the language below. Open it again when there is a signal."
                )
        current_app.extensions[_AWAY_KEY] = found
    return found


def adopted_by(code: str) -> str | None:
    """Name the native reader who answers for a language's words; None while it is a draft. English is the source."""
    if code == "en":
        return "Testigo"
    path = Path(__file__).parent / "translations" / code / "LC_MESSAGES" / "messages.mo"
    with path.open("rb") as catalogue:
        reader = GNUTranslations(catalogue).info().get("last-translator", _DRAFT)
    return None if reader == _DRAFT else str(reader)


def _known(text: str | None) -> str | None:
    if not text:
        return None
    text = text.strip()[:12].replace("-", "_")
    base = text.partition("_")[0].lower()
    return next((code for code in (text, _ALIASES.get(base, base)) if code in _offered()), None)


def _offered() -> dict[str, str]:
    found: dict[str, str] = current_app.extensions[_KEY]
    return found


def _wished() -> str:
    for language, quality in request.accept_languages:
        if quality > 0 and (found := _known(language)) is not None:
            return found
    return "en"


def _remember(response: Response) -> Response:
    """Keep a choice made by a link; nothing is kept of who did not choose."""
    asked = _known(request.args.get("lang"))
    if asked is not None and request.cookies.get(_COOKIE) != asked:
        response.set_cookie(_COOKIE, asked, max_age=_A_YEAR, httponly=True, samesite="Lax", secure=request.is_secure)
    response.headers.setdefault("Content-Language", tag())
    response.vary.update(("Accept-Language", "Cookie"))
    return response
