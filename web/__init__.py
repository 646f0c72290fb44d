"""The doors for people: pages for observers, and the upload protocol beneath them.

`create_app` puts blueprints, headers, words and rules together. It builds no room and opens nothing itself.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from flask import Flask, Request
from flask_wtf.csrf import generate_csrf
from jinja2 import StrictUndefined
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix

from archive.access import Action
from archive.settings import Settings
from web import assets, compression, errors, languages, observer, probe, receipts, returning, security, setup, tus
from web.rooms import WebRooms, keep_rooms

__all__ = ["WebRooms", "create_app", "create_setup_app"]

_FORM_OCTETS = 1 << 20
"""The most that a form without files may hold; uploads and the form with files are streams with limits of their own."""


class MemoryRequest(Request):
    """A request whose forms are read in memory: the framework's own way with files is to put them on disk in clear."""

    def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
        raise RequestEntityTooLarge("files are taken as a stream, at the address for them")


def create_setup_app(
    set_up: setup.SetUp, settings: Settings, token: str, is_founded: Callable[[], bool], home: str
) -> Flask:
    """Build the application of a first start: one page, behind an address that only the terminal told."""
    app = _plain_app(settings, setup.new_session_key())
    app.config["SESSION_COOKIE_SECURE"] = False  # On loopback, without the proxy that brings TLS.
    languages.wire(app, settings.web.time_zone, staff=True)
    assets.wire(app)
    setup.wire(app, token=token, set_up=set_up, is_founded=is_founded, home=home)
    errors.wire(app, template="setup/problem.html", words=setup.words)
    return _guarded(app, settings)


def create_app(rooms: WebRooms, settings: Settings) -> Flask:
    """Build the application. Raises: ConfigError `web/no-rule` where an endpoint says nothing of who may use it."""
    app = _plain_app(settings, rooms.session_key)
    keep_rooms(app, rooms, settings)
    languages.wire(app, settings.web.time_zone)
    assets.wire(app)
    app.register_blueprint(observer.blueprint)
    app.register_blueprint(probe.blueprint)
    app.register_blueprint(receipts.blueprint)
    app.register_blueprint(returning.blueprint)
    app.register_blueprint(tus.blueprint)
    errors.wire(app)
    return _guarded(app, settings)


def _plain_app(settings: Settings, session_key: bytes) -> Flask:
    app = Flask("web", root_path=str(Path(__file__).parent), static_url_path="/static")
    app.request_class = MemoryRequest
    app.config.update(
        MAX_CONTENT_LENGTH=_FORM_OCTETS,
        SECRET_KEY=session_key,
        MAX_FORM_MEMORY_SIZE=_FORM_OCTETS,
        MAX_FORM_PARTS=200,
        SESSION_COOKIE_NAME="testigo",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.web.public_url.startswith("https://"),
        PERMANENT_SESSION_LIFETIME=timedelta(hours=24),
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    return app


def _guarded(app: Flask, settings: Settings) -> Flask:
    """Put rules and headers over everything that is in an application."""
    app.view_functions["static"] = security.requires(Action.VISIT)(app.view_functions["static"])
    security.wire(app)
    compression.wire(app)
    app.context_processor(_shared)
    if settings.web.proxies:
        hops = settings.web.proxies
        fixed: Any = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)
        app.wsgi_app = fixed  # type: ignore[method-assign]  # Flask's own documented way to wrap itself
    security.refuse_endpoints_without_rule(app)
    return app


def _shared() -> dict[str, Any]:
    """What every template may use."""
    return {"csrf_token": generate_csrf, **languages.shared()}
