"""Let links and bookmarks of a PDF go to their places themselves, so that nobody needs the places' names. No I/O.

Standard: ISO 32000-1, 12.3.2 (destinations), 7.9.6 (name trees).
"""

from collections.abc import Sequence

from pikepdf import Array, Dictionary, Name, Object, Pdf, String

_DEEPEST = 32


def name_no_places(pdf: Pdf, dictionaries: Sequence[Object]) -> None:
    """Put each place where its name stood; a name of no place goes with what it stood in."""
    places = _places(pdf.Root)
    for each in dictionaries:
        for key, where in (("/Dest", each), ("/D", each)):
            named = where.get(key)
            if key == "/D" and each.get("/S") != Name.GoTo:
                continue
            if isinstance(named, Name | String):
                place = places.get(str(named))
                if place is None:
                    del where[key]
                else:
                    where[key] = place


def _places(root: Object) -> dict[str, Object]:
    found: dict[str, Object] = {}
    old = root.get("/Dests")
    if isinstance(old, Dictionary):
        for name in old.keys():  # noqa: SIM118  # pikepdf iterates otherwise
            _take(found, name, old[name])
    names = root.get("/Names")
    if isinstance(names, Dictionary) and isinstance(names.get("/Dests"), Dictionary):
        _read_tree(found, names.Dests, _DEEPEST)
    return found


def _read_tree(found: dict[str, Object], node: Object, deep: int) -> None:
    pairs = node.get("/Names")
    if isinstance(pairs, Array):
        for at in range(0, len(pairs) - 1, 2):
            _take(found, str(pairs[at]), pairs[at + 1])
    kids = node.get("/Kids")
    if isinstance(kids, Array) and deep:
        for kid in kids:
            if isinstance(kid, Dictionary):
                _read_tree(found, kid, deep - 1)


def _take(found: dict[str, Object], name: str, place: object) -> None:
    """A place is an array, or a dictionary that holds one."""
    inner = place.get("/D") if isinstance(place, Dictionary) else place
    if isinstance(inner, Array):
        found.setdefault(name, Array(list(inner)))
