"""Our own style and scripts: names carry a digest of what a file holds, and a page names the integrity that it expects.

Knows `static/manifest.json`, which `frontend/build.mjs` writes. The service worker alone has a fixed address, because a
browser asks there whether there is a newer one.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, Response, send_from_directory, url_for

from archive.access import Action
from web.security import requires

_A_YEAR_S = 365 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of `static/` under the name that its source has."""

    file: str
    integrity: str

    @property
    def url(self) -> str:
        return url_for("static", filename=self.file)


def read_manifest(static: Path) -> dict[str, Asset]:
    """Raises: ValueError where the manifest is not one."""
    listed = json.loads((static / "manifest.json").read_text(encoding="utf-8"))
    return {name: Asset(file=entry["file"], integrity=entry["integrity"]) for name, entry in listed.items()}


def wire(app: Flask) -> None:
    """Let templates name assets, and serve the service worker at the root, so that its scope is the whole site."""
    static = Path(app.root_path) / "static"
    manifest = read_manifest(static)
    app.jinja_env.globals["asset"] = manifest.__getitem__
    # A changed file has another name; the same name is the same bytes for ever.
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = _A_YEAR_S

    @app.get("/sw.js", endpoint="service_worker")
    @requires(Action.VISIT)
    def service_worker() -> Response:
        return send_from_directory(static, manifest["sw.js"].file, mimetype="text/javascript", max_age=0)
