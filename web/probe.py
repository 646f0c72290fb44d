"""Where `testigo doctor --url` sends its test octets: counted as they come, and nothing of them kept.

Whoever runs a proxy in front learns with it whether uploads would go through as they come. A probe has a name that only
its sender knows; the counts of the last ones are in memory alone.
"""

from flask import Blueprint, Response, jsonify, request

from archive.access import Action
from archive.errors import InputError, NotFoundError
from web.body import Body, BrokenOffError
from web.client import token_octets
from web.rooms import probes
from web.security import proves_itself, requires

blueprint = Blueprint("probe", __name__, url_prefix="/probe")

MOST_OCTETS = 8 << 20
_PIECE = 64 << 10


@blueprint.post("/<name>")
@requires(Action.VISIT)
@proves_itself
def send(name: str) -> Response:
    """Count the octets of a probe as they come."""
    if token_octets(name) is None:
        raise NotFoundError("web/no-such-page", "There is no such probe.")
    total = 0
    probes().add(name, 0)
    with Body(request.environ) as body:
        try:
            while data := body.read(_PIECE):
                total += len(data)
                if total > MOST_OCTETS:
                    raise InputError("web/probe-too-large", "A probe is smaller than this. Nothing was kept.")
                probes().add(name, len(data))
        except BrokenOffError:
            return Response(status=408)
    return jsonify(ok=True, octets=total)


@blueprint.get("/<name>")
@requires(Action.VISIT)
def look(name: str) -> Response:
    found = probes().count(name)
    if found is None:
        raise NotFoundError("web/no-such-page", "There is no such probe.")
    return jsonify(ok=True, octets=found)
