"""The policy is the matrix of the legal standards, and the settings cannot make it unsafe."""

import hashlib
import json

import pytest

from archive.errors import ConfigError
from archive.types import AtIngest, Audience, EvidenceKind, Handling, Uncleanable
from media.metadata_classes import MetadataClass
from media.policy import Departure, Policy, build_policy

# legal-standards 5.2, row by row, for V C L F E P U; R is cut out whole, as S.
MATRIX = """
location       K K K T T S S
time           K K K K K G G
device_model   K K K K K S S
identity       K K T S S S S
software       K K K K K S S
original_name  K K K K K S S
thumbnail      K K K S S S S
trimmed        K K K S S S S
tracks         K K K S S S S
credentials    K K K K K S S
maker          K K T S S S S
transport      K T S S S S S
document       K K K S S S S
unclassed      K K K S S S S
"""
ORDER = ("vault", "counsel", "litigation_production", "court_public", "immigration_court", "press", "public")
CODES = {"K": Handling.KEEP, "G": Handling.GENERALISE, "S": Handling.STRIP, "T": Handling.ASK_COUNSEL}


def policy(*departures: Departure, place_decimals: int = 1) -> Policy:
    return build_policy(departures, at_ingest={}, uncleanable=Uncleanable.REFUSE, place_decimals=place_decimals)


@pytest.mark.parametrize("row", MATRIX.split("\n")[1:-1])
def test_each_row_of_the_matrix_is_the_default(row: str) -> None:
    name, *codes = row.split()
    for audience, code in zip(ORDER, codes, strict=True):
        found = policy().handling(EvidenceKind.PHOTO, Audience(audience), MetadataClass(name))
        assert found is CODES[code], (name, audience)


def test_every_kind_every_audience_and_every_class_has_its_handling() -> None:
    built = policy()
    assert len(built.rules) == len(EvidenceKind) * len(Audience) * len(MetadataClass)
    for kind in EvidenceKind:
        for audience in Audience:
            assert built.handling(kind, audience, MetadataClass.RENDERING) is Handling.KEEP


def test_the_way_of_a_letter_stays_for_counsel() -> None:
    letter = policy().handling(EvidenceKind.DOCUMENT, Audience.COUNSEL, MetadataClass.TRANSPORT)
    assert letter is Handling.KEEP


def test_what_counsel_is_asked_about_stays_only_when_ticked() -> None:
    asked = frozenset({MetadataClass.LOCATION})
    assert not asked & policy().kept(EvidenceKind.PHOTO, Audience.COURT)
    assert asked <= policy().kept(EvidenceKind.PHOTO, Audience.COURT, ticked=asked)
    # A tick lets through nothing that the policy strips outright.
    assert not asked & policy().kept(EvidenceKind.PHOTO, Audience.PRESS, ticked=asked)


def test_the_id_is_the_digest_of_the_whole_policy_and_changes_with_it() -> None:
    plain = policy()
    assert plain.id == f"sha256:{hashlib.sha256(plain.canonical()).hexdigest()}"
    assert plain.id == policy().id
    rule = (EvidenceKind.PHOTO, Audience.PRESS, "time", Handling.STRIP)
    stricter = policy(rule)
    assert stricter.id != plain.id
    assert policy(place_decimals=2).id != plain.id
    told = json.loads(stricter.canonical())
    assert told["rules"]["photo"]["press"]["time"] == "strip"
    assert told["rules"]["video"]["press"]["time"] == "generalise"


@pytest.mark.parametrize("audience", [Audience.COURT, Audience.PRESS, Audience.PUBLIC])
def test_what_nobody_judged_cannot_be_let_out(audience: Audience) -> None:
    with pytest.raises(ConfigError) as caught:
        policy((EvidenceKind.PHOTO, audience, "unclassed", Handling.KEEP))
    assert caught.value.code == "config/unsafe-policy"


def test_what_a_file_needs_to_be_shown_cannot_be_stripped() -> None:
    with pytest.raises(ConfigError) as caught:
        policy((EvidenceKind.PHOTO, Audience.PRESS, "rendering", Handling.STRIP))
    assert caught.value.code == "config/unsafe-policy"


def test_a_class_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError) as caught:
        policy((EvidenceKind.PHOTO, Audience.PRESS, "gps", Handling.STRIP))
    assert "location" in caught.value.message


def test_originals_are_kept_whole_at_intake_unless_the_settings_say_otherwise() -> None:
    assert set(policy().at_ingest.values()) == {AtIngest.KEEP}
