"""Files and keys that go both ways between this archive and independent age clients: Debian's `age` and npm's
`age-encryption`, the one that knows the hybrid kind. Runs where they are installed, and says so where they are not.
"""

import hashlib
import io
import json
import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from archive.age.armor import read_armor
from archive.age.recipients import (
    KeyIdentity,
    KeyKind,
    ScryptIdentity,
    ScryptRecipient,
    generate_identity,
    parse_identity,
    parse_recipient,
)
from archive.age.stream import StreamWriter, open_bytes, open_stream, seal_bytes

ROOT = Path(__file__).resolve().parents[2]
SIZES = [0, 1, 65535, 65536, 65537, 3_000_000]
PASSPHRASE = "plaza-de-la-luna"
GIGABYTE = 1 << 30

NPM_CLIENT = """
import { readFileSync, writeFileSync } from "node:fs";
const [module, folder, tasks] = process.argv.slice(1);
const age = await import(module);
async function done({ act, key, source }) {
  if (act === "identity") return await (key === "hybrid" ? age.generateHybridIdentity() : age.generateX25519Identity());
  if (act === "recipient") return await age.identityToRecipient(key);
  const octets = readFileSync(source);
  const sealer = new age.Encrypter(), opener = new age.Decrypter();
  switch (act) {
    case "seal":
      for (const recipient of key.split(",")) sealer.addRecipient(recipient);
      return await sealer.encrypt(octets);
    case "seal-passphrase":
      sealer.setScryptWorkFactor(8);
      sealer.setPassphrase(key);
      return await sealer.encrypt(octets);
    case "open": opener.addIdentity(key); return await opener.decrypt(octets, "uint8array");
    case "open-passphrase": opener.addPassphrase(key); return await opener.decrypt(octets, "uint8array");
  }
}
for (const task of JSON.parse(tasks)) writeFileSync(task.target, await done(task));
"""


@pytest.fixture(scope="module")
def age() -> str:
    found = shutil.which("age")
    if found is None:
        pytest.skip("Debian's age is not installed")
    return found


@pytest.fixture(scope="module")
def npm_module() -> str:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    named = [Path(place) for place in os.environ.get("NODE_PATH", "").split(os.pathsep) if place]
    for place in (*named, ROOT / "build" / "npm" / "node_modules"):
        module = place / "age-encryption" / "dist" / "index.js"
        if module.is_file():
            return module.as_uri()
    pytest.skip("age-encryption is neither under NODE_PATH nor in build/npm")


class Npm:
    """The npm client over files of a folder; many tasks in one run, because starting it costs more than the tasks."""

    def __init__(self, module: str, folder: Path) -> None:
        self._module = module
        self._folder = folder

    def run(self, *tasks: tuple[str, str, bytes]) -> list[bytes]:
        described = []
        for number, (act, key, octets) in enumerate(tasks):
            source, target = self._folder / f"source-{number}", self._folder / f"target-{number}"
            source.write_bytes(octets)
            described.append({"act": act, "key": key, "source": str(source), "target": str(target)})
        command = ["node", "--input-type=module", "-e", NPM_CLIENT, self._module, str(self._folder)]
        subprocess.run([*command, json.dumps(described)], check=True, timeout=600)
        return [Path(task["target"]).read_bytes() for task in described]


@pytest.fixture
def npm(npm_module: str, tmp_path: Path) -> Npm:
    return Npm(npm_module, tmp_path)


def identity_file(identity: KeyIdentity, folder: Path) -> str:
    path = folder / "identity"
    path.write_text(identity.secret_text() + "\n")
    return str(path)


@pytest.mark.parametrize("size", SIZES)
def test_debians_age_opens_what_we_seal_and_we_open_what_it_seals(age: str, tmp_path: Path, size: int) -> None:
    identity, data = generate_identity(KeyKind.X25519), os.urandom(size)
    ours = seal_bytes(data, [generate_identity(KeyKind.X25519).recipient, identity.recipient])
    command = [age, "-d", "-i", identity_file(identity, tmp_path)]
    assert subprocess.run(command, input=ours, capture_output=True, check=True).stdout == data
    theirs = subprocess.run([age, "-r", str(identity.recipient)], input=data, capture_output=True, check=True).stdout
    assert open_bytes(theirs, [identity]) == data
    armored = subprocess.run([age, "-a", "-r", str(identity.recipient)], input=data, capture_output=True, check=True)
    assert open_bytes(read_armor(armored.stdout), [identity]) == data


def test_keys_of_age_keygen_are_ours_and_ours_are_its(age: str, tmp_path: Path) -> None:
    keygen = str(Path(age).with_name("age-keygen"))
    made = subprocess.run([keygen], capture_output=True, check=True, text=True)
    identity = parse_identity(made.stdout.splitlines()[-1])
    assert f"# public key: {identity.recipient}" in made.stdout
    ours = generate_identity(KeyKind.X25519)
    told = subprocess.run([keygen, "-y", identity_file(ours, tmp_path)], capture_output=True, check=True, text=True)
    assert parse_recipient(told.stdout.strip()) == ours.recipient


def at_a_terminal(command: list[str], answers: int) -> None:
    """Run a program that asks for a passphrase at its terminal, and answer every time."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover, this is the other process
        os.execv(command[0], command)  # noqa: S606, no shell is wanted
    deadline = time.monotonic() + 60
    seen, answered = b"", 0
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            seen += os.read(terminal, 1024)
        except OSError:  # The terminal closes when the program ends.
            break
        if answered < answers and seen.count(b":") > answered:
            answered += 1
            os.write(terminal, PASSPHRASE.encode() + b"\n")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert status == 0, seen


@pytest.mark.filterwarnings("ignore:.*use of forkpty.*:DeprecationWarning")
def test_passphrase_files_go_both_ways_with_debians_age(age: str, tmp_path: Path) -> None:
    sealed, opened, plain = tmp_path / "sealed", tmp_path / "opened", tmp_path / "plain"
    sealed.write_bytes(seal_bytes(b"shared by word of mouth", [ScryptRecipient(PASSPHRASE, 10)]))
    at_a_terminal([age, "-d", "-o", str(opened), str(sealed)], answers=1)
    assert opened.read_bytes() == b"shared by word of mouth"
    plain.write_bytes(b"and back")
    theirs = tmp_path / "theirs"
    at_a_terminal([age, "-p", "-o", str(theirs), str(plain)], answers=2)
    assert open_bytes(theirs.read_bytes(), [ScryptIdentity(PASSPHRASE)]) == b"and back"


@pytest.mark.parametrize("kind", list(KeyKind))
def test_npms_age_opens_what_we_seal_and_we_open_what_it_seals(npm: Npm, kind: KeyKind) -> None:
    identity, other = generate_identity(kind), generate_identity(kind)
    values = [os.urandom(size) for size in SIZES]
    recipients = [other.recipient, identity.recipient]
    ours = [("open", identity.secret_text(), seal_bytes(value, recipients)) for value in values]
    theirs = [("seal", ",".join(map(str, recipients)), value) for value in values]
    results = npm.run(*ours, *theirs)
    assert results[: len(SIZES)] == values
    assert [open_bytes(sealed, [identity]) for sealed in results[len(SIZES) :]] == values


@pytest.mark.parametrize(("kind", "name"), [(KeyKind.HYBRID, "hybrid"), (KeyKind.X25519, "x25519")])
def test_keys_that_npms_age_made_are_ours_and_ours_are_its(npm: Npm, kind: KeyKind, name: str) -> None:
    ours = generate_identity(kind)
    secret, public = npm.run(("identity", name, b""), ("recipient", ours.secret_text(), b""))
    assert parse_recipient(public.decode()) == ours.recipient
    assert public.decode() == str(ours.recipient)
    theirs = parse_identity(secret.decode())
    assert theirs.kind is kind
    assert theirs.secret_text() == secret.decode()


def test_passphrase_files_go_both_ways_with_npms_age(npm: Npm) -> None:
    ours = seal_bytes(b"spoken", [ScryptRecipient(PASSPHRASE, 8)])
    opened, theirs = npm.run(("open-passphrase", PASSPHRASE, ours), ("seal-passphrase", PASSPHRASE, b"heard"))
    assert opened == b"spoken"
    assert open_bytes(theirs, [ScryptIdentity(PASSPHRASE)]) == b"heard"


def block(number: int) -> bytes:
    return hashlib.shake_128(number.to_bytes(4)).digest(1 << 20)


def seal_gigabyte(path: Path, identity: KeyIdentity) -> bytes:
    """Seal a gibibyte into a file and return the SHA-256 of what was sealed."""
    expected = hashlib.sha256()
    with path.open("wb") as out:
        writer = StreamWriter(out.write, [identity.recipient])
        for number in range(GIGABYTE >> 20):
            octets = block(number)
            expected.update(octets)
            writer.write(octets)
        writer.finish()
    return expected.digest()


@pytest.mark.long
def test_a_gigabyte_goes_both_ways_with_debians_age(age: str, tmp_path: Path) -> None:
    identity, sealed = generate_identity(KeyKind.X25519), tmp_path / "sealed"
    expected = seal_gigabyte(sealed, identity)
    command = [age, "-d", "-i", identity_file(identity, tmp_path), str(sealed)]
    opened = tmp_path / "opened"
    subprocess.run([*command[:-1], "-o", str(opened), str(sealed)], check=True)
    with opened.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == expected
    with (
        sealed.open("wb") as out,
        subprocess.Popen([age, "-r", str(identity.recipient)], stdin=subprocess.PIPE, stdout=out) as sealing,
    ):
        assert sealing.stdin is not None
        for number in range(GIGABYTE >> 20):
            sealing.stdin.write(block(number))
    with sealed.open("rb") as file, io.BufferedReader(open_stream(file, [identity]), 1 << 20) as plain:
        assert hashlib.file_digest(plain, "sha256").digest() == expected


@pytest.mark.long
def test_npms_age_opens_our_gigabyte_of_the_hybrid_kind(npm_module: str, tmp_path: Path) -> None:
    identity, sealed, opened = generate_identity(KeyKind.HYBRID), tmp_path / "sealed", tmp_path / "opened"
    expected = seal_gigabyte(sealed, identity)
    task = {"act": "open", "key": identity.secret_text(), "source": str(sealed), "target": str(opened)}
    command = ["node", "--input-type=module", "-e", NPM_CLIENT, npm_module, str(tmp_path), json.dumps([task])]
    subprocess.run(command, check=True, timeout=600)
    with opened.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == expected
