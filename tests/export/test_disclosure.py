"""Building packets: what may leave, in which order, in what form, and that nothing stands there when it fails."""

import hashlib
import io
import os
import re
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from archive.age.passphrase import ScryptRecipient
from archive.age.recipients import KeyKind, generate_identity
from archive.catalogue.records import Item, Packet
from archive.errors import (
    AccessError,
    ConflictError,
    DisclosureError,
    InputError,
    IntegrityError,
    LockedError,
    NotFoundError,
    UnavailableError,
)
from archive.store.port import object_name
from archive.types import Actor, Digest, DigestAlgorithm, Role
from archive.vault import Vault
from custody.register import OpenedEntry
from export import selection
from export.request import PacketRequest, Seal, Step
from tests.export.packet_archive import (
    Arrived,
    PacketArchive,
    authority_settings,
    sample,
    verify,
    verify_json,
)
from tests.running_authority import Behaviour, StartAuthority
from tests.way_in import unpack

pytest_plugins = ("tests.authority_fixture",)

REAL = (
    "DCIM/Camera/IMG_5195.HEIC",
    "Documents/a-text.pdf",
    "Documents/declaracion-testigo.txt",
    "Recordings/debian.ogg",
)


def some(archive: PacketArchive, count: int = 1, **told: object) -> list[Item]:
    """Take in small files, each of its own content."""
    files = [Arrived(name=f"IMG_{n}.jpg", content=os.urandom(3000), **told) for n in range(count)]  # type: ignore[arg-type]
    return archive.take_in(archive.incident(), files)


def entries(archive: PacketArchive, since: int) -> list[OpenedEntry]:
    """What the log says since then, in general."""
    return archive.rooms.reading_room.open_log(archive.actor, since, archive.rooms.ledger.size())


def packets(archive: PacketArchive) -> dict[str, str]:
    with archive.rooms.database.reading() as session:
        return {row["number"]: row["status"] for row in session.execute(select(Packet.table)).mappings()}


def nothing_in(folder: Path) -> bool:
    return not list(folder.iterdir())


# ── what comes out ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_packet_of_real_files_matches_where_nothing_of_this_project_can_be_seen(
    archive: PacketArchive, tmp_path: Path
) -> None:
    items = archive.take_in(archive.incident(), [sample(name) for name in REAL])
    archive.touch(items[:2])
    built = archive.build(tmp_path / "packet", items)
    keys = [str(key) for key in archive.rooms.publisher.verifier_keys]
    code, said = verify(tmp_path / "packet", "--log-key", keys[0])
    assert (code, built.path) == (3, tmp_path / "packet")
    last = said.rstrip().splitlines()[-1]
    assert last.startswith("CANNOT TELL when: ")
    assert built.number in last
    exhibits = tmp_path / "packet" / "data" / "exhibits"
    sent = {hashlib.sha256(sample(name).content).digest() for name in REAL}
    assert {hashlib.sha256(path.read_bytes()).digest() for path in exhibits.iterdir()} == sent
    assert {path.suffix for path in exhibits.iterdir()} == {".heic", ".pdf", ".txt", ".ogg"}


def test_a_stamped_packet_matches_whole_and_openssl_accepts_its_tokens(
    tmp_path: Path, start_authority: StartAuthority
) -> None:
    one, two = start_authority("one"), start_authority("two")
    two.behaviour = Behaviour.DOWN
    with PacketArchive(tmp_path / "home", settings=authority_settings(one, two)) as archive, archive.unlocked():
        built = archive.build(tmp_path / "packet", some(archive))
    assert [stamp.authority for stamp in built.attested] == ["one"]
    code, said = verify(tmp_path / "packet")
    assert code == 0
    last = said.rstrip().splitlines()[-1]
    assert last.startswith("MATCHES: ")
    assert built.number in last
    assert "Time-stamp pending" not in (tmp_path / "packet" / "read-me-first.html").read_text(encoding="utf-8")
    openssl = ["openssl", "ts", "-verify", "-data", "metadata/checkpoint", "-in", "metadata/timestamps/one.tsr"]
    openssl += ["-CAfile", str(one.root), "-untrusted", "metadata/timestamps/one.pem"]
    done = subprocess.run(openssl, cwd=tmp_path / "packet", capture_output=True, text=True, check=False)
    assert "Verification: OK" in done.stdout, done.stderr


def test_every_command_in_verify_txt_does_what_it_says(tmp_path: Path, start_authority: StartAuthority) -> None:
    with (
        PacketArchive(tmp_path / "home", settings=authority_settings(start_authority("one"))) as archive,
        archive.unlocked(),
    ):
        archive.build(tmp_path / "packet", some(archive, 2))
    text = re.sub(r"\\\n *", "", (tmp_path / "packet" / "verify.txt").read_text(encoding="utf-8"))
    commands = [line.strip().removeprefix("Linux").strip() for line in text.splitlines() if line.startswith("     ")]
    commands = [line.partition("  ")[0] for line in commands if line.startswith(("sha", "python3", "openssl"))]
    assert [line.split()[0] for line in commands] == ["sha256sum", "sha512sum", "python3", "openssl", "openssl"]
    said = []
    for command in ["python3 -I verify.py", *commands]:
        done = subprocess.run(command, shell=True, cwd=tmp_path / "packet", capture_output=True, check=False)  # noqa: S602 - as a person types it
        assert done.returncode == 0, (command, done.stderr)
        said.append(done.stdout.decode())
    assert said[2].split()[0] in said[3], "the release names the SHA-512 of the payload manifest"
    assert "Time stamp:" in said[5]


def test_the_log_has_the_access_before_the_release_and_both_name_the_item(
    archive: PacketArchive, tmp_path: Path
) -> None:
    item = some(archive)[0]
    before = archive.rooms.ledger.size()
    built = archive.build(tmp_path / "packet", [item], reason="hearing on Monday")
    found = entries(archive, before)[:3]
    assert [(entry.entry.event, entry.get("purpose")) for entry in found] == [
        ("metadata modification", f"packet {built.number} begun"),
        ("access", f"packet {built.number}"),
        ("dissemination", f"packet {built.number} released, in clear"),
    ]
    assert archive.rooms.register.seqs_of(item.id)[-2:] == [found[1].entry.seq, found[2].entry.seq]
    assert found[2].entry.seq == built.release
    assert found[2].get("packet")["recipient"] == "A. Ortiz, counsel"
    assert [found[1].get("reason"), found[2].get("reason")] == ["hearing on Monday"] * 2
    assert packets(archive)[built.number] == "released"


def test_a_second_packet_shows_that_there_was_a_first_but_not_for_whom(archive: PacketArchive, tmp_path: Path) -> None:
    item = some(archive)[0]
    first = archive.build(tmp_path / "first", [item])
    second = archive.build(tmp_path / "second", [item])
    page = (tmp_path / "second" / "read-me-first.html").read_text(encoding="utf-8")
    assert f"packet {first.number} released, in clear" in page
    report = verify_json(tmp_path / "second")
    assert report["verdict"] == "CANNOT TELL"
    log = (tmp_path / "second" / "metadata" / "custody-log.jsonl").read_text(encoding="ascii")
    assert len(log.splitlines()) == 5
    assert second.number != first.number


def test_companions_are_marked_and_one_left_behind_is_said_without_naming_it(
    archive: PacketArchive, tmp_path: Path
) -> None:
    still = Arrived(name="IMG_1.HEIC", content=os.urandom(2000))
    moving = Arrived(name="IMG_1.mp4", content=os.urandom(2000), main=0)
    items = archive.take_in(archive.incident(), [still, moving])
    archive.build(tmp_path / "both", items)
    built = archive.build(tmp_path / "alone", items[:1])
    assert built.apart == (items[1].number,)
    page = (tmp_path / "alone" / "read-me-first.html").read_text(encoding="utf-8")
    assert "a file that is not in this packet" in page
    assert items[1].number not in page
    assert items[1].number in (tmp_path / "both" / "data" / "index.json").read_text(encoding="utf-8")


def test_an_incident_stands_for_its_items_and_the_page_says_how_many_were_left_out(
    archive: PacketArchive, tmp_path: Path
) -> None:
    incident = archive.incident()
    items = archive.take_in(incident, [Arrived(name=f"{n}.jpg", content=os.urandom(500)) for n in range(3)])
    built = archive.build(tmp_path / "packet", incident=incident, exclude=items[1:2])
    assert built.items == (items[0].number, items[2].number)
    page = (tmp_path / "packet" / "read-me-first.html").read_text(encoding="utf-8")
    assert "1 item of the incident, by choice" in page
    assert items[1].number not in page


# ── sealed to its receiver ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_sealed_packet_is_one_file_that_opens_and_matches(
    archive: PacketArchive, tmp_path: Path, kind: KeyKind
) -> None:
    identity = generate_identity(kind)
    marker = os.urandom(16).hex()
    items = archive.take_in(archive.incident(), [Arrived(name=f"{marker}.txt", content=marker.encode() * 9000)])
    seal = Seal(recipients=(identity.recipient,), to=(str(identity.recipient),))
    out = tmp_path / "out"
    out.mkdir()
    seen: set[str] = set()

    def watch(_: Step) -> None:
        seen.update(path.name for path in out.rglob("*"))
        assert not any(marker.encode() in path.read_bytes() for path in out.rglob("*") if path.is_file())

    request = PacketRequest(
        actor=archive.actor,
        recipient="A. Ortiz",
        legal_basis="client file",
        destination=out / "packet.tar.age",
        items=(items[0].number,),
        seal=seal,
    )
    built = archive.rooms.disclosure.build_legal(request, watch)
    assert seen == {"packet.tar.age.partial"}
    assert [path.name for path in out.iterdir()] == ["packet.tar.age"]
    sealed = (out / "packet.tar.age").read_bytes()
    assert marker.encode() not in sealed
    unpack(open_with(identity.secret_text(), sealed, tmp_path, kind), tmp_path / "opened")
    assert verify(tmp_path / "opened" / built.number)[0] == 3


def open_with(secret: str, sealed: bytes, folder: Path, kind: KeyKind) -> bytes:
    """Open with the `age` command where it knows the kind of key, else with our own reader."""
    if kind is not KeyKind.X25519:
        from archive.age.recipients import parse_identity
        from archive.age.stream import open_bytes

        return open_bytes(sealed, [parse_identity(secret)])
    (folder / "key.txt").write_text(secret + "\n", encoding="ascii")
    return subprocess.run(
        ["age", "-d", "-i", str(folder / "key.txt")], input=sealed, capture_output=True, check=True
    ).stdout


def test_the_log_says_that_a_packet_left_sealed(archive: PacketArchive, tmp_path: Path) -> None:
    before = archive.rooms.ledger.size()
    seal = Seal(recipients=(ScryptRecipient("correct horse battery staple", 10),), to=("a passphrase",))
    archive.build(tmp_path / "packet.tar.age", some(archive), seal=seal)
    found = [entry.get("purpose") for entry in entries(archive, before) if entry.entry.event == "dissemination"]
    assert found[0].endswith("released, sealed to its receiver")


# ── what may not leave ───────────────────────────────────────────────────────────────────────────────────────────────


def refused(archive: PacketArchive, before: int, code: str) -> None:
    """The refusal stands in the log, no number was used."""
    found = entries(archive, before)
    assert (found[0].entry.event, found[0].get("code")) == ("refusal", code)


def test_nothing_is_built_while_locked_and_no_number_is_used_up(archive: PacketArchive, tmp_path: Path) -> None:
    items = some(archive)
    numbers, before = packets(archive), archive.rooms.ledger.size()
    archive.lock()
    try:
        with pytest.raises(LockedError):
            archive.build(tmp_path / "packet", items)
    finally:
        archive.unlock()
    assert nothing_in(tmp_path)
    assert packets(archive) == numbers
    refused(archive, before, "archive/locked")


def test_a_technician_builds_no_packet(archive: PacketArchive, tmp_path: Path) -> None:
    items = some(archive)
    before = archive.rooms.ledger.size()
    technician = Actor(staff_id=archive.actor.staff_id, pseudonym=archive.actor.pseudonym, role=Role.TECHNICIAN)
    request = PacketRequest(
        actor=technician,
        recipient="A",
        legal_basis="b",
        destination=tmp_path / "packet",
        items=(items[0].number,),
    )
    with pytest.raises(AccessError):
        archive.rooms.disclosure.build_legal(request, lambda _: None)
    assert nothing_in(tmp_path)
    refused(archive, before, "access/not-permitted")


def test_an_item_whose_key_is_gone_is_refused_and_named(archive: PacketArchive, tmp_path: Path) -> None:
    items = some(archive, 2)
    archive.rooms.key_files.destroy(items[1].id)
    before = archive.rooms.ledger.size()
    with pytest.raises(DisclosureError) as caught:
        archive.build(tmp_path / "packet", items)
    assert dict(caught.value.evidence) == {items[1].number: "its key file is not here"}
    assert nothing_in(tmp_path)
    refused(archive, before, "export/may-not-leave")


@pytest.mark.parametrize("what", ["item", "incident", "exclude", "none", "many"])
def test_what_cannot_be_found_or_is_too_much_is_said_before_anything_is_written(
    archive: PacketArchive, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = some(archive, 3)
    base = PacketRequest(
        actor=archive.actor, recipient="A", legal_basis="b", destination=tmp_path / "p", items=(items[0].number,)
    )
    request, error = {
        "item": (replace(base, items=("E-2026-99999",)), NotFoundError),
        "incident": (replace(base, incident="I-2026-9999"), NotFoundError),
        "exclude": (replace(base, exclude=("E-2026-99999",)), NotFoundError),
        "none": (replace(base, exclude=(items[0].number,)), InputError),
        "many": (replace(base, items=tuple(item.number for item in items)), InputError),
    }[what]
    monkeypatch.setattr(selection, "MOST_ITEMS", 2)
    before = archive.rooms.ledger.size()
    with pytest.raises(error):
        archive.rooms.disclosure.build_legal(request, lambda _: None)
    assert nothing_in(tmp_path)
    assert archive.rooms.ledger.size() == before


def test_a_packet_replaces_nothing_and_never_goes_into_the_archives_own_folder(
    archive: PacketArchive, tmp_path: Path
) -> None:
    items = some(archive)
    (tmp_path / "packet").mkdir()
    (tmp_path / "other.partial").mkdir()
    for name in ("packet", "other"):
        with pytest.raises(ConflictError):
            archive.build(tmp_path / name, items)
    with pytest.raises(UnavailableError):
        archive.build(tmp_path / "no" / "such" / "packet", items)
    (tmp_path / "link").symlink_to(archive.home / "store")
    for place in (archive.home / "packet", tmp_path / "link" / "packet"):
        with pytest.raises(InputError):
            archive.build(place, items)


# ── what goes wrong on the way ───────────────────────────────────────────────────────────────────────────────────────


def failed(archive: PacketArchive, folder: Path, before: int, code: str) -> None:
    """Nothing is there; the log says that the build failed and why; the number is not given out again."""
    assert nothing_in(folder)
    found = [entry for entry in entries(archive, before) if entry.entry.event == "dissemination"][-1]
    assert (found.entry.outcome, found.get("code")) == ("failure", code)
    number = found.get("purpose").split()[1]
    assert packets(archive)[number] == "failed"
    assert selection.next_packet_number(archive.rooms.database, 2026) > number


def put_other_octets(archive: PacketArchive, item: Item, recorded: Digest, content: bytes) -> None:
    """Do as an insider who knows the item's public recipient: seal something else under the object's name."""
    staged = archive.rooms.vault.stage(io.BytesIO(content), item.recipient)
    path = archive.home / "store" / object_name(recorded)
    archive.rooms.vault.publish([staged])
    other = archive.home / "store" / object_name(staged.sealed.blake3)
    path.chmod(0o600)
    path.write_bytes(other.read_bytes())


def objects(archive: PacketArchive, item: Item) -> dict[str, Digest]:
    from archive.catalogue.items import objects_of

    with archive.rooms.database.reading() as session:
        return {
            purpose: Digest(DigestAlgorithm.BLAKE3, stored.blake3)
            for purpose, stored in objects_of(session, item.id).items()
        }


@pytest.mark.parametrize("purpose", ["original", "metadata"])
def test_an_exchanged_object_is_noticed_named_and_stops_the_build(
    archive: PacketArchive, tmp_path: Path, purpose: str
) -> None:
    item = some(archive)[0]
    content = os.urandom(3000) if purpose == "original" else b"[{}]"
    put_other_octets(archive, item, objects(archive, item)[purpose], content)
    before = archive.rooms.ledger.size()
    with pytest.raises(IntegrityError) as caught:
        archive.build(tmp_path / "packet", [item])
    assert (caught.value.code, caught.value.evidence["item"]) == ("export/digest-mismatch", item.number)
    failed(archive, tmp_path, before, "export/digest-mismatch")


@pytest.mark.parametrize("purpose", ["original", "metadata"])
def test_a_missing_object_is_an_alarm_that_names_the_item_before_a_number_is_used(
    archive: PacketArchive, tmp_path: Path, purpose: str
) -> None:
    lacking, whole = some(archive, 2)
    name = object_name(objects(archive, lacking)[purpose])
    (archive.home / "store" / name).unlink()
    before, built = archive.rooms.ledger.size(), packets(archive)
    with pytest.raises(IntegrityError) as caught:
        archive.build(tmp_path / "packet", [lacking, whole])
    assert caught.value.code == "export/object-missing"
    assert dict(caught.value.evidence) == {lacking.number: name}
    assert (nothing_in(tmp_path), packets(archive)) == (True, built)
    (refusal,) = entries(archive, before)
    assert (refusal.entry.event, refusal.get("code")) == ("refusal", "export/object-missing")
    forecast = archive.rooms.disclosure.forecast(archive.request(tmp_path / "packet", [lacking, whole]), 2026)
    assert [number for number, _ in forecast.refused] == [lacking.number]
    assert archive.build(tmp_path / "packet", [whole]).items == (whole.number,)


def test_an_object_that_is_lost_during_the_build_names_the_item_too(archive: PacketArchive, tmp_path: Path) -> None:
    first, second = some(archive, 2)
    path = archive.home / "store" / object_name(objects(archive, second)["original"])
    before = archive.rooms.ledger.size()

    def lose(step: Step) -> None:
        if first.number in step.words:
            path.unlink(missing_ok=True)

    with pytest.raises(IntegrityError) as caught:
        archive.rooms.disclosure.build_legal(archive.request(tmp_path / "packet", [first, second]), lose)
    assert (caught.value.code, caught.value.evidence["item"]) == ("archive/object-missing", second.number)
    failed(archive, tmp_path, before, "archive/object-missing")


@contextmanager
def files_of_at_most(octets: int) -> Iterator[None]:
    """Let no file grow beyond this, as a full disk would not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("sealed", [False, True])
def test_a_full_disk_leaves_nothing_and_the_log_says_so(archive: PacketArchive, tmp_path: Path, sealed: bool) -> None:
    items = archive.take_in(archive.incident(), [Arrived(name="film.mp4", content=os.urandom(16 << 20))])
    seal = Seal(recipients=(generate_identity(KeyKind.X25519).recipient,), to=("age1…",)) if sealed else None
    before = archive.rooms.ledger.size()
    with pytest.raises(UnavailableError) as caught, files_of_at_most(8 << 20):
        archive.build(tmp_path / "packet", items, seal=seal)
    assert caught.value.code == "export/cannot-write"
    failed(archive, tmp_path, before, "export/cannot-write")


def test_a_packet_that_does_not_pass_the_strangers_check_is_removed(archive: PacketArchive, tmp_path: Path) -> None:
    item = some(archive)[0]
    before = archive.rooms.ledger.size()
    request = PacketRequest(
        actor=archive.actor, recipient="A", legal_basis="b", destination=tmp_path / "packet", items=(item.number,)
    )

    def spoil(step: Step) -> None:
        if step.words.startswith("verifying"):
            exhibit = next((tmp_path / "packet.partial").rglob("E-*.jpg"))
            exhibit.write_bytes(b"\0" + exhibit.read_bytes()[1:])

    with pytest.raises(IntegrityError) as caught:
        archive.rooms.disclosure.build_legal(request, spoil)
    assert caught.value.code == "export/packet-differs"
    assert item.number in str(caught.value.evidence["findings"])
    failed(archive, tmp_path, before, "export/packet-differs")


@pytest.mark.parametrize("sealed", [False, True])
def test_an_interrupted_build_leaves_nothing_and_is_in_the_log(
    archive: PacketArchive, tmp_path: Path, sealed: bool
) -> None:
    item = some(archive)[0]
    seal = Seal(recipients=(generate_identity(KeyKind.X25519).recipient,), to=("age1…",)) if sealed else None
    before = archive.rooms.ledger.size()
    request = PacketRequest(
        actor=archive.actor,
        recipient="A",
        legal_basis="b",
        destination=tmp_path / "packet",
        items=(item.number,),
        seal=seal,
    )

    def interrupt(_: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.rooms.disclosure.build_legal(request, interrupt)
    failed(archive, tmp_path, before, "KeyboardInterrupt")


def test_a_key_is_asked_for_only_after_the_access_stands_in_the_log(archive: PacketArchive, tmp_path: Path) -> None:
    item = some(archive)[0]
    agent = archive.rooms.agent
    seen: list[int] = []

    class Watched(Vault):
        def unwrap(self, access, owner_ids):  # type: ignore[no-untyped-def]  # only passes on
            seen.append(access.entry)
            assert archive.rooms.register.seqs_of(item.id)[-1] == access.entry
            return super().unwrap(access, owner_ids)

    disclosure = archive.rooms.disclosure
    kept = disclosure._vault
    disclosure._vault = Watched(store=kept.store, key_files=kept.key_files, agent=agent)
    try:
        archive.build(tmp_path / "packet", [item])
    finally:
        disclosure._vault = kept
    assert len(seen) == 1


def test_a_forecast_opens_nothing_and_uses_nothing_up(archive: PacketArchive, tmp_path: Path) -> None:
    items = some(archive, 2)
    before = archive.rooms.ledger.size()
    archive.lock()
    request = PacketRequest(
        actor=archive.actor,
        recipient="A",
        legal_basis="b",
        destination=tmp_path / "packet",
        items=tuple(item.number for item in items),
    )
    forecast = archive.rooms.disclosure.forecast(request, 2026)
    archive.rooms.key_files.destroy(items[1].id)
    again = archive.rooms.disclosure.forecast(request, 2026)
    assert archive.rooms.ledger.size() == before
    archive.unlock()
    assert forecast.locked
    assert forecast.refused == ()
    assert again.refused == ((items[1].number, "its key file is not here"),)
    assert archive.build(tmp_path / "packet", items[:1]).number == forecast.number
