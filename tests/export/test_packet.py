"""What a packet holds: an independent short check, others' tools, the index, the page for people, the command line."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from archive.age.recipients import KeyKind, generate_identity
from archive.catalogue.items import objects_of
from archive.catalogue.records import Item
from cli import main
from export import packet_verifier
from export.index import harmless_cell, plain
from export.packet import verifier_source
from tests.export.packet_archive import Arrived, PacketArchive, sample, verify

HOSTILE = '=cmd|"/c calc"!A1<script>alert(1)</script>\u202egpj.exe\x1b[2J\nnext.jpg'
TOLD = {
    "times": [{"source": "EXIF:DateTimeOriginal", "raw": "2026:11:21 05:40:11", "utc": None}],
    "places": [{"source": "GPS:GPSLatitude", "raw": "34.0622, -118.2774", "latitude": "34.0622"}],
    "devices": [{"kind": "make", "source": "IFD0:Make", "raw": "Apple"}],
}


@pytest.fixture(scope="module")
def built(archive: PacketArchive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Item]]]:
    """One packet of three items that an access has named together, one of them with a hostile name."""
    files = [
        sample("Documents/a-text.pdf", embedded=TOLD, sender={"said by": "+1 213 555 0100"}),
        Arrived(name=HOSTILE, content=os.urandom(700), report=None),
        Arrived(name="증언 señora.txt", content="Declaración".encode() * 99),
    ]
    items = archive.take_in(archive.incident(), files)
    archive.touch(items)
    folder = tmp_path_factory.mktemp("packets") / "packet"
    archive.build(folder, items)
    yield folder, items


# ── by other means than our own ──────────────────────────────────────────────────────────────────────────────────────


def short_check(folder: Path) -> list[str]:
    """The format's promises once more, with json and hashlib alone; return what does not hold."""
    wrong = []
    for name in ("sha256", "sha512"):
        for line in (folder / f"manifest-{name}.txt").read_text().splitlines():
            digest, _, path = line.partition("  ")
            if hashlib.new(name, (folder / path).read_bytes()).hexdigest() != digest:
                wrong.append(path)
    note = (folder / "metadata/checkpoint").read_bytes()
    root = base64.b64decode(note.split(b"\n")[2])
    size = int(note.split(b"\n")[1])
    packet = json.loads((folder / "metadata/packet.json").read_bytes())
    runs: dict[str, list[tuple[int, str | None, str, int]]] = {}
    received = {}
    for line in (folder / "metadata/custody-log.jsonl").read_text().splitlines():
        record = json.loads(line)
        leaf = json.loads(record["leaf"])
        reached = hashlib.sha256(b"\0" + record["leaf"].encode()).digest()
        for text in record["disclosures"]:
            closed = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            if closed not in leaf["_sd"]:
                wrong.append(f"disclosure in {leaf['seq']}")
            _, name, value = json.loads(base64.urlsafe_b64decode(text + "=="))
            if name == "run":
                entry = (value["number"], value["previous"], reached.hex(), leaf["seq"])
                runs.setdefault(value["item"], []).append(entry)
            if name == "fixity" and value["stage"] == "receipt":
                received[value["item"]] = (value["sha256"], value["size"])
            if name == "packet":
                stated = hashlib.sha512((folder / "manifest-sha512.txt").read_bytes()).hexdigest()
                if value["payload_manifest_sha512"] != stated or leaf["seq"] != packet["release"]:
                    wrong.append("release")
        proof = (folder / f"metadata/proofs/{leaf['seq']}.tlog-proof").read_bytes()
        hashes = [base64.b64decode(text) for text in proof.partition(b"\n\n")[0].split(b"\n")[2:]]
        if climb(reached, leaf["seq"], size, hashes) != root or not proof.endswith(b"\n\n" + note):
            wrong.append(f"proof of {leaf['seq']}")
    for exhibit in packet["items"]:
        run = sorted(runs[exhibit["item"]])
        chain = [None, *(entry[2] for entry in run)]
        if [entry[:2] for entry in run] != [(n + 1, chain[n]) for n in range(len(run))]:
            wrong.append(f"run of {exhibit['number']}")
        if run[-1][3] != packet["release"] or received[exhibit["item"]] != (exhibit["sha256"], exhibit["size"]):
            wrong.append(exhibit["number"])
    return wrong


def climb(reached: bytes, index: int, size: int, hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1.1, the other way round: which half holds the entry tells on which side each hash goes."""
    if size == 1:
        return reached
    half = 1 << ((size - 1).bit_length() - 1)
    *below, last = hashes
    if index < half:
        left, right = climb(reached, index, half, below), last
    else:
        left, right = last, climb(reached, index - half, size - half, below)
    return hashlib.sha256(b"\x01" + left + right).digest()


def test_a_short_check_with_json_and_hashlib_finds_nothing_wrong(built: tuple[Path, list[Item]]) -> None:
    assert short_check(built[0]) == []


def test_the_library_of_congress_bag_tool_finds_the_packet_valid(built: tuple[Path, list[Item]]) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "bagit", "--validate", str(built[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "is valid" in done.stderr) == (0, True), done.stderr


def test_the_verifier_in_the_packet_is_the_one_of_the_archive_byte_for_byte(built: tuple[Path, list[Item]]) -> None:
    inside = (built[0] / "verify.py").read_bytes()
    assert inside == Path(packet_verifier.__file__).read_bytes() == verifier_source()
    assert hashlib.sha256(inside).hexdigest() in (built[0] / "verify.txt").read_text(encoding="utf-8")


# ── the index ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_spreadsheet_has_a_row_for_each_exhibit_and_not_one_formula(built: tuple[Path, list[Item]]) -> None:
    folder, items = built
    text = (folder / "data/index.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert [row["Exhibit"] for row in rows] == [item.number for item in items]
    for row in rows:
        assert hashlib.sha256((folder / row["File"]).read_bytes()).hexdigest() == row["SHA-256"]
        assert hashlib.sha512((folder / row["File"]).read_bytes()).hexdigest() == row["SHA-512"]
        assert not any(cell.lstrip().startswith(tuple("=+-@|%\t\r\n")) for cell in row.values())
    assert rows[0]["Times (claimed)"] == "2026:11:21 05:40:11 [EXIF:DateTimeOriginal]"
    assert rows[0]["Devices (claimed)"] == "make Apple [IFD0:Make]"
    assert rows[2]["Original name (claimed)"] == "증언 señora.txt"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "  =1", "|a", "%a", "\uff1d1", "\n=1"])
def test_no_text_becomes_a_formula(text: str) -> None:
    assert not harmless_cell(text).lstrip().startswith(("=", "+", "-", "@", "|", "%", "\uff1d", "\t", "\n"))


def test_the_index_for_programs_holds_the_name_exactly_as_it_came(built: tuple[Path, list[Item]]) -> None:
    index = json.loads((built[0] / "data/index.json").read_bytes())
    assert [one["claimed"]["original_name"] for one in index["exhibits"]] == [
        "a-text.pdf",
        HOSTILE,
        "증언 señora.txt",
    ]
    assert index["exhibits"][0]["claimed"]["embedded"] == TOLD
    assert "Nobody has checked them" in index["note"]


def test_where_there_is_no_metadata_the_file_says_so(built: tuple[Path, list[Item]]) -> None:
    folder, items = built
    note = json.loads((folder / f"data/metadata/{items[1].number}.json").read_bytes())
    assert "No metadata report" in note["note"]
    assert note["extraction"]["outcome"] == "nothing"
    assert json.loads((folder / f"data/metadata/{items[0].number}.json").read_bytes())[0]["ExifTool:ExifToolVersion"]


def test_no_name_in_a_packet_comes_from_outside(built: tuple[Path, list[Item]]) -> None:
    folder, items = built
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    ours = re.compile(
        r"data/(exhibits|metadata)/E-2026-\d{5}\.[a-z0-9]+|data/index\.(csv|json)|(tag)?manifest-sha(256|512)\.txt"
        r"|bagit\.txt|bag-info\.txt|verify\.(py|txt)|read-me-first\.html|metadata/(packet\.json|custody-log\.jsonl"
        r"|checkpoint|verifier-keys|proofs/\d+\.tlog-proof)"
    )
    assert not [name for name in names if not ours.fullmatch(name)]
    assert f"data/exhibits/{items[1].number}.jpg" in names


# ── the page for people ──────────────────────────────────────────────────────────────────────────────────────────────


class Page(HTMLParser):
    """Collects what a reader would get: elements, links, text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(built: tuple[Path, list[Item]]) -> Page:
    read = Page()
    read.feed((built[0] / "read-me-first.html").read_text(encoding="utf-8"))
    read.text = " ".join(read.text.split())
    return read


def test_the_page_says_what_is_proved_what_is_claimed_and_what_is_not_known(page: Page) -> None:
    for words in (
        "What is proved",
        "What is only claimed",
        "What is not known",
        "From the moment of recording to that moment no software can speak.",
        "a declaration of the person who filmed",
        "Testigo never signs a certificate",
        "is the act of a qualified person",
        "Time-stamp pending.",
        "A. Ortiz, counsel",
    ):
        assert words in page.text


def test_the_page_runs_nothing_and_fetches_nothing(page: Page, built: tuple[Path, list[Item]]) -> None:
    assert not {"script", "iframe", "object", "embed", "img", "link", "form", "base"} & set(page.elements)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("style", "src")]
    links = [value or "" for name, value in page.attributes if name == "href"]
    assert all(link.startswith("#") or (built[0] / link).is_file() for link in links)
    assert "<U+202E>gpj.exe<U+001B>" in page.text
    assert "\u202e" not in page.text


def test_the_page_is_made_for_readers_of_every_kind(page: Page) -> None:
    assert page.elements.count("h1") == page.elements.count("main") == page.elements.count("title") == 1
    assert ("lang", "en") in page.attributes
    heads = sum(name == "scope" for name, _ in page.attributes)
    assert heads == page.elements.count("th")


def test_invisible_characters_are_shown_as_what_they_are() -> None:
    assert plain("a\u202eb\x00c\u2028d") == "a<U+202E>b<U+0000>c<U+2028>d"
    assert plain("ক্\u200dষ") == "ক্\u200dষ"
    assert plain("x" * 9, 4) == "xxxx…"


# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────


def run(archive: PacketArchive, *arguments: object) -> Result:
    """Run `testigo packet` over this archive, at the archive's own time."""
    line = ["packet", *map(str, arguments), "--home", str(archive.home)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cli.utc_now", archive.clock)
        return CliRunner().invoke(main, line, catch_exceptions=False)


def test_the_command_builds_in_clear_with_a_warning_and_checks(
    archive: PacketArchive, built: tuple[Path, list[Item]], tmp_path: Path
) -> None:
    number = built[1][0].number
    line = ("build", number, "--to", "A. Ortiz", "--basis", "client file", tmp_path / "packet")
    done = run(archive, *line)
    assert done.exit_code == 0, done.output
    assert "WARNING: The packet was written IN CLEAR" in done.stderr
    assert "--seal-to" in done.stderr
    assert "PENDING" in done.stdout
    assert "The settings name none to ask" in done.stdout, "no worker will ever get a time-stamp"
    assert "python3 -I verify.py" in done.stdout
    assert verify(tmp_path / "packet")[0] == 3
    key = str(archive.rooms.publisher.verifier_keys[0])
    checked = run(archive, "check", tmp_path / "packet", "--log-key", key)
    assert (checked.exit_code, "CANNOT TELL when" in checked.stdout) == (3, True)
    exhibit = next((tmp_path / "packet" / "data" / "exhibits").iterdir())
    exhibit.write_bytes(exhibit.read_bytes()[:-1] + b"!")
    checked = run(archive, "check", tmp_path / "packet", "--json")
    assert checked.exit_code == 4
    assert json.loads(checked.stdout)["subjects"][f"data/exhibits/{exhibit.name}"] == "DOES NOT MATCH"


def test_the_command_stops_with_4_where_an_object_is_missing_and_names_the_item(
    archive: PacketArchive, tmp_path: Path
) -> None:
    (item,) = archive.take_in(archive.incident(), [Arrived(name="lost.jpg", content=os.urandom(2000))])
    with archive.rooms.database.reading() as session:
        blake3 = objects_of(session, item.id)["original"].blake3.hex()
    (archive.home / "store" / "objects" / blake3[:2] / blake3[2:4] / f"{blake3}.age").unlink()
    done = run(archive, "build", item.number, "--to", "A", "--basis", "b", tmp_path / "packet", "--json")
    assert (done.exit_code, (tmp_path / "packet").exists()) == (4, False)
    assert f"{item.number}: objects/" in done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["code"], list(told["evidence"])) == ("export/object-missing", [item.number])


@pytest.mark.parametrize("how", ["recipient", "passphrase"])
def test_the_command_seals_and_checks_through_the_seal(
    archive: PacketArchive, built: tuple[Path, list[Item]], tmp_path: Path, how: str
) -> None:
    identity = generate_identity(KeyKind.HYBRID)
    (tmp_path / "key.txt").write_text(f"# a key\n{identity.secret_text()}\n")
    (tmp_path / "words").write_text("correct horse battery staple\n")
    sealing, opening = {
        "recipient": (("--seal-to", str(identity.recipient)), ("--key-file", tmp_path / "key.txt")),
        "passphrase": (("--passphrase-file", tmp_path / "words"), ("--passphrase-file", tmp_path / "words")),
    }[how]
    out = tmp_path / "packet.tar.age"
    done = run(archive, "build", built[1][0].number, "--to", "A", "--basis", "b", *sealing, out)
    assert done.exit_code == 0, done.output
    assert "WARNING" not in done.stderr
    assert "age -d" in done.stdout
    assert run(archive, "check", out, *opening).exit_code == 3
    damaged = bytearray(out.read_bytes())
    damaged[-2000] ^= 1
    out.write_bytes(damaged)
    assert run(archive, "check", out, *opening).exit_code == 4


def test_a_dry_run_lists_everything_and_uses_nothing_up(
    archive: PacketArchive, built: tuple[Path, list[Item]], tmp_path: Path
) -> None:
    before = archive.rooms.ledger.size()
    numbers = [item.number for item in built[1]]
    done = run(archive, "build", *numbers, "--to", "A", "--basis", "b", "--dry-run", "--explain", tmp_path / "p")
    assert done.exit_code == 0, done.output
    assert all(f"data/exhibits/{number}" in done.stdout for number in numbers)
    assert "1 dissemination" in done.stdout
    assert archive.rooms.ledger.size() == before
    assert not list(tmp_path.iterdir())


def test_wrong_use_is_said_and_writes_nothing(archive: PacketArchive, tmp_path: Path) -> None:
    line = ("build", "E-2026-00001", "--to", "A", "--basis", "b")
    assert run(archive, *line, "--seal-to", "age1nonsense", tmp_path / "p").exit_code == 1
    assert run(archive, *line, "--seal-to", "age1x", "--passphrase", tmp_path / "p").exit_code == 2
    assert run(archive, "build", "E-2026-77777", "--to", "A", "--basis", "b", tmp_path / "p").exit_code == 5
    assert run(archive, "check", tmp_path / "nothing").exit_code == 5
    assert run(archive, "check", tmp_path, "--log-key", "nonsense").exit_code == 2
    assert not list(tmp_path.iterdir())
