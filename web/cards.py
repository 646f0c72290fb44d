"""The printable card of a drop link: its QR code and short words in every language, one page for a noticeboard."""

from flask import Flask, render_template
from flask_babel import force_locale, gettext
from markupsafe import Markup
from segno import make

from web.languages import LANGUAGES


def drop_card(app: Flask, *, code: str, address: str) -> str:
    """Return the card as one HTML page that needs nothing else. Template: `code`, `address`, `qr` (SVG), `words`."""
    qr = make(address, error="m", boost_error=False).svg_inline(scale=8, border=4, omitsize=True)
    with app.test_request_context("/"):
        words = []
        for locale, name in LANGUAGES.items():
            with force_locale(locale):
                send = gettext("Did you film or see what happened? Send it here. No account, no name needed.")
                words.append((locale.replace("_", "-"), name, send))
        return render_template("card.html", code=code, address=address, qr=Markup(qr), words=words)  # noqa: S704 - our own
