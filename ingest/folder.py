"""Reading a folder, card or phone dump without changing it: what is there, what belongs together, what is refused.

What it knows: only regular files are read, each opened without following a link and without touching its access time;
links, devices, pipes and sockets are refused by name; nothing is unpacked. What belongs together (a live photo's two
halves, an XMP beside its picture, a ProofMode proof beside its file) stays together.
"""

import errno
import io
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from archive.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_DEEPEST = 64
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_STILLS = frozenset({".heic", ".heif", ".jpg", ".jpeg"})
_MOVING = frozenset({".mov", ".mp4"})
_SIDECARS = (".xmp", ".aae", ".thm", ".proof.json", ".proof.csv", ".asc", ".ots", ".gst", ".devicecheck")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A regular file as the folder shows it. `path` is relative to the source and untrusted; `main` is the path of the
    file that this one is a companion of."""

    path: str
    size: int
    modified_ns: int
    main: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedPath:
    """Something in the folder that is not read, and why."""

    path: str
    error: InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All that lies in a source, in a fixed order; companions stand right behind what they belong to.

    `seen` is how many paths the walk came upon, counted before anything was put in order.
    Raises: IntegrityError `batch/listing-differs` where the list does not hold each of them once.
    """

    files: tuple[FoundFile, ...]
    skipped: tuple[SkippedPath, ...]
    mounted_read_only: bool
    seen: int

    def __post_init__(self) -> None:
        paths = [file.path for file in self.files] + [skip.path for skip in self.skipped]
        if not self.seen == len(paths) == len(set(paths)):
            raise IntegrityError(
                "batch/listing-differs",
                "What was found in the source and what would be taken in are not the same number of files. Nothing "
                "more was imported. Keep the source as it is, and report this with the two numbers.",
                evidence={"found": self.seen, "listed": len(paths), "under different names": len(set(paths))},
            )

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def list_source(source: Path, *, max_file_octets: int, never: Sequence[Path] = ()) -> Listing:
    """List a folder (or take one file by itself) without opening any of its files.

    `never` are folders that are refused wherever they are mounted in the source: the archive's own.
    Raises: as `look_at`; InputError `batch/nothing-there`.
    """
    state, read_only = look_at(source)
    files: list[FoundFile] = []
    skipped: list[SkippedPath] = []
    if stat.S_ISREG(state.st_mode):
        files.append(FoundFile(path=source.name, size=state.st_size, modified_ns=state.st_mtime_ns))
    else:
        for found in _walk(source, "", 0, _marks(never)):
            if isinstance(found, FoundFile):
                files.append(found)
            else:
                skipped.append(found)
    seen = len(files) + len(skipped)
    if not seen:
        raise InputError(
            "batch/nothing-there",
            "Nothing lies there: no file in that folder or below it. Nothing was imported. Is the card mounted? "
            "`findmnt` shows what is.",
        )
    fitting = [file for file in files if file.size <= max_file_octets]
    skipped += [_refuse(file.path, "ingest/too-large") for file in files if file.size > max_file_octets]
    return Listing(files=tuple(put_in_order(fitting)), skipped=tuple(skipped), mounted_read_only=read_only, seen=seen)


def look_at(source: Path) -> tuple[os.stat_result, bool]:
    """Return what a source is, a folder or a file that can be opened, and whether its medium is mounted read-only.

    Raises: InputError `batch/no-such-source`, `batch/source-unreadable`, `batch/source-not-a-file`.
    """
    try:
        state = source.stat()
        read_only = bool(os.statvfs(source).f_flag & os.ST_RDONLY)
        if stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode):
            os.close(os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
            return state, read_only
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            "batch/no-such-source",
            "There is nothing at that path. Nothing was imported. Check that the card is in and the path is right.",
        ) from error
    except (OSError, ValueError) as error:
        raise _source_unreadable(error) from error
    raise InputError(
        "batch/source-not-a-file",
        "The source is neither a folder nor a file. Nothing was imported. Mount a device first, read-only, and name "
        "the folder that it is mounted on.",
    )


def _source_unreadable(error: Exception) -> InputError:
    return InputError(
        "batch/source-unreadable",
        "The source cannot be read. Nothing was imported. Check the card, its reader, and that this account may "
        "read it.",
        evidence={"cause": str(error)},
    )


def _unheard(_octets: int) -> None: ...


def open_source_file(source: Path, file: FoundFile, heard: Callable[[int], None] = _unheard) -> BinaryIO:
    """Open one listed file for reading, refusing anything that has taken its place since it was listed.

    `heard` hears of the octets as they are read; what it raises ends the reading.
    Raises: InputError `batch/unreadable`, `batch/changed`.
    """
    try:
        descriptor = _open_below(source, file.path) if source.is_dir() else _open_quietly(source, None)
    except OSError as error:
        raise _unreadable(error) from error
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode) or (state.st_size, state.st_mtime_ns) != (file.size, file.modified_ns):
        os.close(descriptor)
        raise _changed()
    return cast(BinaryIO, SourceFile(descriptor, file, heard))


class SourceFile(io.RawIOBase):
    """A file of the source being read once; at its end it must still be the file that was listed."""

    def __init__(self, descriptor: int, file: FoundFile, heard: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._file = file
        self._heard = heard
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        try:
            count = os.readv(self._descriptor, [buffer])
        except OSError as error:
            raise _unreadable(error) from error
        if count == 0 and len(memoryview(buffer)):
            state = os.fstat(self._descriptor)
            if (state.st_size, state.st_mtime_ns) != (self._file.size, self._file.modified_ns):
                raise _changed()
        self._heard(count)
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def modified_text(modified_ns: int) -> str:
    """Write the time that a file system gives a file, as UTC and with all its digits; it is a claim like any other."""
    seconds, rest = divmod(modified_ns, 1_000_000_000)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{modified_ns} nanoseconds since 1970"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def _open_below(source: Path, relative: str) -> int:
    """Open a file below the source, step by step, so that no folder on the way can have become a link elsewhere."""
    *folders, name = relative.split("/")
    folder = os.open(source, _FOLDER)
    try:
        for each in folders:
            deeper = os.open(each, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = deeper
        return _open_quietly(name, folder)
    finally:
        os.close(folder)


def _open_quietly(path: str | Path, folder: int | None) -> int:
    """Open without following a link, without waiting on a pipe and, where allowed, without touching the access time."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags | os.O_NOATIME, dir_fd=folder)
    except PermissionError:
        return os.open(path, flags, dir_fd=folder)  # Only a file's owner may ask for O_NOATIME.


def _marks(folders: Sequence[Path]) -> frozenset[tuple[int, int]]:
    """By what a folder is known whatever path leads to it; one that is not there cannot be met."""
    states = [folder.stat() for folder in folders if folder.is_dir()]
    return frozenset((state.st_dev, state.st_ino) for state in states)


def _walk(
    source: Path, relative: str, depth: int, never: frozenset[tuple[int, int]]
) -> Iterator[FoundFile | SkippedPath]:
    if depth > _DEEPEST:
        yield _refuse(relative, "batch/too-deep")
        return
    try:
        with os.scandir(source / relative) as entries:
            ordered = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        if not relative:  # The card itself does not tell what is on it.
            raise _source_unreadable(error) from error
        yield _refuse(relative, "batch/unreadable")
        return
    for entry in ordered:
        path = f"{relative}/{entry.name}" if relative else entry.name
        try:
            state = entry.stat(follow_symlinks=False)
        except OSError:
            yield _refuse(path, "batch/unreadable")
            continue
        if (state.st_dev, state.st_ino) in never:
            yield _refuse(path, "batch/own-folder")
        elif stat.S_ISDIR(state.st_mode):
            yield from _walk(source, path, depth + 1, never)
        elif stat.S_ISREG(state.st_mode):
            yield FoundFile(path=path, size=state.st_size, modified_ns=state.st_mtime_ns)
        else:
            yield _refuse(path, "batch/symbolic-link" if stat.S_ISLNK(state.st_mode) else "batch/not-a-file")


def put_in_order(files: list[FoundFile]) -> Iterator[FoundFile]:
    """Give every file once and in order, each companion right behind its main file."""
    mains = _main_of({file.path for file in files})
    behind: dict[str, list[FoundFile]] = defaultdict(list)
    for file in files:
        if file.path in mains:
            main = mains[file.path]
            behind[main].append(FoundFile(path=file.path, size=file.size, modified_ns=file.modified_ns, main=main))
    for file in files:
        if file.path not in mains:
            yield file
            yield from behind[file.path]


def _main_of(paths: set[str]) -> dict[str, str]:
    """Tell which file each companion belongs to, by the naming habits of phones, cameras and ProofMode.

    Companions have companions (a signature of a proof of a film of a live photo): all stand behind the first of them.
    """
    by_stem: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in sorted(paths):
        pure = PurePosixPath(path)
        by_stem[(str(pure.parent), pure.stem.casefold())].append(path)
    nearest = {path: main for path in sorted(paths) if (main := _nearest(path, paths, by_stem)) is not None}
    return {path: _root(path, nearest) for path in nearest}


def _nearest(path: str, paths: set[str], by_stem: dict[tuple[str, str], list[str]]) -> str | None:
    """Tell which file a companion stands next to by its name; that may be a companion, too."""
    pure = PurePosixPath(path)
    # Not case folding, which makes some characters longer, so that more would be cut off than the ending.
    name = pure.name.lower()
    suffix = next((s for s in _SIDECARS if name.endswith(s) and len(name) > len(s)), None)
    if suffix is not None:
        bare = path[: -len(suffix)]
        if bare in paths:
            return bare
        stem = by_stem[(str(pure.parent), PurePosixPath(bare).name.casefold())]
        return next((other for other in stem if not other.lower().endswith(_SIDECARS)), None)
    if pure.suffix.lower() in _MOVING:
        twins = by_stem[(str(pure.parent), pure.stem.casefold())]
        return next((twin for twin in twins if PurePosixPath(twin).suffix.lower() in _STILLS), None)
    return None


def _root(path: str, nearest: dict[str, str]) -> str:
    """Follow companions to the file that is none. This ends: each step drops an ending, or leads from film to photo."""
    while path in nearest:
        path = nearest[path]
    return path


_WHY = {
    "batch/symbolic-link": "A symbolic link is not followed: what it points to may lie outside the source.",
    "batch/not-a-file": "A device, pipe or socket is not a file and is not read.",
    "batch/own-folder": "This folder is the archive's own, mounted here too. Its keys are no evidence.",
    "batch/unreadable": "The file or folder could not be read. It is untouched; try another card reader.",
    "batch/too-deep": f"Folders nested deeper than {_DEEPEST} are not walked.",
    "ingest/too-large": "The file is larger than the settings allow (`ingest.max_file_octets`). It is untouched.",
}


def _refuse(path: str, code: str) -> SkippedPath:
    return SkippedPath(path=path, error=InputError(code, _WHY[code]))


def _unreadable(error: OSError) -> InputError:
    return InputError(
        "batch/unreadable", _WHY["batch/unreadable"], evidence={"errno": errno.errorcode.get(error.errno or 0, "?")}
    )


def _changed() -> InputError:
    return InputError(
        "batch/changed",
        "The file changed while it was being read or since it was listed. It was not taken in; import it again when "
        "nothing writes to the source any more.",
    )
