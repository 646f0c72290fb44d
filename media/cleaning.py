"""Making a copy from which has gone what must not leave, and having it read before anybody gets it.

Choose the cleaner → clean to a sink → the second reader reads the result → a verdict, or a refusal with its reason.
Where nothing in a file must go, its copy is the file itself, octet for octet.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from archive.errors import InputError
from archive.types import Audience, EvidenceKind, Handling
from media.classify import ClassedTag
from media.cleaners.port import UNTOLD, Cleaned, Cleaner, CleanRequest, Copy
from media.generalising import Generalised, generalise
from media.identify import Format
from media.metadata_classes import MetadataClass
from media.metadata_reader import MetadataReader
from media.policy import ALWAYS_KEPT, Policy
from media.problems import NOT_READ, Problem
from media.ranges import RangeSource
from media.second_reader import Reading, SecondReader, traces_of

_COPIED_OCTETS = 1 << 20
_COURTS = frozenset({Audience.LITIGATION, Audience.COURT, Audience.IMMIGRATION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a policy says for one copy: which classes stay, and which are told in general words beside it."""

    policy_id: str
    kind: EvidenceKind
    audience: Audience
    keep: frozenset[MetadataClass]
    generalise: frozenset[MetadataClass]
    place_decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A copy that may go to its audience. `removed` counts the fields that went, by class.

    `whole` says that nothing had to go and the copy is the original. `generalised` is told beside the copy and never
    in it. `parts_gone` names each track of a film or a sound that was left out.
    """

    plan: Plan
    whole: bool
    removed: tuple[tuple[MetadataClass, int], ...]
    generalised: tuple[Generalised, ...]
    mime_type: str
    sha256: bytes
    size: int
    tool: str
    version: str
    reader: str
    reader_version: str
    parts_gone: tuple[str, ...] = ()

    def values(self) -> dict[str, object]:
        """What a record says of it: text, whole numbers and lists only."""
        return {
            "policy_id": self.plan.policy_id,
            "audience": self.plan.audience.value,
            "whole": self.whole,
            "removed": {about.value: count for about, count in self.removed},
            "parts_gone": list(self.parts_gone),
            "generalised": [{"class": each.about.value, "value": each.text} for each in self.generalised],
            "mime_type": self.mime_type,
            "tool": f"{self.tool} {self.version}",
            "second_reader": f"{self.reader} {self.reader_version}",
        }


def plan_copy(
    policy: Policy, kind: EvidenceKind, audience: Audience, ticked: frozenset[MetadataClass] = frozenset()
) -> Plan:
    """Say what a copy for an audience keeps; `ticked` are the classes that counsel let through."""
    told = {about for about in MetadataClass if policy.handling(kind, audience, about) is Handling.GENERALISE}
    return Plan(
        policy_id=policy.id,
        kind=kind,
        audience=audience,
        keep=policy.kept(kind, audience, ticked) | ALWAYS_KEPT,
        generalise=frozenset(told),
        place_decimals=policy.place_decimals,
    )


class Cleaning:
    """Cleans files with the cleaners that it was given."""

    def __init__(self, cleaners: Sequence[Cleaner], second_reader: SecondReader) -> None:
        self._cleaners = tuple(cleaners)
        self._second_reader = second_reader

    def refuse_unread(self, form: Format, unread: Problem) -> None:
        """Refuse a file whose fields could not be read, unless its cleaner needs to know of none.

        Raises: InputError `media/cannot-clean`; the reason is that there is no cleaner, where there is none.
        """
        if form.mime_type in UNTOLD and unread.code == NOT_READ:
            return
        if not any(each.takes(form) for each in self._cleaners):
            raise _no_cleaner(form)
        raise InputError(
            "media/cannot-clean",
            f"This file cannot be cleaned, because what is in it could not be read: {unread.reason}",
        )

    def clean(
        self,
        source: RangeSource,
        form: Format,
        fields: Sequence[ClassedTag],
        plan: Plan,
        copy: Copy,
        *,
        reader: MetadataReader,
        seconds: float,
    ) -> Verdict:
        """Make a copy for the plan's audience and have it read.

        Raises: InputError `media/cannot-clean`, `media/not-clean`, each with the reason; UnavailableError as
        `media.conversation`; what the source and the copy raise. Then the copy is nobody's and must be thrown away.
        """
        traces = traces_of(fields, plan.keep)
        if _nothing_must_go(fields, plan):
            return _whole(source, form, plan, copy)
        cleaner = next((each for each in self._cleaners if each.takes(form)), None)
        if cleaner is None:
            raise _no_cleaner(form)
        if form.polyglot_signs:
            raise cannot_clean(f"it is also a file of another kind ({', '.join(form.polyglot_signs)}).")
        request = CleanRequest(
            source=source,
            format=form,
            keep=plan.keep,
            deadline=time.monotonic() + seconds,
            traces=traces,
            fields=tuple(fields),
            for_court=plan.audience in _COURTS,
        )
        cleaned = cleaner.clean(request, copy.sink)
        with copy.reading() as made:
            reading = self._second_reader.read(
                made,
                cleaned,
                keep=plan.keep,
                traces=traces,
                reader=reader,
                deadline=time.monotonic() + seconds,
            )
        return _verdict(plan, fields, cleaned, reading)


def cannot_clean(reason: str) -> InputError:
    """Make the refusal of a file that cannot be cleaned."""
    return InputError("media/cannot-clean", f"This file cannot be cleaned: {reason} The original is kept as it is.")


def _no_cleaner(form: Format) -> InputError:
    return cannot_clean(f"there is no cleaner here for this kind of file ({form.name}).")


def _whole(source: RangeSource, form: Format, plan: Plan, copy: Copy) -> Verdict:
    for start in range(0, source.size, _COPIED_OCTETS):
        copy.sink.write(source.read_range(start, min(_COPIED_OCTETS, source.size - start)))
    with copy.reading() as made:
        digest, size = _digest_of(made), made.size
    return Verdict(
        plan=plan, whole=True, removed=(), generalised=(), mime_type=form.mime_type, sha256=digest, size=size,
        tool="none", version="-", reader="SHA-256", reader_version="-",
    )  # fmt: skip


def _digest_of(copy: RangeSource) -> bytes:
    digest = hashlib.sha256()
    for start in range(0, copy.size, _COPIED_OCTETS):
        digest.update(copy.read_range(start, min(_COPIED_OCTETS, copy.size - start)))
    return digest.digest()


def _nothing_must_go(fields: Sequence[ClassedTag], plan: Plan) -> bool:
    """Only where even what nobody knows may stay; else a file is cleaned however little it says."""
    return MetadataClass.UNCLASSED in plan.keep and all(each.about in plan.keep for each in fields)


def _verdict(plan: Plan, fields: Sequence[ClassedTag], cleaned: Cleaned, reading: Reading) -> Verdict:
    went = Counter(each.about for each in fields if each.about not in ALWAYS_KEPT and each.tag.family != "Composite")
    went.subtract(each.about for each in reading.fields)
    return Verdict(
        plan=plan,
        whole=False,
        removed=tuple((about, went[about]) for about in MetadataClass if went[about] > 0),
        generalised=tuple(generalise(fields, plan.generalise, plan.place_decimals)),
        mime_type=cleaned.mime_type,
        sha256=reading.sha256,
        size=reading.size,
        tool=cleaned.tool,
        version=cleaned.version,
        reader=reading.reader,
        reader_version=reading.version,
        parts_gone=cleaned.gone,
    )
