"""By what a file of an import is known again, and what the import listed when it began.

An import that goes on takes in whatever is not in yet as it now stands: a file is known by its path, its size and the
time of its last change, so that another card at the same place, or a file that changed meanwhile, is not taken for one
that is in. Cards of cameras whose clock was never set may agree in all three; so, once the rest is in, what was known
by them is read again and compared. What was refused is tried again. What was listed and is gone is told. The list is
kept as MACs, beside the locks, until the import ends; its names stand sealed in the log.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from archive.catalogue.records import ImportFile
from archive.durable import remove_durably, storage_errors, write_durably
from archive.errors import InputError
from custody.canonical import Json
from ingest.entering import safe_text
from ingest.folder import FoundFile, Listing, SkippedPath, modified_text

_MAC = 32
_TIME = 16

Listed = tuple[tuple[bytes, bytes], ...]
"""Of each path that was listed, in the list's order: the MAC of the path, and that of the file as it was."""


class Macs:
    """Gives the MACs by which one import knows its files. `key` is the intake key."""

    def __init__(self, key: bytes, import_id: UUID) -> None:
        self._key = key
        self._import = import_id.bytes

    def file(self, file: FoundFile) -> bytes:
        """A file as it stands: another size or time at the same path is another file."""
        state = file.size.to_bytes(8, "big") + file.modified_ns.to_bytes(_TIME, "big", signed=True)
        return self._of(b"file", state + os.fsencode(file.path))

    def skipped(self, skip: SkippedPath) -> bytes:
        """What is not read, for that reason."""
        return self._of(b"skipped", skip.error.code.encode("ascii") + b"\0" + os.fsencode(skip.path))

    def again(self, before: bytes) -> bytes:
        """A file that was refused as `before`, and is tried again."""
        return self._of(b"again", before)

    def unlike(self, before: bytes, sha256: bytes) -> bytes:
        """A file that stands where `before` stood, and holds something else."""
        return self._of(b"unlike", before + sha256)

    def path(self, path: str) -> bytes:
        """A path, whatever stands there. Imports that were begun before 2026-11-28 know a file by this alone."""
        return self._of(b"path", os.fsencode(path))

    def whole_list(self, rows: bytes) -> bytes:
        """A list as it was kept: cut or damaged, it would say of what is gone that it never was there."""
        return self._of(b"list", rows)

    def _of(self, label: bytes, text: bytes) -> bytes:
        return _mac(self._key, label, self._import + text)


def source_mac(key: bytes, source: Path) -> bytes:
    """Give the value by which an unfinished import of the same source is found."""
    return _mac(key, b"source", os.fsencode(source))


def _mac(key: bytes, label: bytes, text: bytes) -> bytes:
    return hmac.digest(key, b"testigo " + label + b"\0" + text, hashlib.sha256)


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def told_list(listing: Listing) -> list[Json]:
    """Write for the log what a source held: closed values, in the order of the list."""
    files: list[Json] = [
        {"path": safe_text(file.path), "size": file.size, "modified": modified_text(file.modified_ns)}
        for file in listing.files
    ]
    return [*files, *({"path": safe_text(skip.path), "code": skip.error.code} for skip in listing.skipped)]


def keep_list(folder: Path, import_id: UUID, macs: Macs, listing: Listing) -> None:
    """Keep what an import listed, until it ends."""
    rows = b"".join(macs.path(file.path) + macs.file(file) for file in listing.files)
    rows += b"".join(macs.path(skip.path) + macs.skipped(skip) for skip in listing.skipped)
    write_durably(_path(folder, import_id), rows + macs.whole_list(rows))


def kept_list(folder: Path, import_id: UUID, macs: Macs) -> Listed | None:
    """Return what an import listed; None where that is not here whole: a damaged list, an import of an older version,
    or one out of a backup."""
    with storage_errors():
        try:
            kept = _path(folder, import_id).read_bytes()
        except FileNotFoundError:
            return None
    rows, mac = kept[:-_MAC], kept[-_MAC:]
    if not hmac.compare_digest(mac, macs.whole_list(rows)):
        return None
    starts = range(0, len(rows), 2 * _MAC)
    return tuple((rows[start : start + _MAC], rows[start + _MAC : start + 2 * _MAC]) for start in starts)


def drop_list(folder: Path, import_id: UUID) -> None:
    """Drop the list of an import that has ended, or was not begun."""
    remove_durably(_path(folder, import_id))


def _path(folder: Path, import_id: UUID) -> Path:
    return folder / f"import-{import_id}.listed"


# ── where an import stands ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What was listed and does not stand there any more as it was. `path` is empty where only the log has its name."""

    path: str
    mac: bytes
    error: InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What of a source is in, and what is not: `macs` by path, `ended` the paths that are done, `items` what became of
    those that are in.

    `seen` counts what is there now and what was there before; `list_is_here` is false where that cannot be told.
    """

    macs: Mapping[str, bytes]
    ended: frozenset[str]
    items: Mapping[str, UUID]
    gone: tuple[Gone, ...]
    seen: int
    list_is_here: bool


def stand(
    macs: Macs, listing: Listing, rows: Mapping[bytes, ImportFile], listed: Listed | None, names: Sequence[str]
) -> Standing:
    """Compare a source as it stands with what an import listed and what has ended.

    `names` are the paths of the list, in its order, where the log was opened for them; else none.
    """
    here = {file.path: _mac_of_file(macs, file, rows) for file in listing.files}
    here |= {skip.path: _mac_of_skipped(macs, skip, rows) for skip in listing.skipped}
    present, paths = set(here.values()), {macs.path(path): path for path in here}
    known = names if listed is not None and len(names) == len(listed) else ()
    gone = [
        Gone(path=paths.get(path, known[place] if known else ""), mac=mac, error=_gone())
        for place, (path, mac) in enumerate(listed or ())
        if mac not in present and mac not in rows
    ]
    before = {*rows, *(mac for _, mac in listed or ())}
    return Standing(
        macs=here,
        ended=frozenset(path for path, mac in here.items() if mac in rows),
        items={path: item for path, mac in here.items() if mac in rows and (item := rows[mac].item_id) is not None},
        gone=tuple(gone),
        seen=listing.seen + len(before - present),
        list_is_here=listed is not None,
    )


def _mac_of_file(macs: Macs, file: FoundFile, rows: Mapping[bytes, ImportFile]) -> bytes:
    """Give a file's MAC; the older one where an older version took the file in, as far as that can be told."""
    older = rows.get(macs.path(file.path))
    if older is not None and older.outcome != "refused" and older.size == file.size:
        return older.path_mac
    mac = macs.file(file)
    while mac in rows and rows[mac].outcome == "refused":
        mac = macs.again(mac)
    return mac


def _mac_of_skipped(macs: Macs, skip: SkippedPath, rows: Mapping[bytes, ImportFile]) -> bytes:
    older = rows.get(macs.path(skip.path))
    if older is not None and older.outcome == "refused" and older.code == skip.error.code:
        return older.path_mac
    return macs.skipped(skip)


def _gone() -> InputError:
    return InputError(
        "batch/gone",
        "It was listed when this import began, and is not there any more as it was. As it was it was not taken in; "
        "where something else stands at its path now, that is a file of its own. Look for it on the card.",
    )
