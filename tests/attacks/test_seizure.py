"""Whoever seizes the machine while it is locked finds none of what was told to it, in no file and in no spelling."""

import base64
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.archives import PASSPHRASE
from tests.way_in import AN_HOUR_AGO, SETTINGS, YEAR, Watcher, WayIn, command_line, environment

WHERE = ("content", "name", "folder", "title", "place", "custodian", "claim", "device", "reason", "metadata", "hold")


def _marker() -> str:
    """Make 32 octets that stand nowhere by chance."""
    return secrets.token_hex(16)


def spellings(marker: str) -> dict[str, bytes]:
    """Spell a marker in every way in which it may come to lie in a file."""
    plain = marker.encode()
    return {
        "utf-8": plain,
        "utf-16-le": marker.encode("utf-16-le"),
        "utf-16-be": marker.encode("utf-16-be"),
        "hex": plain.hex().encode(),
        "HEX": plain.hex().upper().encode(),
        **{f"base64+{shift}": _base64_inside(plain, shift) for shift in range(3)},
        "backwards": plain[::-1],
    }


def _base64_inside(plain: bytes, shift: int) -> bytes:
    """Give the part of a base64 text that stays the same whatever stands around, `shift` octets into a group."""
    encoded = base64.b64encode(bytes(shift) + plain)
    whole = (shift + len(plain)) // 3 * 4
    return encoded[(0, 4, 4)[shift] : whole]


@pytest.fixture
def told() -> dict[str, str]:
    return {where: _marker() for where in WHERE}


@pytest.fixture
def everything(told: dict[str, str]) -> list[bytes]:
    return [spelt for marker in told.values() for spelt in spellings(marker).values()]


@pytest.fixture
def watcher(tmp_path: Path, everything: list[bytes]) -> Watcher:
    """Made before anything happens, so that it knows what is new; it looks everywhere but at the source itself."""
    for folder in ("tmp", "user"):
        (tmp_path / folder).mkdir()
    return Watcher([tmp_path / "archive", tmp_path / "tmp", tmp_path / "user"], everything)


def _card(folder: Path, told: dict[str, str], *, files: int, octets: int) -> Path:
    """Make a card that carries a marker in content, in a name, in its folder's name and in metadata."""
    card = folder / f"card {told['folder']}"
    card.mkdir(exist_ok=True)
    for number in range(files):
        content = told["content"].encode() + os.urandom(octets) + told["content"].encode("utf-16-le")
        (card / f"{number:02} {told['name']}.bin").write_bytes(content)
    (card / f"{told['name']}.xmp").write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" rdf:about="">'
        f"<dc:title><rdf:Alt><rdf:li>{told['metadata']}</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    return card


def test_a_locked_archive_with_a_half_done_import_gives_none_of_what_it_was_told(
    tmp_path: Path, told: dict[str, str], watcher: Watcher
) -> None:
    home = tmp_path / "archive"
    with WayIn(home, settings=SETTINGS + "group_files = 2\n", now=AN_HOUR_AGO):
        pass
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    around = environment(
        home,
        TMPDIR=str(tmp_path / "tmp"),
        HOME=str(tmp_path / "user"),
        TESTIGO_PASSPHRASE_FILE=str(tmp_path / "passphrase"),
    )

    def run(*words: str) -> str:
        done = subprocess.run(command_line(*words), env=around, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    incident = run("incident", "new", "--title", told["title"], "--place", told["place"]).strip()
    card = _card(tmp_path, told, files=3, octets=50_000)
    manifest = tmp_path / "claims.csv"
    manifest.write_text(f"path,witness\n00 {told['name']}.bin,{told['claim']}\n")
    said = ("--custodian", told["custodian"], "--device", told["device"], "--reason", told["reason"])
    run("import", str(card), "-i", incident, *said, "--manifest", str(manifest))
    run("hold", "add", incident, "--title", told["hold"], "--trigger", "subpoena")
    run("unlock", "--minutes", "5")
    shown = run("show", f"E-{YEAR}-00001")
    assert told["name"] in shown
    assert told["claim"] in shown
    assert told["title"] in run("incident", "ls", "--titles", "--json")
    run("lock")
    _card(tmp_path, told, files=12, octets=3_000_000)
    tools = _kill_half_way(command_line("import", str(card), "-i", incident, "--json", *said), around)
    assert tools, "no tool was seen running"
    markers = [marker.encode() for marker in told.values()]
    assert not [arguments for arguments in tools if any(marker in arguments for marker in markers)]
    watcher.look()
    assert not watcher.found
    assert (home / "catalogue.sqlite-wal").exists(), "the import was not half done"
    # The search itself is tried: each spelling of each marker, planted, is found.
    everything = [spelt for marker in told.values() for spelt in spellings(marker).values()]
    planted = home / "run" / "planted"
    planted.write_bytes(b"\n".join(everything))
    watcher.look()
    assert watcher.found == {(str(planted), spelt) for spelt in everything}


def _kill_half_way(line: list[str], around: dict[str, str]) -> set[bytes]:
    """Run an import and kill it after its first files; return what its tools were told on their command lines."""
    with subprocess.Popen(line, env=around, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        reader = process.stdout.fileno()
        os.set_blocking(reader, False)
        seen: set[bytes] = set()
        output = b""
        deadline = time.monotonic() + 120
        while output.count(b'"outcome": "stored"') < 2 and process.poll() is None and time.monotonic() < deadline:
            # A child that has not begun its own program yet still shows its parent's line.
            own = set(_told_to(process.pid))
            seen |= {told for pid in _descendants(process.pid) for told in _told_to(pid)} - own
            with suppress(BlockingIOError):
                output += os.read(reader, 65536)
        process.send_signal(signal.SIGKILL)
    assert output.count(b'"outcome": "stored"') >= 2, output
    assert process.returncode == -signal.SIGKILL, output
    return seen


def _told_to(pid: int) -> Iterator[bytes]:
    """Give what everyone on the machine can read of a process: its arguments, and its user its environment."""
    for name in ("cmdline", "environ"):
        try:
            # In one read: a process that begins another program between two reads would show the parts of both.
            with Path(f"/proc/{pid}/{name}").open("rb", buffering=0) as file:
                octets = file.read(1 << 20)
        except OSError:
            continue
        # The archive's own variables name files of the test, in a folder of the test.
        yield b"\0".join(part for part in octets.split(b"\0") if not part.startswith(b"TESTIGO_"))


def _descendants(pid: int) -> Iterator[int]:
    children: list[int] = []
    with suppress(OSError):  # It, or a thread of it, has ended.
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            children += map(int, task.read_text().split())
    for child in children:
        yield child
        yield from _descendants(child)
