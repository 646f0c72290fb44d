"""Whoever hands over a packet leaves something out, changes a byte, or lets something slip in that is another's.

The forger here is thorough: after each change every manifest is written anew, so that only the log can tell.
"""

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archive.age.recipients import KeyKind, generate_identity
from archive.age.stream import open_bytes
from archive.catalogue.records import Item
from export.packet_verifier import DIFFERS, Options, Report, verify_packet
from export.request import Seal
from tests.export.packet_archive import Arrived, PacketArchive
from tests.way_in import unpack

LOG = Path("metadata/custody-log.jsonl")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PacketArchive]:
    with PacketArchive(tmp_path_factory.mktemp("archive") / "home") as made:
        made.unlock()
        yield made


@pytest.fixture(scope="module")
def honest(archive: PacketArchive, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Item]]:
    """A packet of two items that were looked at, alone, together and together with a third."""
    files = [Arrived(name=f"{n}.jpg", content=os.urandom(900)) for n in range(3)]
    items = archive.take_in(archive.incident(), files)
    for named in (items[:1], items[:2], items, items[1:2]):
        archive.touch(named)
    folder = tmp_path_factory.mktemp("honest") / "packet"
    archive.build(folder, items[:2])
    return folder, items


@contextmanager
def changed(honest: Path, lines: list[str] | None = None) -> Iterator[Path]:
    """Give a copy to change; with `lines`, a log of just these, its other proofs gone and all manifests made anew."""
    copy = honest.with_name("copy")
    shutil.copytree(honest, copy)
    try:
        if lines is not None:
            (copy / LOG).write_text("".join(lines), encoding="ascii")
            kept = {str(json.loads(json.loads(line)["leaf"])["seq"]) for line in lines}
            for proof in (copy / "metadata" / "proofs").iterdir():
                if proof.stem not in kept:
                    proof.unlink()
            write_tag_manifests(copy)
        yield copy
    finally:
        shutil.rmtree(copy)


def write_tag_manifests(folder: Path) -> None:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    tags = [name for name in names if not name.startswith(("data/", "tagmanifest-"))]
    for algorithm in ("sha256", "sha512"):
        digests = ((hashlib.new(algorithm, (folder / name).read_bytes()).hexdigest(), name) for name in tags)
        text = "".join(f"{digest}  {name}\n" for digest, name in digests)
        (folder / f"tagmanifest-{algorithm}.txt").write_text(text, encoding="utf-8")


def differs(report: Report) -> str:
    return "\n".join(f"{one.subject}: {one.words}" for one in report.findings if one.verdict == DIFFERS)


def runs_of(line: str) -> list[tuple[str, int]]:
    """Say which items a line names, and at which place of their runs."""
    opened = [json.loads(base64.urlsafe_b64decode(text + "==")) for text in json.loads(line)["disclosures"]]
    return [(value["item"], value["number"]) for _, name, value in opened if name == "run"]


def without(line: str, item: str) -> str:
    """Close whatever a line opens of an item."""
    record = json.loads(line)
    record["disclosures"] = [
        text for text in record["disclosures"] if item not in base64.urlsafe_b64decode(text + "==").decode()
    ]
    return json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n"


def omit(honest: Path, items: list[Item], place: int) -> None:
    """Leave one line out and see that the check refuses and names it for every item that it speaks of."""
    lines = (honest / LOG).read_text(encoding="ascii").splitlines(keepends=True)
    gone = lines.pop(place)
    numbers = {str(item.id): item.number for item in items}
    with changed(honest, lines) as forged:
        report = verify_packet(forged, Options())
    assert report.exit_code == 4
    found = differs(report)
    for item_id, number in runs_of(gone):
        if place < len(lines):
            assert f"{numbers[item_id]}: entry number {number} of its log is missing" in found, found
        else:
            assert f"{numbers[item_id]}: its log does not end with this packet's release" in found, found


# ── something left out ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_forgers_tools_change_nothing_when_nothing_is_left_out(honest: tuple[Path, list[Item]]) -> None:
    lines = (honest[0] / LOG).read_text(encoding="ascii").splitlines(keepends=True)
    with changed(honest[0], lines) as copy:
        assert verify_packet(copy, Options()).exit_code == 3  # No time-stamp; all else matches.


def test_each_entry_that_is_left_out_is_named(honest: tuple[Path, list[Item]]) -> None:
    count = len((honest[0] / LOG).read_text(encoding="ascii").splitlines())
    assert count == 8
    for place in range(count):
        omit(honest[0], honest[1], place)


@pytest.mark.long
def test_a_hundred_of_a_hundred_entries_that_are_left_out_are_named(archive: PacketArchive, tmp_path: Path) -> None:
    items = archive.take_in(archive.incident(), [Arrived(name="a.jpg", content=os.urandom(500))])
    for _ in range(97):
        archive.touch(items)
    archive.build(tmp_path / "packet", items)
    count = len((tmp_path / "packet" / LOG).read_text(encoding="ascii").splitlines())
    assert count == 100
    for place in range(count):
        omit(tmp_path / "packet", items, place)


def test_an_exhibit_that_is_left_out_with_all_its_lines_breaks_the_release(honest: tuple[Path, list[Item]]) -> None:
    """The whole item goes: file, metadata, row, lines, opened values; every manifest is written anew."""
    gone = honest[1][1]
    lines = (honest[0] / LOG).read_text(encoding="ascii").splitlines()
    with changed(
        honest[0], [line for line in (without(line, str(gone.id)) for line in lines) if runs_of(line)]
    ) as copy:
        for name in (f"data/exhibits/{gone.number}.jpg", f"data/metadata/{gone.number}.json"):
            (copy / name).unlink()
        packet = json.loads((copy / "metadata/packet.json").read_bytes())
        packet["items"] = [one for one in packet["items"] if one["number"] != gone.number]
        text = json.dumps(packet, sort_keys=True, separators=(",", ":"))
        (copy / "metadata/packet.json").write_text(text, encoding="ascii")
        payload = sorted(str(path.relative_to(copy)) for path in (copy / "data").rglob("*") if path.is_file())
        for algorithm in ("sha256", "sha512"):
            digests = ((hashlib.new(algorithm, (copy / name).read_bytes()).hexdigest(), name) for name in payload)
            listed = "".join(f"{digest}  {name}\n" for digest, name in digests)
            (copy / f"manifest-{algorithm}.txt").write_text(listed, encoding="utf-8")
        octets = sum((copy / name).stat().st_size for name in payload)
        info = (copy / "bag-info.txt").read_text(encoding="utf-8")
        info = re.sub(r"Payload-Oxum: .*", f"Payload-Oxum: {octets}.{len(payload)}", info)
        (copy / "bag-info.txt").write_text(info, encoding="utf-8")
        write_tag_manifests(copy)
        report = verify_packet(copy, Options())
    assert report.exit_code == 4
    assert "release: the log released another payload" in differs(report)


# ── one byte changed ─────────────────────────────────────────────────────────────────────────────────────────────────


def flip(honest: Path, name: str, place: int) -> None:
    with changed(honest) as copy:
        content = bytearray((copy / name).read_bytes())
        content[place] ^= 1
        (copy / name).write_bytes(content)
        report = verify_packet(copy, Options())
    assert report.exit_code == 4, (name, place)
    assert name in differs(report), (name, place, differs(report))


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_one_byte_changed_in_any_file_is_refused_with_its_name(honest: tuple[Path, list[Item]]) -> None:
    for name in names_in(honest[0]):
        flip(honest[0], name, (honest[0] / name).stat().st_size // 2)


@pytest.mark.long
def test_one_byte_changed_anywhere_is_refused_with_the_files_name(honest: tuple[Path, list[Item]]) -> None:
    for name in names_in(honest[0]):
        size = (honest[0] / name).stat().st_size
        for place in range(0, size, max(1, size // 10)):
            flip(honest[0], name, place)


def test_a_file_put_in_is_refused_with_its_name(honest: tuple[Path, list[Item]]) -> None:
    for name in ("data/exhibits/E-2026-99999.jpg", "extra.txt", "metadata/proofs/0.tlog-proof"):
        with changed(honest[0]) as copy:
            (copy / name).write_bytes(b"more")
            report = verify_packet(copy, Options())
        assert (report.exit_code, name in differs(report)) == (4, True)


# ── something of another item ────────────────────────────────────────────────────────────────────────────────────────


def test_a_packet_holds_no_byte_of_an_item_that_is_not_in_it(archive: PacketArchive, tmp_path: Path) -> None:
    mark = {name: os.urandom(9).hex() for name in ("name", "content", "report", "sender", "told", "title", "reason")}
    other = Arrived(
        name=f"{mark['name']}.jpg",
        content=mark["content"].encode() * 50,
        report=mark["report"].encode(),
        sender={"who": mark["sender"]},
        embedded={"devices": [{"kind": "serial", "source": "IFD0", "raw": mark["told"]}]},
    )
    incident = archive.incident(mark["title"])
    ours, theirs = archive.take_in(incident, [Arrived(name="ours.jpg", content=os.urandom(900)), other])
    archive.touch([ours, theirs])
    archive.build(tmp_path / "both", [ours, theirs], reason=mark["reason"])
    archive.touch([ours, theirs])
    archive.build(tmp_path / "ours", [ours])
    identity = generate_identity(KeyKind.X25519)
    seal = Seal(recipients=(identity.recipient,), to=(str(identity.recipient),))
    archive.build(tmp_path / "ours.tar.age", [ours], seal=seal)
    unpack(open_bytes((tmp_path / "ours.tar.age").read_bytes(), [identity]), tmp_path / "sealed")
    secrets = [*mark.values(), *identifiers_of(theirs, other)]
    told = {secret for secret in secrets if secret in everything_in(tmp_path / "both")}
    assert told >= {*mark.values()} - {mark["title"]}, "the search finds what is there"
    assert mark["title"] not in told, "an incident's title is not in any packet"
    for folder in ("ours", "sealed"):
        found = everything_in(tmp_path / folder)
        assert not [secret for secret in secrets if secret in found]
        lines = next((tmp_path / folder).rglob("custody-log.jsonl")).read_text(encoding="ascii").splitlines()
        assert len(lines) >= 6, "the entries that name both are there"


def identifiers_of(item: Item, file: Arrived) -> list[str]:
    """Whatever points at an item: its id in two spellings, number, recipient, digests in hex."""
    return [
        str(item.id),
        item.id.hex,
        item.number,
        item.recipient,
        hashlib.sha256(file.content).hexdigest(),
        hashlib.sha512(file.content).hexdigest(),
    ]


def everything_in(folder: Path) -> str:
    """All that a packet's files say, also what stands in base64."""
    texts = []
    for path in folder.rglob("*"):
        if path.is_file():
            texts += [str(path.relative_to(folder)), path.read_bytes().decode("utf-8", "replace")]
    for line in next(folder.rglob("custody-log.jsonl")).read_text(encoding="ascii").splitlines():
        texts += [base64.urlsafe_b64decode(text + "==").decode() for text in json.loads(line)["disclosures"]]
    return "\n".join(texts)
