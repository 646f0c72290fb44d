"""How the files of an import are cut into groups, each of which is prepared, committed and published as one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import BinaryIO

from archive.errors import InputError
from archive.settings import IngestSettings
from ingest.folder import FoundFile, Listing, modified_text, open_source_file
from ingest.listed import Standing
from ingest.progress import Tally
from ingest.reception import Arrival
from ingest.reconciliation import ImportRequest

_SMALL_GROUP = 8


def groups_of(
    listing: Listing, request: ImportRequest, standing: Standing, tally: Tally, settings: IngestSettings
) -> Iterator[tuple[list[Arrival], int]]:
    """Cut the listing into groups and tell their octets; companions share a group with their main file.

    They grow, so that the tools have work while the next is sealed, and shrink, so that little waits at the end.
    """
    group: list[Arrival] = []
    left = sum(1 for file in listing.files if file.path not in standing.ended)
    most = min(_SMALL_GROUP, settings.group_files)
    places: dict[str, int] = {}
    octets = 0
    for file in listing.files:
        if file.path in standing.ended:
            continue
        full = len(group) >= most or octets + file.size > settings.group_octets
        if group and full and file.main not in places:
            yield group, octets
            group, places, octets = [], {}, 0
            most = min(2 * most, max(_SMALL_GROUP, left // 4), settings.group_files)
        places[file.path] = len(group)
        main = places.get(file.main) if file.main else None
        arriving = _arrival(request, file, standing.macs[file.path], main, partial(tally.read, file.path))
        main_item = standing.items.get(file.main) if file.main and main is None else None
        group.append(replace(arriving, main_item=main_item))
        octets += file.size
        left -= 1
    group += [
        _refused(skip.path, standing.macs[skip.path], skip.error)
        for skip in listing.skipped
        if skip.path not in standing.ended
    ]
    group += [_refused(gone.path, gone.mac, gone.error) for gone in standing.gone]
    if group:
        yield group, octets


def _arrival(
    request: ImportRequest, file: FoundFile, mac: bytes, main: int | None, heard: Callable[[int], None]
) -> Arrival:
    return Arrival(
        open=lambda: open_source_file(request.source, file, heard),
        untrusted_name=file.path.rpartition("/")[2],
        untrusted_path=file.path,
        path_mac=mac,
        claims={**request.claims.get(file.path, {}), "file_modified": modified_text(file.modified_ns)},
        main=main,
    )


def _refused(path: str, mac: bytes, error: InputError) -> Arrival:
    return Arrival(open=_refusing(error), untrusted_name=path.rpartition("/")[2], untrusted_path=path, path_mac=mac)


def _refusing(error: InputError) -> Callable[[], BinaryIO]:
    def refuse() -> BinaryIO:
        raise error

    return refuse
