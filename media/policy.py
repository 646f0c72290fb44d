"""What happens to each class of metadata, for each kind of evidence and each audience. No I/O.

The defaults are the matrix of the legal standards, part 5.2; the settings may depart from it, rule by rule. Two things
cannot be departed from: what a file needs to be shown is always kept, and what belongs to no class never leaves for a
court's public file, the press or the public. Part 5.2 does not say what happens to such a field for an immigration
court; it is stripped, because a file lodged there is read by the opposing agency and nobody has judged the field.
A policy is known by its id, the digest of its canonical form; every decision records it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from archive.errors import ConfigError
from archive.types import AtIngest, Audience, EvidenceKind, Handling, Uncleanable
from media.metadata_classes import MetadataClass

FORMAT = "testigo-metadata-policy/1"
ALWAYS_KEPT = frozenset({MetadataClass.RENDERING, MetadataClass.STRUCTURE})
OUTSIDE = frozenset({Audience.COURT, Audience.PRESS, Audience.PUBLIC})

_AUDIENCES = tuple(Audience)
_CODES = {"K": Handling.KEEP, "G": Handling.GENERALISE, "S": Handling.STRIP, "T": Handling.ASK_COUNSEL}
# In the order of Audience: vault, counsel, litigation production, court public, immigration court, press, public.
# R (redact) of the matrix is S here: a field is cut out whole, and the copy's record names its class.
_MATRIX: Mapping[MetadataClass, str] = MappingProxyType(
    {
        MetadataClass.LOCATION: "KKKTTSS",
        MetadataClass.TIME: "KKKKKGG",
        MetadataClass.DEVICE_MODEL: "KKKKKSS",
        MetadataClass.IDENTITY: "KKTSSSS",
        MetadataClass.SOFTWARE: "KKKKKSS",
        MetadataClass.ORIGINAL_NAME: "KKKKKSS",
        MetadataClass.THUMBNAIL: "KKKSSSS",
        MetadataClass.TRIMMED: "KKKSSSS",
        MetadataClass.TRACKS: "KKKSSSS",
        MetadataClass.CREDENTIALS: "KKKKKSS",
        MetadataClass.MAKER: "KKTSSSS",
        MetadataClass.DOCUMENT: "KKKSSSS",
        MetadataClass.TRANSPORT: "KTSSSSS",
        MetadataClass.RENDERING: "KKKKKKK",
        MetadataClass.STRUCTURE: "KKKKKKK",
        MetadataClass.UNCLASSED: "KKKSSSS",
    }
)
WHY: Mapping[MetadataClass, str] = MappingProxyType(
    {
        MetadataClass.LOCATION: "it can lead to a witness's home or a safe house; a court needs it to prove the place",
        MetadataClass.TIME: "it can be laid beside a shift roster; the day is enough for readers",
        MetadataClass.DEVICE_MODEL: "it narrows down who filmed",
        MetadataClass.IDENTITY: "it names a person or one single device",
        MetadataClass.SOFTWARE: "it answers whether a file was edited, and tells how somebody works",
        MetadataClass.ORIGINAL_NAME: "its pattern tells the app and the sequence",
        MetadataClass.THUMBNAIL: "it often shows what was cropped or covered",
        MetadataClass.TRIMMED: "what was cut away can still be read",
        MetadataClass.TRACKS: "what lies beside picture and sound is seldom looked at",
        MetadataClass.CREDENTIALS: "it can carry a name, and breaks when a copy is changed",
        MetadataClass.MAKER: "it holds faces, depth and numbers that nobody has read",
        MetadataClass.DOCUMENT: "authors, comments and hidden parts survive what seems removed",
        MetadataClass.TRANSPORT: "it leads back to whoever sent it, and proves nothing",
        MetadataClass.RENDERING: "without it the file would not be shown or heard as it was",
        MetadataClass.STRUCTURE: "it follows from the bytes themselves",
        MetadataClass.UNCLASSED: "nobody has judged what it tells",
    }
)
"""Why a class is handled as it is, in words for people."""

# The way of a letter or of a captured page is evidence of its own; the matrix means the transport of an upload.
_ITS_WAY_IS_EVIDENCE = frozenset({EvidenceKind.DOCUMENT, EvidenceKind.WEB_CAPTURE})

Departure = tuple[EvidenceKind, Audience, str, Handling]
"""One rule of the settings; the third is the name of a class of metadata."""

Rules = Mapping[tuple[EvidenceKind, Audience, MetadataClass], Handling]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A whole policy. `id` is `sha256:` and the digest of the canonical form."""

    rules: Rules
    at_ingest: Mapping[EvidenceKind, AtIngest]
    uncleanable: Uncleanable
    place_decimals: int
    id: str

    def handling(self, kind: EvidenceKind, audience: Audience, about: MetadataClass) -> Handling:
        """Say what happens to a class of metadata."""
        return self.rules[kind, audience, about]

    def kept(
        self, kind: EvidenceKind, audience: Audience, ticked: frozenset[MetadataClass] = frozenset()
    ) -> frozenset[MetadataClass]:
        """Give the classes that stay in a copy; of those that counsel is asked about, the `ticked` ones."""
        handled = {about: self.rules[kind, audience, about] for about in MetadataClass}
        asked = {about for about, handling in handled.items() if handling is Handling.ASK_COUNSEL}
        return frozenset(about for about, handling in handled.items() if handling is Handling.KEEP) | (asked & ticked)

    def canonical(self) -> bytes:
        """Give the form that the id is the digest of (RFC 8785: ASCII text and whole numbers only)."""
        return _canonical(self.rules, self.at_ingest, self.uncleanable, self.place_decimals)


def build_policy(
    departures: Iterable[Departure],
    *,
    at_ingest: Mapping[EvidenceKind, AtIngest],
    uncleanable: Uncleanable,
    place_decimals: int,
) -> Policy:
    """Lay the departures that the settings name over the default matrix.

    Raises: ConfigError `config/out-of-range` for a class that is not known, `config/unsafe-policy` for a rule that
    would let out what nobody has judged, or take away what a file needs to be shown.
    """
    rules = dict(_default_rules())
    for kind, audience, name, handling in departures:
        about = _known_class(name)
        if about in ALWAYS_KEPT and handling is not Handling.KEEP:
            raise _unsafe(f"{about} is what a file needs to be shown as it was; it can only be kept.")
        if about is MetadataClass.UNCLASSED and audience in OUTSIDE and handling is not Handling.STRIP:
            raise _unsafe("What belongs to no class is always stripped for a public court file, the press, the public.")
        rules[kind, audience, about] = handling
    whole_at_ingest = {kind: at_ingest.get(kind, AtIngest.KEEP) for kind in EvidenceKind}
    canonical = _canonical(rules, whole_at_ingest, uncleanable, place_decimals)
    return Policy(
        rules=MappingProxyType(rules),
        at_ingest=MappingProxyType(whole_at_ingest),
        uncleanable=uncleanable,
        place_decimals=place_decimals,
        id=f"sha256:{hashlib.sha256(canonical).hexdigest()}",
    )


def _default_rules() -> Rules:
    rules = {
        (kind, audience, about): _CODES[code]
        for about, codes in _MATRIX.items()
        for audience, code in zip(_AUDIENCES, codes, strict=True)
        for kind in EvidenceKind
    }
    for kind in _ITS_WAY_IS_EVIDENCE:
        rules[kind, Audience.COUNSEL, MetadataClass.TRANSPORT] = Handling.KEEP
    return rules


def _known_class(name: str) -> MetadataClass:
    try:
        return MetadataClass(name)
    except ValueError:
        raise ConfigError(
            "config/out-of-range",
            f"policy.rules: metadata must be one of: {', '.join(MetadataClass)}. Nothing was started.",
        ) from None


def _unsafe(reason: str) -> ConfigError:
    return ConfigError("config/unsafe-policy", f"policy.rules: {reason} Nothing was started.")


def _canonical(
    rules: Rules, at_ingest: Mapping[EvidenceKind, AtIngest], uncleanable: Uncleanable, place_decimals: int
) -> bytes:
    nested: dict[str, dict[str, dict[str, str]]] = {}
    for (kind, audience, about), handling in rules.items():
        nested.setdefault(kind.value, {}).setdefault(audience.value, {})[about.value] = handling.value
    whole = {
        "format": FORMAT,
        "rules": nested,
        "at_ingest": {kind.value: choice.value for kind, choice in at_ingest.items()},
        "uncleanable": uncleanable.value,
        "place_decimals": place_decimals,
    }
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
