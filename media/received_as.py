"""How a file was received: as a camera wrote it, or by way of what. A grade with its reasons, never surer than these.

`camera file` needs evidence that agrees with itself (the maker's notes or tracks, the order of a camera, the picture's
own size) and nothing against it; where both are wanting the grade is `unknown`. Everything here is read from fields
that anybody can write, so a grade is an opinion about a file and proves nothing about its content. No I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from archive.types import EvidenceKind
from media.identify import Format
from media.jpeg_head import read_jpeg_head
from media.received_facts import Facts, gather
from media.received_film import film_signs
from media.received_photo import photo_signs
from media.received_signs import DOWNLOAD_NAMES, MESSENGER_NAMES, SCREEN_NAMES
from media.sentences import Message, message
from media.tags import Tag
from media.video import Streams


class Grade(StrEnum):
    """The ways by which a file may have come about."""

    CAMERA_FILE = "camera file"
    PHONE_CONVERTED = "phone-converted"
    MESSENGER = "messenger"
    SCREEN_RECORDING = "screen recording"
    DOWNLOAD = "download or re-encode"
    EDITED = "edited"
    UNKNOWN = "unknown"


class Basis(StrEnum):
    """What a grade rests on: the file's own word, several signs that agree, or nothing."""

    STATED = "the file says so itself"
    LIKELY = "signs point to it"
    NONE = "nothing shows it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One reason for a grade, or against `camera file`; `stated` where the file itself says so."""

    grade: Grade | None
    reason: Message
    stated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What content credentials say of the making, where a file has any. `intact` None: it could not be told."""

    intact: bool | None
    by_camera: bool = False
    generated: bool = False
    edits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedAs:
    """The grade, what it rests on, and the reasons, those of the grade first."""

    grade: Grade
    basis: Basis
    reasons: tuple[Message, ...]

    def value(self) -> dict[str, object]:
        """What a record says of it."""
        return {"grade": self.grade, "basis": self.basis, "reasons": [reason.value() for reason in self.reasons]}


NOT_GRADED = ReceivedAs(grade=Grade.UNKNOWN, basis=Basis.NONE, reasons=(message("received/not-graded"),))
# The grade of what was handed in is not kept either: its reasons name the camera and the moment.
AFTER_CLEANING = ReceivedAs(grade=Grade.UNKNOWN, basis=Basis.NONE, reasons=(message("received/after-cleaning"),))

# Where signs of several grades meet, the last leg of the way counts: a sent-on edit came by messenger.
_ORDER = (
    Grade.SCREEN_RECORDING,
    Grade.MESSENGER,
    Grade.EDITED,
    Grade.DOWNLOAD,
    Grade.PHONE_CONVERTED,
)


def received_as(
    found: Format,
    streams: Streams | None,
    tags: Sequence[Tag],
    *,
    head: bytes,
    size: int,
    untrusted_name: str = "",
    trimmed: bool = False,
    credential: Credential | None = None,
) -> ReceivedAs:
    """Grade one file by what was read of it, its head and its length in octets, and the name it came under.

    `trimmed` says that an edit list keeps parts of a film from being shown.
    """
    if found.kind not in (EvidenceKind.PHOTO, EvidenceKind.VIDEO, EvidenceKind.AUDIO):
        return NOT_GRADED
    facts = gather(found, streams, tags, head, size, read_jpeg_head(head))
    signs = [*_by_name(untrusted_name, facts), *_by_credential(credential)]
    if trimmed:
        signs.append(Sign(grade=Grade.EDITED, reason=message("received/edit-list")))
    signs += [Sign(grade=Grade(g) if g else None, reason=r, stated=s) for g, r, s in facts.marks]
    of_kind = photo_signs(facts) if found.kind is EvidenceKind.PHOTO else film_signs(facts)
    signs += [Sign(grade=Grade(g) if g else None, reason=r, stated=s) for g, r, s in of_kind]
    return _weigh(signs)


def _weigh(signs: Sequence[Sign]) -> ReceivedAs:
    for grade in _ORDER:
        theirs = [sign for sign in signs if sign.grade is grade]
        if theirs:
            others = [sign for sign in signs if sign.grade is not grade and sign.grade is not Grade.CAMERA_FILE]
            return ReceivedAs(
                grade=grade,
                basis=Basis.STATED if any(sign.stated for sign in theirs) else Basis.LIKELY,
                reasons=_reasons([*theirs, *others]),
            )
    against = [sign for sign in signs if sign.grade in (None, Grade.UNKNOWN)]
    for_camera = [sign for sign in signs if sign.grade is Grade.CAMERA_FILE]
    if for_camera and not against:
        return ReceivedAs(grade=Grade.CAMERA_FILE, basis=Basis.LIKELY, reasons=_reasons(for_camera))
    reasons = _reasons(against) or (message("received/no-sign"),)
    return ReceivedAs(grade=Grade.UNKNOWN, basis=Basis.NONE, reasons=reasons)


def _reasons(signs: Sequence[Sign]) -> tuple[Message, ...]:
    return tuple(dict.fromkeys(sign.reason for sign in signs))


def _by_name(name: str, facts: Facts) -> list[Sign]:
    base = name.replace("\\", "/").rpartition("/")[2].strip()
    tables = (
        (Grade.MESSENGER, MESSENGER_NAMES),
        (Grade.SCREEN_RECORDING, SCREEN_NAMES),
        (Grade.DOWNLOAD, DOWNLOAD_NAMES),
    )
    for grade, table in tables:
        for by, pattern in table:
            if pattern.fullmatch(base):
                if facts.maker_notes or facts.device:
                    # What such a program sends or records holds none; somebody gave the name to another file.
                    return [Sign(grade=None, reason=message("received/name-against", by=by))]
                return [Sign(grade=grade, reason=message("received/name", by=by, pattern=_masked(base)))]
    return []


def _masked(name: str) -> str:
    """Give the shape of a name, without its numbers; what is no UTF-8 cannot stand in a record."""
    return "".join("0" if c.isdigit() else c for c in name[:40]).encode("utf-8", "replace").decode()


def _by_credential(credential: Credential | None) -> list[Sign]:
    if credential is None:
        return []
    if credential.intact is False:
        return [Sign(grade=None, reason=message("received/credential-broken"))]
    if credential.intact is None:
        return []
    if credential.generated:
        return [Sign(grade=Grade.EDITED, reason=message("received/generated"), stated=True)]
    if credential.edits:
        actions = ", ".join(credential.edits[:6])
        return [Sign(grade=Grade.EDITED, reason=message("received/credential-edit", actions=actions), stated=True)]
    if credential.by_camera:
        return [Sign(grade=Grade.CAMERA_FILE, reason=message("received/credential-camera"))]
    return []
