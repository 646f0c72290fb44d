"""What `testigo doctor` looks at; every finding is a value with its reason."""

import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from archive.errors import TestigoError
from archive.places import lies_in
from cli import Rooms
from commands.talk import counted, octets
from media.confinement import probe_confinement
from media.options import MediaSettings

_TOOLS = {
    "exiftool": "libimage-exiftool-perl",
    "ffprobe": "ffmpeg",
    "ffmpeg": "ffmpeg",
    "bwrap": "bubblewrap",
}


class Verdict(StrEnum):
    GOOD = "good"
    NOTE = "note"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One thing looked at."""

    check: str
    verdict: Verdict
    words: str


def examine(rooms: Rooms) -> list[Checked]:
    """Look at everything; never stop at the first problem."""
    found: list[Checked] = []
    for check in _CHECKS:
        found += check(rooms)
    return found


def _checked(check: str, good: bool, words: str, *, otherwise: Verdict = Verdict.FAIL) -> Checked:
    return Checked(check=check, verdict=Verdict.GOOD if good else otherwise, words=words)


def _tools(_rooms: Rooms) -> Iterator[Checked]:
    for tool, package in _TOOLS.items():
        path = shutil.which(tool)
        yield _checked(tool, path is not None, path or f"not found: install the Debian package {package}")


def _confinement(rooms: Rooms) -> Iterator[Checked]:
    from archive.settings import Confinement

    alone = rooms.settings.media.confinement is Confinement.RLIMITS_ONLY
    status = probe_confinement(MediaSettings(rlimits_only=alone, run_as=rooms.settings.media.run_as))
    verdict = (
        Verdict.FAIL if status.level is None else Verdict.NOTE if status.level.value != "bubblewrap" else Verdict.GOOD
    )
    yield Checked(check="confinement", verdict=verdict, words=str(status.reason or status.level))


def _swap(_rooms: Rooms) -> Iterator[Checked]:
    """Refuse swap that is not encrypted: keys and plaintext in memory may be written there."""
    try:
        lines = Path("/proc/swaps").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        yield _checked("swap", False, "cannot tell whether this machine swaps", otherwise=Verdict.NOTE)
        return
    open_swap = [line.split()[0] for line in lines if not _is_encrypted(line.split()[0])]
    if open_swap:
        yield _checked("swap", False, "unencrypted swap is on: turn it off (`swapoff -a`) or encrypt it")
    else:
        yield _checked("swap", True, "no swap" if not lines else "encrypted")
    resume = Path("/sys/power/resume")
    hibernates = resume.is_file() and resume.read_text(encoding="ascii").strip() not in ("0:0", "")
    yield _checked("hibernation", not hibernates, "may write memory to disk: turn it off" if hibernates else "off")


def _is_encrypted(device: str) -> bool:
    name = os.path.realpath(device)
    try:
        uuid = Path(f"/sys/block/{Path(name).name}/dm/uuid").read_text(encoding="ascii")
    except OSError:
        return Path(name).name.startswith("zram")
    return uuid.startswith("CRYPT-")


def _memory_lock(_rooms: Rooms) -> Iterator[Checked]:
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    enough = os.geteuid() == 0 or limit == resource.RLIM_INFINITY or limit >= 1 << 28
    words = "the key agent can keep its memory out of swap"
    yield _checked(
        "memory lock", enough, words if enough else "limited: raise memlock for this user", otherwise=Verdict.NOTE
    )


def _disk(rooms: Rooms) -> Iterator[Checked]:
    place = next(path for path in (rooms.home, *rooms.home.parents) if path.exists())
    free = shutil.disk_usage(place).free
    reserve = rooms.settings.ingest.reserve_mib << 20
    yield _checked("disk", free > reserve, f"{octets(free)} free; {octets(reserve)} are kept back for the log")


def _home(rooms: Rooms) -> Iterator[Checked]:
    if not rooms.home.exists():
        yield _checked("archive", False, "none here yet: `testigo init`", otherwise=Verdict.NOTE)
        return
    closed = not rooms.home.stat().st_mode & 0o077
    yield _checked(
        "archive's folder", closed, "for its owner only" if closed else f"open to others: chmod 700 {rooms.home}"
    )


def _places(rooms: Rooms) -> Iterator[Checked]:
    try:
        places = rooms.places
    except TestigoError as error:
        yield Checked(check="places", verdict=Verdict.FAIL, words=error.message)
        return
    elsewhere = [str(each) for each in (places.store, places.keys) if not lies_in(each, places.home)]
    words = f"also outside the archive's folder: {', '.join(elsewhere)}" if elsewhere else "all in the archive's folder"
    yield Checked(check="places", verdict=Verdict.GOOD, words=words)


def _authorities(rooms: Rooms) -> Iterator[Checked]:
    """Say of each time-stamp authority that the settings name whether it can be asked and its word be judged."""
    if not rooms.settings.custody.authorities:
        words = "no authority is named (custody.authorities): nobody outside the archive attests its times"
        yield Checked(check="time-stamps", verdict=Verdict.NOTE, words=words)
    for authority in rooms.authorities:
        yield _checked(f"authority {authority.name}", True, "its root certificates are here")
    for name, error in rooms.unusable_authorities.items():
        told = "; ".join(f"{key}: {value}" for key, value in error.evidence.items() if key != "authority")
        yield Checked(check=f"authority {name}", verdict=Verdict.FAIL, words=f"{error.message} {told}")


def _clock(rooms: Rooms) -> Iterator[Checked]:
    if not rooms.catalogue_path.is_file():
        return

    def look() -> str:
        return f"after the last checkpoint; log of {counted(rooms.ledger.size(), 'entry', 'entries')}"

    yield _try("clock", look, rooms)


def _try(check: str, look: Callable[[], str], rooms: Rooms) -> Checked:
    try:
        with rooms.ledger.transaction():
            words = look()
    except TestigoError as error:
        return Checked(check=check, verdict=Verdict.FAIL, words=error.message)
    return Checked(check=check, verdict=Verdict.GOOD, words=words)


def _agent(rooms: Rooms) -> Iterator[Checked]:
    if not rooms.catalogue_path.is_file():
        return
    status = rooms.agent.status()
    words = "locked (the resting state)" if status is None else f"unlocked until {status.until:%H:%M} UTC"
    yield _checked("key agent", True, words)


def _languages(_rooms: Rooms) -> Iterator[Checked]:
    from web.languages import LANGUAGES, adopted_by

    drafts = [name for code, name in LANGUAGES.items() if adopted_by(code) is None]
    words = (
        f"drafts that no native reader has adopted: {', '.join(drafts)}. A wrong word about consent or safety does harm"
        if drafts
        else "each was adopted by a named native reader"
    )
    yield _checked("languages", not drafts, words, otherwise=Verdict.NOTE)


def _speed(_rooms: Rooms) -> Iterator[Checked]:
    block = bytes(1 << 24)
    started = time.perf_counter()
    sha256(block).digest()
    seconds = time.perf_counter() - started
    yield _checked("speed", True, f"SHA-256 runs at {16 / seconds:.0f} MiB/s here; imports follow it")


_CHECKS = (
    _tools,
    _confinement,
    _swap,
    _memory_lock,
    _disk,
    _home,
    _places,
    _authorities,
    _clock,
    _agent,
    _languages,
    _speed,
)
