"""Keyrings: what may share one, how one is written, and how an owner key is sealed to one."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.age.keyring import Keyring, KeyringWarning, open_identity, seal_identity
from archive.age.recipients import KeyKind, KeyRecipient, generate_identity
from archive.age.stream import seal_bytes
from archive.errors import InputError, IntegrityError, TestigoError

_POOL = {kind: tuple(generate_identity(kind).recipient for _ in range(4)) for kind in KeyKind}
_PART_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)


@st.composite
def _keyrings(draw: st.DrawFn) -> Keyring:
    kind = draw(st.sampled_from(KeyKind))
    recipients = tuple(draw(st.lists(st.sampled_from(_POOL[kind]), min_size=1, max_size=4, unique=True)))
    named = draw(st.booleans())
    parts = tuple(draw(_PART_NAMES) for _ in recipients) if named else ()
    return Keyring(kind=kind, recipients=recipients, parts=parts)


@given(_keyrings())
@settings(deadline=None, max_examples=50)
def test_a_keyring_that_is_written_reads_back_as_it_was(keyring: Keyring) -> None:
    assert Keyring.parse(keyring.format()) == keyring


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=100)
def test_any_other_text_is_refused_as_a_keyring(text: str) -> None:
    with pytest.raises(InputError):
        Keyring.parse(text)


def test_a_keyring_without_recipients_is_refused() -> None:
    with pytest.raises(InputError) as refused:
        Keyring(kind=KeyKind.HYBRID, recipients=())
    assert refused.value.code == "keys/empty-keyring"


def test_hybrid_and_classic_recipients_never_share_a_keyring() -> None:
    both: tuple[KeyRecipient, ...] = (_POOL[KeyKind.HYBRID][0], _POOL[KeyKind.X25519][0])
    with pytest.raises(InputError) as refused:
        Keyring(kind=KeyKind.HYBRID, recipients=both)
    assert refused.value.code == "keys/mixed-keyring"
    with pytest.raises(InputError) as refused:
        Keyring.parse("".join(f"{recipient}\n" for recipient in both))
    assert refused.value.code == "keys/mixed-keyring"


def test_the_same_recipient_twice_is_refused() -> None:
    recipient = _POOL[KeyKind.X25519][0]
    with pytest.raises(InputError) as refused:
        Keyring(kind=KeyKind.X25519, recipients=(recipient, recipient))
    assert refused.value.code == "keys/repeated-recipient"


def test_a_keyring_of_one_recipient_warns() -> None:
    assert Keyring(kind=KeyKind.X25519, recipients=_POOL[KeyKind.X25519][:1]).warnings == (
        KeyringWarning.ONLY_ONE_RECIPIENT,
    )
    assert Keyring(kind=KeyKind.X25519, recipients=_POOL[KeyKind.X25519][:2]).warnings == ()


def test_a_keyring_names_the_part_of_each_recipient() -> None:
    office, recovery, stranger, _ = _POOL[KeyKind.HYBRID]
    keyring = Keyring(kind=KeyKind.HYBRID, recipients=(office, recovery), parts=("office", "recovery"))
    assert keyring.part_of(recovery) == "recovery"
    with pytest.raises(InputError) as refused:
        keyring.part_of(stranger)
    assert refused.value.code == "keys/not-in-keyring"


@pytest.mark.parametrize("part", ["", "Office", "two words", "line\nbreak", "x" * 33])
def test_a_part_that_could_not_be_read_back_is_refused(part: str) -> None:
    with pytest.raises(InputError) as refused:
        Keyring(kind=KeyKind.X25519, recipients=_POOL[KeyKind.X25519][:1], parts=(part,))
    assert refused.value.code == "keys/bad-part"


def test_a_part_without_its_recipient_is_refused() -> None:
    office, recovery, *_ = _POOL[KeyKind.X25519]
    for text in (f"# part: office\n# part: recovery\n{office}\n", f"# part: office\n{office}\n{recovery}\n", "# x\n"):
        with pytest.raises(InputError) as refused:
            Keyring.parse(text)
        assert refused.value.code == "keys/bad-keyring"


def test_an_age_client_seals_to_the_written_keyring(tmp_path: Path) -> None:
    if shutil.which("age") is None:
        pytest.skip("the program age is not installed")
    owner, office, recovery = (generate_identity(KeyKind.X25519) for _ in range(3))
    keyring = Keyring(
        kind=KeyKind.X25519, recipients=(office.recipient, recovery.recipient), parts=("office", "recovery")
    )
    written = tmp_path / "keyring.txt"
    written.write_text(keyring.format())
    line = owner.secret_text().encode() + b"\n"
    sealed = subprocess.run(["age", "-R", str(written)], input=line, capture_output=True, check=True).stdout
    assert open_identity(sealed, [recovery]).secret_text() == owner.secret_text()


@pytest.mark.parametrize("kind", KeyKind)
def test_an_owner_key_opens_with_any_member_of_the_keyring(kind: KeyKind) -> None:
    owner, office, recovery = (generate_identity(kind) for _ in range(3))
    sealed = seal_identity(owner, (office.recipient, recovery.recipient))
    for member in (office, recovery):
        assert open_identity(sealed, [member]).secret_text() == owner.secret_text()
    with pytest.raises(TestigoError):
        open_identity(sealed, [generate_identity(kind)])


@pytest.mark.parametrize("shape", ["{}", "{}\n{}\n", "# comment\n{}\n", "{}\r\n", "\n", "AGE-SECRET-KEY-1XX\n"])
def test_a_key_file_that_holds_anything_but_one_line_is_refused(shape: str) -> None:
    owner, office = generate_identity(KeyKind.X25519), generate_identity(KeyKind.X25519)
    sealed = seal_bytes(shape.replace("{}", owner.secret_text()).encode(), [office.recipient])
    with pytest.raises(IntegrityError) as refused:
        open_identity(sealed, [office])
    assert refused.value.code == "keys/not-a-key-file"
