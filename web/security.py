"""Who may use an endpoint, what every response forbids the browser, and forms that only our own pages can send.

Deny by default: an application with an endpoint that names no action does not start. One policy for all pages; there is
no exception for a single one.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Flask, Response, current_app, request
from flask_wtf.csrf import validate_csrf
from wtforms.validators import ValidationError

from archive.access import ANYONE, Action
from archive.errors import AccessError, ConfigError, ConflictError

View = TypeVar("View", bound=Callable[..., Any])

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; font-src 'none'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; report-uri /csp"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
_CLOSED = (
    "accelerometer=(), autoplay=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), "
    "magnetometer=(), midi=(), payment=(), serial=(), usb=(), xr-spatial-tracking=()"
)
CLOSED_ALL = f"{_CLOSED}, camera=(), microphone=()"
OPEN_TO_THE_LENS = f"{_CLOSED}, camera=(self), microphone=(self)"

_ACTION = "_testigo_action"
_OWN_PROOF = "_testigo_own_proof"
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def requires(action: Action) -> Callable[[View], View]:
    """Say which action of the access table an endpoint is."""

    def mark(view: View) -> View:
        setattr(view, _ACTION, action)
        return view

    return mark


def proves_itself(view: View) -> View:
    """Say that an endpoint checks by itself that a request was meant: by a capability, or in the stream it reads."""
    setattr(view, _OWN_PROOF, True)
    return view


def action_of(app: Flask, endpoint: str) -> Action | None:
    return cast("Action | None", getattr(app.view_functions[endpoint], _ACTION, None))


def refuse_endpoints_without_rule(app: Flask) -> None:
    """Raises: ConfigError `web/no-rule`."""
    without = sorted({rule.endpoint for rule in app.url_map.iter_rules() if action_of(app, rule.endpoint) is None})
    if without:
        raise ConfigError(
            "web/no-rule",
            "A page does not say who may use it. Nothing was started. This is a fault of the program.",
            evidence={"endpoints": without},
        )


def wire(app: Flask) -> None:
    """Guard every request and mark every response."""
    app.before_request(_guard)
    app.after_request(_mark)


def _guard() -> None:
    if request.endpoint is None:
        return
    view = current_app.view_functions[request.endpoint]
    action = getattr(view, _ACTION)
    if action not in ANYONE:
        raise AccessError(
            "access/not-permitted",
            "This needs an account. Nothing was changed or opened. Use the command line of the archive's machine.",
            evidence={"action": str(action)},
        )
    if request.method in _UNSAFE and not getattr(view, _OWN_PROOF, False):
        check_form_token(request.headers.get("X-CSRF-Token") or request.form.get("csrf_token"))


def check_form_token(token: str | None) -> None:
    """Make sure that a form came from a page that this very browser was given.

    Raises: ConflictError `web/stale-page`.
    """
    try:
        validate_csrf(token)
    except ValidationError as error:
        raise ConflictError(
            "web/stale-page",
            "This page is too old, or cookies are off. Nothing was changed. Open the page again and repeat the step.",
        ) from error


def _mark(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Permissions-Policy", CLOSED_ALL)
    if request.endpoint not in ("static", "service_worker"):
        response.headers["Cache-Control"] = "no-store"
    return response
