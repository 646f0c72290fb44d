"""An insider with root rewrites the log: eight kinds, clumsily in one place, thoroughly with everything signed anew.

Each time, whoever audits finds it and the entry or the item is named: the clumsy one by the audit alone, the thorough
one by anyone who kept an earlier checkpoint (as a range) or a receipt (as the item).
"""

import hashlib
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from archive.age.recipients import KeyIdentity
from archive.age.stream import ValueSealer, open_bytes
from archive.catalogue.records import Item
from archive.types import Finding, Outcome, OwnerKind, parse_utc, utc_text
from custody.commitments import Disclosure
from custody.entries import Entry, EventKind
from custody.findings import Found
from custody.ledger import seal_disclosures
from custody.merkle import leaf_hash
from custody.outside import Outside
from custody.outside_files import read_outside
from custody.receipt_office import issue_receipt
from custody.register import parse_disclosures
from tests.archives import SmallArchive
from tests.attacks.insider import Insider, Said, audit, audit_as_typed

KINDS = ("edit", "delete", "insert", "reorder", "back-date", "roll back", "fork", "swap")
FEW = range(2)
HUNDRED = range(100)


@dataclass(frozen=True)
class Kept:
    """An archive, and what was kept of it outside before anyone touched it."""

    home: Path
    earlier_home: Path
    earlier_size: int
    size: int
    items: tuple[Item, ...]
    received: dict[str, int]
    keys: dict[UUID, KeyIdentity]
    checkpoints: tuple[Outside, ...]
    receipts: dict[str, Outside]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("insider")
    receipts: dict[str, Outside] = {}
    checkpoints: list[Outside] = []
    items: list[Item] = []
    received: dict[str, int] = {}

    def keep(archive: SmallArchive, name: str) -> None:
        (folder / name).write_bytes(archive.publish())
        checkpoints.append(read_outside(folder / name))

    with SmallArchive(folder / "home") as archive:

        def receive(*names: str) -> None:
            files = [(name, name.encode() * 50) for name in names]
            made = archive.receive_with_entries(incident, files)
            for (item, entry), (_, data) in zip(made, files, strict=True):
                row = (item.number, entry, hashlib.sha256(data).digest(), len(data))
                (folder / f"{item.number}.json").write_bytes(
                    issue_receipt(archive.rooms.publisher, f"R-{item.number}", archive.clock(), [row])
                )
                receipts[item.number] = read_outside(folder / f"{item.number}.json")
                items.append(item)
                received[item.number] = entry.seq

        incident = archive.incident()
        receive("a.jpg", "b.jpg", "c.jpg")
        archive.touch(items[:2], "show the file")
        archive.touch([items[2]], "show the file")
        keep(archive, "checkpoint-of-last-week")
        archive.rooms.database.close()
        shutil.copytree(archive.home, folder / "earlier")
        earlier_size = archive.rooms.ledger.size()
        receive("d.jpg", "e.jpg")
        archive.touch(items[1:4], "prepare a packet")
        archive.touch([items[4]], "show the file")
        keep(archive, "checkpoint-of-today")
        size = archive.rooms.ledger.size()
        keys = Insider(archive.home).owner_keys()
    return Kept(
        home=folder / "home",
        earlier_home=folder / "earlier",
        earlier_size=earlier_size,
        size=size,
        items=tuple(items),
        received=received,
        keys=keys,
        checkpoints=tuple(checkpoints),
        receipts=receipts,
    )


@dataclass(frozen=True)
class Deed:
    """What the insider did: the first entry and the item that it touched, where there is one."""

    entry: int | None
    item: str | None


def chance(kind: str, seed: int) -> random.Random:
    return random.Random(f"{kind} {seed}")  # noqa: S311 - which entry to spoil, the same one in every run


def wrong(found: list[Found]) -> list[Found]:
    return [each for each in found if each.finding is Finding.DOES_NOT_MATCH]


def names_entry(found: list[Found], entry: int) -> list[Found]:
    return [each for each in wrong(found) if covers(each, entry)]


def covers(found: Found, entry: int) -> bool:
    first, end = found.evidence.get("first"), found.evidence.get("end")
    return isinstance(first, int) and isinstance(end, int) and first <= entry < end


def names_item(found: list[Found], number: str) -> bool:
    return any(number in each.subject for each in wrong(found))


# ── clumsy ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Clumsy:
    """Changes one place and hopes that nobody looks elsewhere."""

    def __init__(self, insider: Insider, kept: Kept, chance: random.Random) -> None:
        self.insider = insider
        self.kept = kept
        self.chance = chance

    def do(self, kind: str) -> Deed:
        deeds: dict[str, Callable[[], Deed]] = {
            "edit": self.edit,
            "delete": self.delete,
            "insert": self.insert,
            "reorder": self.reorder,
            "back-date": self.back_date,
            "roll back": self.roll_back,
            "fork": self.fork,
            "swap": self.swap,
        }
        return deeds[kind]()

    def edit(self) -> Deed:
        seq = self.chance.randrange(self.kept.size)
        with self.insider.sql(guards_back=self.chance.random() < 0.5) as sql:
            (leaf,) = sql.execute("SELECT leaf FROM entry WHERE seq = ?", (seq,)).fetchone()
            other = leaf.replace(b'"outcome":"success"', b'"outcome":"failure"')
            sql.execute("UPDATE entry SET leaf = ? WHERE seq = ?", (other, seq))
            if self.chance.random() < 0.5:
                sql.execute("UPDATE entry SET leaf_hash = ? WHERE seq = ?", (leaf_hash(other), seq))
        return Deed(seq, None)

    def delete(self) -> Deed:
        seq = self.chance.randrange(self.kept.size)
        with self.insider.sql() as sql:
            sql.execute("DELETE FROM entry WHERE seq = ?", (seq,))
        return Deed(seq, None)

    def insert(self) -> Deed:
        seq = self.chance.randrange(1, self.kept.size)
        with self.insider.sql() as sql:
            for later in range(self.kept.size - 1, seq - 1, -1):
                sql.execute("UPDATE entry SET seq = seq + 1 WHERE seq = ?", (later,))
            sql.execute("INSERT INTO entry SELECT ?, leaf, leaf_hash FROM entry WHERE seq = ?", (seq, seq - 1))
        return Deed(seq, None)

    def reorder(self) -> Deed:
        seq = self.chance.randrange(self.kept.size - 1)
        with self.insider.sql() as sql:
            rows = sql.execute("SELECT leaf, leaf_hash FROM entry WHERE seq IN (?, ?) ORDER BY seq", (seq, seq + 1))
            for row, place in zip(rows.fetchall(), (seq + 1, seq), strict=True):
                sql.execute("UPDATE entry SET leaf = ?, leaf_hash = ? WHERE seq = ?", (*row, place))
        return Deed(seq, None)

    def back_date(self) -> Deed:
        item = self.chance.choice(self.kept.items)
        if self.chance.random() < 0.5:
            with self.insider.sql() as sql:
                sql.execute("UPDATE item SET received_time = received_time - 86400000000 WHERE id = ?", (item.id.hex,))
            return Deed(None, item.number)
        seq = self.kept.received[item.number]
        with self.insider.sql() as sql:
            query = "SELECT id, owner_id, sealed FROM disclosure WHERE owner_kind = 'staff' AND first <= ? AND end > ?"
            row_id, owner, sealed = sql.execute(query, (seq, seq)).fetchone()
            key = self.kept.keys[UUID(owner)]
            texts = parse_disclosures(open_bytes(sealed, [key]))
            texts[seq] = [_earlier(text) for text in texts[seq]]
            plain = {str(number): each for number, each in texts.items()}
            new = seal_disclosures(plain, ValueSealer([key.recipient]))
            sql.execute("UPDATE disclosure SET sealed = ? WHERE id = ?", (new, row_id))
        return Deed(seq, None)

    def roll_back(self) -> Deed:
        self.insider.rooms.close()
        shutil.copy(self.kept.earlier_home / "catalogue.sqlite", self.insider.home / "catalogue.sqlite")
        return Deed(self.kept.earlier_size, None)

    def fork(self) -> Deed:
        seq = self.chance.randrange(self.kept.earlier_size, self.kept.size)
        with self.insider.sql() as sql:
            for later in range(seq, self.kept.size):
                said = [Disclosure.make("purpose", f"another history {later}")]
                entry = Entry.make(seq=later, event=EventKind.ACCESS, outcome=Outcome.SUCCESS, disclosures=said)
                leaf = entry.leaf()
                statement = "UPDATE entry SET leaf = ?, leaf_hash = ? WHERE seq = ?"
                sql.execute(statement, (leaf, leaf_hash(leaf), later))
        return Deed(seq, None)

    def swap(self) -> Deed:
        one, other = self.chance.sample(self.kept.items, 2)
        with self.insider.sql() as sql:
            query = "SELECT blake3, sealed_size FROM object WHERE item_id = ?"
            rows = [sql.execute(query, (item.id.hex,)).fetchone() for item in (one, other)]
            if self.chance.random() < 0.5:
                paths = [self.insider.object_path(row[0]) for row in rows]
                first, second = (path.read_bytes() for path in paths)
                paths[0].write_bytes(second)
                paths[1].write_bytes(first)
            else:  # The records are exchanged, so that each ciphertext still has the name of its own digest.
                sql.execute("UPDATE object SET blake3 = zeroblob(32) WHERE item_id = ?", (one.id.hex,))
                for item, row in ((other, rows[0]), (one, rows[1])):
                    statement = "UPDATE object SET blake3 = ?, sealed_size = ? WHERE item_id = ?"
                    sql.execute(statement, (*row, item.id.hex))
        return Deed(None, one.number)


def _earlier(text: str) -> str:
    opened = Disclosure(text).parse()
    if opened.name != "recorded_time":
        return text
    return Disclosure.make("recorded_time", utc_text(parse_utc(str(opened.value)) - timedelta(days=1))).text


def clumsy_case(kept: Kept, kind: str, seed: int, home: Path) -> None:
    insider = Insider(_copy(kept.home, home))
    try:
        deed = Clumsy(insider, kept, chance(kind, seed)).do(kind)
    finally:
        insider.close()
    found = audit_as_typed(home)
    assert wrong(found)
    if deed.entry is not None:
        named = names_entry(found, deed.entry)
        assert named, [each.subject for each in wrong(found)]
        exact = [each for each in named if each.evidence["first"] == deed.entry]
        assert exact, [each.subject for each in named]
    if deed.item is not None:
        assert names_item(found, deed.item), [each.subject for each in wrong(found)]


# ── thorough ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Thorough:
    """Changes what was said and then makes everything anew."""

    def __init__(self, insider: Insider, kept: Kept, chance: random.Random) -> None:
        self.insider = insider
        self.kept = kept
        self.chance = chance
        self.history = insider.history(kept.keys)
        self.sizes = insider.sizes()

    def do(self, kind: str) -> Deed:
        item = self.chance.choice(self.kept.items)
        seq = self.kept.received[item.number]
        match kind:
            case "edit":
                self._change_item(seq, "original_name", lambda value: {**value, "name": "another.jpg"})
            case "delete":
                self._delete_item(item.id)
            case "insert":
                # Not before the account that acts, the incident or the item that it speaks of are there.
                seq = self.chance.randrange(2, seq + 1)
                told = [part for part in self.history[1].parts if part.owner.kind is OwnerKind.STAFF]
                self.history.insert(seq, Said(event=EventKind.ACCESS, outcome=Outcome.SUCCESS, parts=told))
                self.sizes = [(size + (size > seq), signed) for size, signed in self.sizes]
            case "reorder":
                neighbour = seq + 1 if seq + 1 < len(self.history) else seq - 1
                self.history[seq], self.history[neighbour] = self.history[neighbour], self.history[seq]
                seq = min(seq, neighbour)
            case "back-date":
                self._back_date(seq)
            case "roll back":
                seq = self._roll_back(seq)
            case "fork":
                self._fork(seq)
            case "swap":
                seq = self._swap(item)
        self.insider.rewrite(self.history, self.sizes)
        return Deed(seq, item.number)

    def _change_item(self, seq: int, name: str, change: Callable[[Any], Any]) -> None:
        self.history[seq].part(OwnerKind.ITEM).change(name, change)

    def _delete_item(self, item: UUID) -> None:
        """Take an item out altogether, as if it had never come in."""
        for said in self.history:
            said.parts = [part for part in said.parts if part.owner.id != item]
        gone = [seq for seq, said in enumerate(self.history) if said.event is EventKind.INGESTION and not said.items]
        self.history = [said for seq, said in enumerate(self.history) if seq not in gone]
        self.sizes = _distinct([(size - sum(seq < size for seq in gone), signed) for size, signed in self.sizes])
        (self.insider.home / "keys" / f"{item}.age").unlink()

    def _back_date(self, seq: int) -> None:
        staff = self.history[seq].part(OwnerKind.STAFF)
        staff.texts = [_earlier(each) for each in staff.texts]

        def earlier(record: Any) -> Any:
            if record["kind"] == "item":
                received = parse_utc(record["columns"]["received_time"]) - timedelta(days=1)
                record["columns"]["received_time"] = utc_text(received)
            return record

        self._change_item(seq, "record", earlier)

    def _roll_back(self, seq: int) -> int:
        sizes = [(size, signed) for size, signed in self.sizes if size <= seq]
        self.sizes, before = sizes, sizes[-1][0]
        for said in self.history[before:]:
            for item in said.items if said.event is EventKind.INGESTION else ():
                (self.insider.home / "keys" / f"{item}.age").unlink()
        self.history = self.history[:before]
        return before

    def _fork(self, seq: int) -> None:
        """Tell everything from `seq` on differently, to the same length."""
        for said in self.history[seq:]:
            for part in said.parts:
                part.change("purpose", lambda value: f"{value}, told differently")
                part.change("original_name", lambda value: {**value, "name": "another.jpg"})

    def _swap(self, item: Item) -> int:
        """Exchange the ciphertexts of two items, each record naming the other's; return the first changed."""
        other = self.chance.choice([each for each in self.kept.items if each.id != item.id])
        places = [self.history[self.kept.received[each.number]].part(OwnerKind.ITEM) for each in (item, other)]
        stored = [
            next(value["columns"] for name, value in part.values() if name == "record" and value["kind"] == "object")
            for part in places
        ]
        for part, columns in zip(places, reversed(stored), strict=True):
            octets = {"blake3": columns["blake3"], "sealed_size": columns["sealed_size"]}
            part.change("record", partial(_exchanged, octets))
            part.change("object", octets.__ror__)
        return min(self.kept.received[each.number] for each in (item, other))


def _exchanged(octets: dict[str, Any], record: Any) -> Any:
    """Put another object's place into the record of an object."""
    if record.get("kind") == "object":
        record["columns"] |= octets
    return record


def _distinct(sizes: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    return list(dict(sizes).items())


def thorough_case(kept: Kept, kind: str, seed: int, home: Path) -> None:
    insider = Insider(_copy(kept.home, home))
    try:
        deed = Thorough(insider, kept, chance(kind, seed)).do(kind)
    finally:
        insider.close()
    assert deed.entry is not None and deed.item is not None
    assert not wrong(audit_as_typed(home)), "the insider was not thorough"
    by_checkpoint = audit(home, outside=kept.checkpoints)
    named = names_entry(by_checkpoint, deed.entry)
    assert named, [each.subject for each in wrong(by_checkpoint)]
    if deed.entry >= kept.earlier_size:
        assert all(int(str(each.evidence["first"])) >= kept.earlier_size for each in named)
    by_receipt = audit(home, outside=[kept.receipts[deed.item]])
    assert names_item(by_receipt, deed.item), [each.subject for each in wrong(by_receipt)]


def _copy(home: Path, to: Path) -> Path:
    shutil.copytree(home, to, ignore=shutil.ignore_patterns("socket*", "*.lock"))
    return to


@pytest.mark.parametrize("kind", KINDS)
def test_a_clumsy_insider_is_found_by_the_audit_alone_and_the_place_is_named(
    kept: Kept, kind: str, tmp_path: Path
) -> None:
    for seed in FEW:
        clumsy_case(kept, kind, seed, tmp_path / str(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_a_thorough_insider_is_found_by_whoever_kept_a_checkpoint_or_a_receipt(
    kept: Kept, kind: str, tmp_path: Path
) -> None:
    for seed in FEW:
        thorough_case(kept, kind, seed, tmp_path / str(seed))


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_of_each_kind_are_found_and_named(kept: Kept, kind: str, tmp_path: Path) -> None:
    for seed in HUNDRED:
        for name, case in (("clumsy", clumsy_case), ("thorough", thorough_case)):
            home = tmp_path / f"{name}-{seed}"
            case(kept, kind, seed, home)
            shutil.rmtree(home)


def test_an_untouched_archive_matches_everything_that_was_kept(kept: Kept, tmp_path: Path) -> None:
    outside = [*kept.checkpoints, *kept.receipts.values()]
    found = audit_as_typed(_copy(kept.home, tmp_path / "home"), outside=outside)
    assert not wrong(found)
    assert all(each.is_expected for each in found)
    assert sum(each.subject == "outside evidence" for each in found) == len(outside)
