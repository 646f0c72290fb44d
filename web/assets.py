"""Our own style and scripts: names carry a digest of what a file holds, and a page names the integrity that it expects.

Knows `static/manifest.json`, which `frontend/build.mjs` writes. They are held in memory, compressed too: there are few,
they hold no secret that compression could tell, and a phone on a bad network must not wait for what a proxy might do.
"""

import gzip
import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, Response, abort, request, url_for

from archive.access import Action
from web.security import requires

_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of `static/` under the name that its source has."""

    file: str
    integrity: str

    @property
    def url(self) -> str:
        return url_for("static", filename=self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    octets: bytes
    gzipped: bytes
    type: str

    @classmethod
    def read(cls, path: Path) -> "_Held":
        octets = path.read_bytes()
        kind = {".js": "text/javascript", ".css": "text/css"}.get(path.suffix) or mimetypes.guess_type(path.name)[0]
        return cls(octets=octets, gzipped=gzip.compress(octets, 9, mtime=0), type=kind or "text/plain")

    def response(self, cache: str) -> Response:
        wants_gzip = bool(request.accept_encodings["gzip"])
        response = Response(self.gzipped if wants_gzip else self.octets, mimetype=self.type)
        if wants_gzip:
            response.headers["Content-Encoding"] = "gzip"
        response.vary.add("Accept-Encoding")
        response.headers["Cache-Control"] = cache
        return response


def read_manifest(static: Path) -> dict[str, Asset]:
    """Raises: ValueError where the manifest is not one."""
    listed = json.loads((static / "manifest.json").read_text(encoding="utf-8"))
    return {name: Asset(file=entry["file"], integrity=entry["integrity"]) for name, entry in listed.items()}


def wire(app: Flask) -> None:
    """Let templates name assets, and serve them. The service worker alone has a fixed address, at the root, so that its
    scope is the whole site and a browser finds a newer one there."""
    static = Path(app.root_path) / "static"
    manifest = read_manifest(static)
    held: Mapping[str, _Held] = {path.name: _Held.read(path) for path in sorted(static.iterdir()) if path.is_file()}
    app.jinja_env.globals["asset"] = manifest.__getitem__

    def serve(filename: str) -> Response:
        # A changed file has another name; the same name is the same bytes for ever.
        return held[filename].response(_FOR_EVER) if filename in held else abort(404)

    app.view_functions["static"] = serve

    @app.get("/sw.js", endpoint="service_worker")
    @requires(Action.VISIT)
    def service_worker() -> Response:
        return held[manifest["sw.js"].file].response("no-cache")
