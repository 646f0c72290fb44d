"""Promise 5: a stranger checks it offline with `b3sum`, `sha256sum` and an age client, and nothing of ours.

The classic keyring is opened with Debian's `age`; the hybrid one with npm's age-encryption. Missing tools are said.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.store.port import named_digest
from cli import Rooms
from tests.archives import SmallArchive
from tests.way_in import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
OPEN = """
import { readFileSync, writeFileSync } from "node:fs";
const [module, identity, source, target] = process.argv.slice(1);
const age = await import(module);
const opener = new age.Decrypter();
opener.addIdentity(identity);
writeFileSync(target, await opener.decrypt(readFileSync(source), "uint8array"));
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "home") as archive:
        yield archive


def _needs(tool: str) -> str:
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    return found


def _objects(rooms: Rooms) -> list[Path]:
    return sorted((rooms.home / "store" / "objects").rglob("*.age"))


def test_b3sum_checks_every_object_with_no_key(small: SmallArchive) -> None:
    small.receive(small.incident(), [(f"{n}.jpg", os.urandom(n * 70_000)) for n in range(4)])
    objects = _objects(small.rooms)
    told = subprocess.run([_needs("b3sum"), *objects], capture_output=True, text=True, check=True).stdout
    assert len(objects) == 4
    for line, path in zip(told.splitlines(), objects, strict=True):
        named = named_digest(str(path.relative_to(small.home / "store")))
        assert named is not None and line.split()[0] == named.hex


def test_age_and_sha256sum_give_the_digest_that_the_log_holds(small: SmallArchive, tmp_path: Path) -> None:
    age, sha256sum = _needs("age"), _needs("sha256sum")
    contents = [b"", b"x", os.urandom(65_536), os.urandom(3_000_000)]
    items = small.receive(small.incident(), [(f"{n}.jpg", data) for n, data in enumerate(contents)])
    with small.unlocked():
        for item in items:
            found, identity = small.rooms.reading_room.release_key(
                small.actor, item.number, "expert of the other side", lambda _: None
            )
            (tmp_path / "key").write_text(identity.secret_text() + "\n")
            opened = small.rooms.reading_room.open_item(small.actor, item.number, "compare")
            blake3 = opened.objects["original"].blake3.hex()
            sealed = small.home / "store" / "objects" / blake3[:2] / blake3[2:4] / f"{blake3}.age"
            clear = subprocess.run([age, "-d", "-i", tmp_path / "key", sealed], capture_output=True, check=True).stdout
            told = subprocess.run([sha256sum], input=clear, capture_output=True, check=True).stdout.split()[0].decode()
            assert told == opened.entries[0].get("fixity")["sha256"]
            assert found.id == item.id


def test_another_items_key_opens_nothing(small: SmallArchive, tmp_path: Path) -> None:
    age = _needs("age")
    first, second = small.receive(small.incident(), [("a.jpg", b"one"), ("b.jpg", b"two")])
    with small.unlocked():
        _, identity = small.rooms.reading_room.release_key(small.actor, first.number, "x", lambda _: None)
        opened = small.rooms.reading_room.open_item(small.actor, second.number, "x")
    (tmp_path / "key").write_text(identity.secret_text() + "\n")
    blake3 = opened.objects["original"].blake3.hex()
    sealed = small.home / "store" / "objects" / blake3[:2] / blake3[2:4] / f"{blake3}.age"
    assert subprocess.run([age, "-d", "-i", tmp_path / "key", sealed], capture_output=True, check=False).returncode != 0


def test_a_hybrid_object_opens_with_an_independent_client(tmp_path: Path) -> None:
    node = _needs("node")
    module = ROOT / "build" / "npm" / "node_modules" / "age-encryption" / "dist" / "index.js"
    if not module.is_file():
        pytest.skip("age-encryption is not in build/npm (`make setup` puts it there)")
    home, passphrase = tmp_path / "home", tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    source = tmp_path / "card"
    source.mkdir()
    (source / "note.txt").write_bytes(b"what I saw\n")
    environment = {**os.environ, "TESTIGO_HOME": str(home), "TESTIGO_PASSPHRASE_FILE": str(passphrase)}

    def testigo(*words: str) -> str:
        command = [str(ROOT / ".venv" / "bin" / "testigo"), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return str(done.stdout)

    testigo("init", "--print-recovery")
    with (home / "config.toml").open("a") as config:
        config.write(SETTINGS)
    incident = testigo("incident", "new", "--title", "Raid").strip()
    testigo("import", str(source), "-i", incident)
    testigo("unlock", "--minutes", "2")
    try:
        number = json.loads(testigo("ls", "--json").splitlines()[0])["item"]
        told = json.loads(testigo("item", "key", number, "--reason", "expert", "--json"))
    finally:
        testigo("lock")
    blake3 = told["objects"]["original"]
    sealed = home / "store" / "objects" / blake3[:2] / blake3[2:4] / f"{blake3}.age"
    clear = tmp_path / "clear"
    subprocess.run(
        [node, "--input-type=module", "-e", OPEN, module.as_uri(), told["identity"], sealed, clear], check=True
    )
    assert clear.read_bytes() == b"what I saw\n"
