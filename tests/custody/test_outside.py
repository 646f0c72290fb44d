"""What people keep outside tells what was rewritten, and the more they keep, the more narrowly."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import InputError, IntegrityError
from archive.types import Finding, OwnerKind
from custody.checkpoint import sign_checkpoint
from custody.findings import Found
from custody.log_tree import LogTree
from custody.merkle import Frontier
from custody.outside import Outside
from custody.outside_files import read_outside
from custody.signed_note import KeyType, SigningKey
from custody.tlog_proof import TlogProof
from tests.archives import START, SmallArchive
from tests.attacks.insider import Insider, audit

LAST_OF_EACH = 20


@dataclass(frozen=True)
class Kept:
    """An archive, and a folder with a checkpoint after each entry and a proof of each entry under the last one."""

    home: Path
    folder: Path
    size: int

    def checkpoint(self, size: int) -> Outside:
        return read_outside(self.folder / f"checkpoint-{size}")

    def proof(self, index: int) -> Outside:
        return read_outside(self.folder / f"{index}.tlog-proof")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("outside")
    with SmallArchive(folder / "home") as archive:
        items = archive.receive(archive.incident(), [("a.jpg", b"a" * 50), ("b.jpg", b"b" * 50)])
        while archive.rooms.ledger.size() < LAST_OF_EACH:
            archive.touch(items[:1])
            size = archive.rooms.ledger.size()
            (folder / f"checkpoint-{size}").write_bytes(archive.publish())
        reader = archive.rooms.publisher.reader(LAST_OF_EACH)
        note = archive.publish()
        for index in range(LAST_OF_EACH):
            proof = TlogProof(index=index, hashes=reader.inclusion_proof(index), checkpoint=note)
            (folder / f"{index}.tlog-proof").write_bytes(proof.to_bytes())
    return Kept(home=folder / "home", folder=folder, size=LAST_OF_EACH)


def rewritten(kept: Kept, home: Path, seq: int) -> Path:
    """Have a thorough insider change what entry `seq` says for the staff."""
    shutil.copytree(kept.home, home, ignore=shutil.ignore_patterns("socket*"))
    insider = Insider(home)
    history = insider.history(insider.owner_keys())
    history[seq].part(OwnerKind.STAFF).change("instrument", lambda value: {**value, "version": "9"})
    insider.rewrite(history, insider.sizes())
    insider.close()
    return home


def shortened(kept: Kept, home: Path, size: int) -> Path:
    """Have a thorough insider roll everything back to `size` entries."""
    shutil.copytree(kept.home, home, ignore=shutil.ignore_patterns("socket*"))
    insider = Insider(home)
    history = insider.history(insider.owner_keys())
    insider.rewrite(history[:size], [each for each in insider.sizes() if each[0] <= size])
    insider.close()
    return home


def subjects(found: Sequence[Found], code: str) -> list[str]:
    return [each.subject for each in found if each.code == code]


def alarming(found: Sequence[Found]) -> list[str]:
    return [each.code for each in found if not each.is_expected]


def test_an_earlier_checkpoint_names_the_range_up_to_it(kept: Kept, tmp_path: Path) -> None:
    found = audit(rewritten(kept, tmp_path / "home", 9), outside=[kept.checkpoint(kept.size)])
    assert subjects(found, "custody/history-rewritten") == ["entries 0–19"]


def test_two_checkpoints_name_the_range_between_them(kept: Kept, tmp_path: Path) -> None:
    home = rewritten(kept, tmp_path / "home", 9)
    found = audit(home, outside=[kept.checkpoint(8), kept.checkpoint(15), kept.checkpoint(kept.size)])
    assert subjects(found, "custody/history-rewritten") == ["entries 8–14"]


def test_a_bare_proof_tells_which_parts_beside_it_still_stand(kept: Kept, tmp_path: Path) -> None:
    # Entry 0's proof holds the hashes of 1, 2–3, 4–7, 8–15 and 16–19.
    home = rewritten(kept, tmp_path / "home", 17)
    found = audit(home, outside=[kept.proof(0)])
    assert subjects(found, "custody/history-rewritten") == ["entries 16–19"]
    # Every later entry of the same item follows: its run was knitted anew.
    found = audit(home, outside=[kept.proof(0), kept.proof(18)])
    assert subjects(found, "custody/history-rewritten") == ["entries 16–17", "entry 18", "entry 19"]


def test_the_entry_of_a_proof_is_named_when_it_is_the_one_that_changed(kept: Kept, tmp_path: Path) -> None:
    found = audit(rewritten(kept, tmp_path / "home", 3), outside=[kept.proof(3)])
    assert subjects(found, "custody/entry-differs") == ["entry 3"]
    assert "entry 3" in subjects(found, "custody/history-rewritten")


def test_a_log_that_became_shorter_is_rolled_back(kept: Kept, tmp_path: Path) -> None:
    found = audit(shortened(kept, tmp_path / "home", 12), outside=[kept.checkpoint(8), kept.checkpoint(kept.size)])
    assert subjects(found, "custody/rolled-back") == ["entries 12–19"]
    assert subjects(found, "custody/history-rewritten") == ["entries 8–19"]


def test_two_people_who_were_shown_different_histories_find_out_together(kept: Kept, tmp_path: Path) -> None:
    home = rewritten(kept, tmp_path / "home", 9)
    insider = Insider(home)
    (tmp_path / "shown-to-another").write_bytes(insider.rooms.store.read("log/checkpoint"))
    insider.close()
    pieces = [kept.checkpoint(kept.size), read_outside(tmp_path / "shown-to-another")]
    assert subjects(audit(home, outside=pieces), "custody/two-histories") == ["entries 0–19"]


def test_evidence_of_another_log_and_of_another_key_is_told_apart(kept: Kept) -> None:
    mine = kept.checkpoint(kept.size)
    elsewhere = replace(mine, checkpoint=replace(mine.checkpoint, origin="elsewhere.example.org/log"))
    assert alarming(audit(kept.home, outside=[elsewhere])) == ["custody/other-log"]
    stranger = SigningKey.generate(mine.checkpoint.origin, KeyType.ED25519)
    forged = replace(mine, note=mine.note[:-100] + mine.note[-100:].swapcase())
    assert alarming(audit(kept.home, outside=[forged])) == ["custody/evidence-unsigned"]
    other = replace(mine, note=sign_checkpoint(mine.checkpoint, [stranger], START), keys=(stranger.verifier_key,))
    assert alarming(audit(kept.home, outside=[other])) == ["custody/other-key"]


def test_a_packet_kept_outside_names_the_item_whose_log_was_rewritten(kept: Kept, tmp_path: Path) -> None:
    insider = Insider(kept.home)
    history = insider.history(insider.owner_keys())
    metadata = tmp_path / "packet" / "metadata"
    (metadata / "proofs").mkdir(parents=True)
    item = history[2].items[0]
    seqs = insider.rooms.register.seqs_of(item)
    lines = [
        {"disclosures": history[seq].part(OwnerKind.ITEM).texts, "leaf": opened.leaf.decode("ascii")}
        for seq, opened in zip(seqs, insider.rooms.register.open(seqs, {}), strict=True)
    ]
    (metadata / "custody-log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (metadata / "checkpoint").write_bytes(insider.rooms.store.read("log/checkpoint"))
    (metadata / "verifier-keys").write_bytes(insider.rooms.store.read("log/verifier-keys"))
    told = {"items": [{"item": str(item), "number": "E-2026-00001"}]}
    (metadata / "packet.json").write_text(json.dumps(told), encoding="utf-8")
    for seq in seqs:
        shutil.copy(kept.folder / f"{seq}.tlog-proof", metadata / "proofs")
    insider.close()
    packet = read_outside(tmp_path / "packet")
    assert alarming(audit(kept.home, outside=[packet])) == []
    found = audit(rewritten(kept, tmp_path / "home", 9), outside=[packet])
    named = [each for each in found if each.code == "custody/entry-differs"]
    assert [each.subject for each in named][0] == "E-2026-00001 (entry 9)"
    assert "Some of its values were changed." in named[0].words


def test_what_is_no_evidence_is_refused_before_anything_is_compared(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="Nothing was compared with it"):
        read_outside(tmp_path / "empty")
    with pytest.raises(InputError, match="Nothing was compared with it"):
        read_outside(tmp_path / "absent")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0 no note")
    with pytest.raises(InputError, match="Nothing was compared with it") as refused:
        read_outside(tmp_path / "photo.jpg")
    assert "no note" not in str(refused.value.evidence)
    (tmp_path / "altered").write_text("archive.example.org/log\nmany\nAAAA\n\n\u2014 archive.example.org/log AAAA\n")
    with pytest.raises(IntegrityError):
        read_outside(tmp_path / "altered")


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=300), st.data())
def test_the_tree_in_memory_has_the_roots_that_the_log_had(hashes: list[bytes], data: st.DataObject) -> None:
    tree = LogTree()
    for digest in hashes:
        tree.append(digest)
    size = data.draw(st.integers(1, len(hashes)))
    assert tree.root(size) == Frontier().extend(hashes[:size]).root()
    level = data.draw(st.integers(0, 8))
    start = (data.draw(st.integers(0, len(hashes) - 1)) >> level) << level
    end = min(start + (1 << level), len(hashes))
    assert tree.part(start, end) == Frontier().extend(hashes[start:end]).root()


def test_an_untouched_log_agrees_with_every_proof(kept: Kept) -> None:
    pieces = [kept.proof(index) for index in range(kept.size)]
    found = audit(kept.home, outside=pieces)
    assert alarming(found) == []
    assert sum(each.finding is Finding.MATCHES and each.subject == "outside evidence" for each in found) == kept.size
