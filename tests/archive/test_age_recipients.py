"""Recipients and identities: text forms, wrapping, and what they refuse."""

import base64
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.age import bech32
from archive.age.header import Stanza
from archive.age.recipients import (
    HybridIdentity,
    HybridRecipient,
    Identity,
    KeyKind,
    Recipient,
    ScryptIdentity,
    ScryptRecipient,
    X25519Identity,
    X25519Recipient,
    generate_identity,
    parse_identity,
    parse_recipient,
)
from archive.age.wrapping import unwrap_file_key, wrap_file_key
from archive.errors import InputError, LockedError

FILE_KEY = b"YELLOW SUBMARINE"

# The examples that stand in the specification itself.
SPEC_X25519 = (
    "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX",
    "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
)
SPEC_HYBRID = "AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR"


@pytest.fixture(params=list(KeyKind))
def kind(request: pytest.FixtureRequest) -> KeyKind:
    return KeyKind(request.param)


def test_the_specifications_identities_give_its_recipients() -> None:
    secret, public = SPEC_X25519
    assert str(parse_identity(secret).recipient) == public
    hybrid = str(parse_identity(SPEC_HYBRID).recipient)
    assert (len(hybrid), hybrid[:42], hybrid[-12:]) == (
        1959,
        "age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rde",
        "0d3fzv49zc0k",
    )


def test_texts_are_read_back(kind: KeyKind) -> None:
    identity = generate_identity(kind)
    again = parse_identity(identity.secret_text())
    assert again.secret_text() == identity.secret_text()
    assert again.recipient == identity.recipient == parse_recipient(str(identity.recipient))
    assert len({identity.recipient, again.recipient}) == 1
    assert (again.kind, again.recipient.kind, again.recipient.stanza_type) == (kind, kind, kind.value)
    assert identity.recipient != generate_identity(kind).recipient


def test_nothing_that_is_printed_shows_a_secret(kind: KeyKind) -> None:
    identity = generate_identity(kind)
    secret = identity.secret_text()
    octets = bech32.decode(secret)[1]
    shown = repr(identity) + str(identity) + repr(identity.recipient) + repr(ScryptRecipient("tin can"))
    shown += repr(ScryptIdentity("tin can"))
    assert secret not in shown
    assert octets.hex() not in shown
    assert repr(octets) not in shown
    assert "tin can" not in shown


def test_a_wrapped_file_key_is_unwrapped_among_others(kind: KeyKind) -> None:
    mine, other = generate_identity(kind), generate_identity(kind)
    stanzas = wrap_file_key(FILE_KEY, [other.recipient, mine.recipient])
    grease = Stanza(("not-a-type", "x"), b"?")
    assert unwrap_file_key([grease, *stanzas], [generate_identity(kind), mine]) == FILE_KEY
    assert mine.unwrap([grease]) is None
    with pytest.raises(LockedError) as caught:
        unwrap_file_key(stanzas, [generate_identity(KeyKind.X25519), generate_identity(KeyKind.HYBRID)])
    assert caught.value.code == "keys/no-identity-matches"


def test_a_passphrase_opens_what_it_sealed_and_another_does_not() -> None:
    stanzas = wrap_file_key(FILE_KEY, [ScryptRecipient("de la montaña", 5)])
    assert unwrap_file_key(stanzas, [ScryptIdentity("de la montaña")]) == FILE_KEY
    with pytest.raises(LockedError):
        unwrap_file_key(stanzas, [ScryptIdentity("de la montana")])


def test_more_work_than_is_allowed_is_refused_before_it_is_done() -> None:
    stanza = ScryptRecipient("x", 12).wrap(FILE_KEY)
    with pytest.raises(InputError, match="more work"):
        ScryptIdentity("x", max_work_factor=11).unwrap([stanza])
    with pytest.raises(ValueError, match="work factor"):
        ScryptRecipient("x", 0)


def recipients_of(*names: str) -> list[Recipient]:
    known: dict[str, Recipient] = {
        "hybrid": generate_identity(KeyKind.HYBRID).recipient,
        "x25519": generate_identity(KeyKind.X25519).recipient,
        "scrypt": ScryptRecipient("x", 1),
    }
    return [known[name] for name in names]


@pytest.mark.parametrize(
    "names",
    [(), ("hybrid", "x25519"), ("x25519", "hybrid"), ("scrypt", "x25519"), ("scrypt", "scrypt"), ("hybrid", "scrypt")],
)
def test_a_file_is_never_sealed_to_two_kinds_or_to_nobody(names: Sequence[str]) -> None:
    with pytest.raises(ValueError, match="recipient"):
        wrap_file_key(FILE_KEY, recipients_of(*names))


@pytest.mark.parametrize("change", ["body", "share-short", "share-long", "argument", "padding"])
def test_a_malformed_stanza_of_ones_own_kind_is_refused_even_behind_a_good_one(kind: KeyKind, change: str) -> None:
    identity = generate_identity(kind)
    good = identity.recipient.wrap(FILE_KEY)
    share = good.arguments[1]
    bad = {
        "body": replace(good, body=good.body + b"\0"),
        "share-short": replace(good, arguments=(good.type, share[:-4])),
        "share-long": replace(good, arguments=(good.type, share + "AAAA")),
        "argument": replace(good, arguments=(*good.arguments, "x")),
        "padding": replace(good, arguments=(good.type, share + "=")),
    }[change]
    with pytest.raises(InputError) as caught:
        identity.unwrap([good, bad])
    assert caught.value.code == "age/bad-header"


def test_a_share_of_low_order_is_refused(kind: KeyKind) -> None:
    identity = generate_identity(kind)
    stanza = identity.recipient.wrap(FILE_KEY)
    octets = base64.b64decode(stanza.arguments[1] + "==")[:-32] + bytes(32)
    share = base64.b64encode(octets).decode().rstrip("=")
    with pytest.raises(InputError, match="low order"):
        identity.unwrap([replace(stanza, arguments=(stanza.type, share))])


@pytest.mark.parametrize("recipient", [X25519Recipient(bytes(32))])
def test_a_recipient_of_low_order_is_refused_when_it_is_used(recipient: Recipient) -> None:
    with pytest.raises(InputError, match="low order"):
        recipient.wrap(FILE_KEY)


def test_a_hybrid_recipient_of_low_order_is_refused_when_it_is_used() -> None:
    good = HybridIdentity(bytes(32)).recipient
    with pytest.raises(InputError, match="low order"):
        HybridRecipient(good.public_octets[:-32] + bytes(32)).wrap(FILE_KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "age1",
        SPEC_X25519[0],
        SPEC_X25519[1].upper(),
        SPEC_X25519[1][:-1] + "q",
        bech32.encode("age", bytes(31)),
        bech32.encode("age", bytes(33)),
        bech32.encode("age1pq", bytes(1215)),
        bech32.encode("age1pq", b"\xff" * 1216),
        bech32.encode("age1tag", bytes(33)),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN",
    ],
)
def test_a_recipient_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_recipient(text)
    assert caught.value.code == "keys/bad-recipient"


@pytest.mark.parametrize(
    "text",
    [
        "",
        SPEC_X25519[1],
        SPEC_X25519[0].lower(),
        SPEC_X25519[0][:-1] + "Q",
        bech32.encode("age-secret-key-", bytes(31)).upper(),
        bech32.encode("age-secret-key-pq-", bytes(33)).upper(),
        "AGE-PLUGIN-YUBIKEY-1QQPSQQGCJYPT8",
    ],
)
def test_an_identity_that_cannot_be_used_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_identity(text)
    assert caught.value.code == "keys/bad-identity"
    assert len(text) < 8 or text not in caught.value.message


@given(st.binary(min_size=32, max_size=32), st.integers(0, 31), st.integers(1, 255))
@settings(max_examples=30)
def test_any_changed_octet_of_a_wrapped_key_unwraps_nothing(secret: bytes, place: int, change: int) -> None:
    identities: tuple[Identity, ...] = (X25519Identity(secret), HybridIdentity(secret))
    recipients: tuple[Recipient, ...] = (X25519Identity(secret).recipient, HybridIdentity(secret).recipient)
    for identity, recipient in zip(identities, recipients, strict=True):
        stanza = recipient.wrap(FILE_KEY)
        body = bytearray(stanza.body)
        body[place] ^= change
        assert identity.unwrap([replace(stanza, body=bytes(body))]) is None
