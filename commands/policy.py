"""`policy`, `clean`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from archive.access import Action, require
from archive.catalogue.items import item_by_number
from archive.errors import InputError, TestigoError
from archive.types import Audience, EvidenceKind, Handling
from cli import Rooms
from commands.clear_copy import ClearCopy
from commands.door import GivenPath, GivenText, common, printable, refuse_output
from commands.plan import only_planned, plannable
from commands.talk import Talk, counted, octets
from custody.clean_copies import record_clean_copy
from export.gate import refuse_copy
from media.classify import ClassedTag, classify_all
from media.cleaning import Plan, Verdict, plan_copy
from media.copies import MemoryCopy
from media.generalising import in_general
from media.identify import HEAD_OCTETS
from media.mail_head import headers
from media.metadata_classes import MetadataClass
from media.policy import ALWAYS_KEPT, WHY, Policy
from media.ranges import SeekableFile, as_ranges
from media.tags import parse_tags
from media.workbench import Examination

_LETTERS = {Handling.KEEP: "keep", Handling.GENERALISE: "general", Handling.STRIP: "-", Handling.ASK_COUNSEL: "ask"}
_HEADS = ("vault", "counsel", "litig.", "court", "immigr.", "press", "public")
_AUDIENCES = {
    Audience.VAULT: "the vault",
    Audience.COUNSEL: "counsel",
    Audience.LITIGATION: "production in litigation",
    Audience.COURT: "a court's public file",
    Audience.IMMIGRATION: "an immigration court",
    Audience.PRESS: "the press",
    Audience.PUBLIC: "the public",
}
_TRIED_OCTETS = 64 << 20
_SHOWN_VALUE = 32
_IN_CLEAR = (
    "{path} lies in clear: whoever has it can see, hear and read it. Its metadata is without what {audience} must not "
    "get; faces, voices, plates and what is said in it are as they were."
)


@click.group("policy")
def policy() -> None:
    """Show the metadata policy, or try it on a file.

    \b
    Example:
      testigo policy show
      testigo policy test IMG_0412.HEIC --audience press
    """


@policy.command("show")
@click.option("--kind", type=click.Choice([each.value for each in EvidenceKind]), default="photo", help="Of what.")
@common
def policy_show(rooms: Rooms, kind: str) -> int:
    """Show what happens to each class of metadata, for each audience.

    \b
    Example:
      testigo policy show --kind video
    """
    talk, current, of = Talk(rooms.asked), rooms.policy, EvidenceKind(kind)
    talk.say(f"Metadata policy {current.id}")
    talk.say(
        f"For: {of.value}. At intake: {current.at_ingest[of].value}. What cannot be cleaned then: "
        f"{current.uncleanable.value.replace('_', ' ')}."
    )
    talk.say()
    rows = [
        [about.value, *(_LETTERS[current.handling(of, audience, about)] for audience in Audience)]
        for about in MetadataClass
    ]
    talk.table(["class", *_HEADS], rows)
    talk.say()
    talk.say("keep: as it is · general: the day of a time, the neighbourhood of a place, told beside the copy ·")
    talk.say("-: taken out · ask: taken out unless counsel lets it through (--tick)")
    talk.document(
        {
            "policy_id": current.id,
            "kind": of.value,
            "at_ingest": current.at_ingest[of].value,
            "uncleanable": current.uncleanable.value,
            "handling": {
                about.value: {audience.value: current.handling(of, audience, about).value for audience in Audience}
                for about in MetadataClass
            },
        }
    )
    return 0


@policy.command("test")
@click.argument("file", type=GivenPath())
@click.option("--audience", type=click.Choice([each.value for each in Audience]), default="press", help="For whom.")
@click.option(
    "--tick",
    multiple=True,
    type=click.Choice([each.value for each in MetadataClass]),
    help="A class that counsel lets through.",
)
@common
def policy_test(rooms: Rooms, file: Path, audience: str, tick: tuple[str, ...]) -> int:
    """Say, field by field, what would happen to a file and why. Nothing is written; no archive is needed.

    \b
    Example:
      testigo policy test IMG_0412.HEIC --audience press
    """
    talk, ticked = Talk(rooms.asked), frozenset(map(MetadataClass, tick))
    with _opened(file) as source:
        examination = rooms.workbench.examine(source)
        plan = plan_copy(rooms.policy, examination.format.kind, Audience(audience), ticked)
        fields = classify_all(parse_tags(examination.extraction.raw))
        tried = _try(rooms, source, examination, plan)
        head = as_ranges(source).read_range(0, min(HEAD_OCTETS, source.size))
        mail = headers(examination.format.mime_type, head)
    told = [_Told(field, rooms.policy, plan) for field in fields if field.tag.family != "ExifTool"]
    talk.say(
        f"{printable(file.name)}: {examination.format.name}, {examination.format.kind.value}; "
        f"for {_in_words(plan.audience)}"
    )
    computed = ("Composite", "File")  # What ExifTool computes of other fields would only be said twice.
    shown = [each for each in told if each.field.about not in ALWAYS_KEPT and each.field.tag.family not in computed]
    talk.table(
        ["field", "value", "class", "what happens"],
        [(each.field.tag.source, each.value, each.field.about.value.replace("_", " "), each.words) for each in shown],
    )
    if mail:
        lines = [
            (name, value[:_SHOWN_VALUE], "stays: the letter shows it" if stays else "goes")
            for name, value, stays in mail
        ]
        talk.table(["header", "value", "what happens"], lines)
    if isinstance(tried, Verdict) and tried.parts_gone:
        talk.table(["part", "what happens"], [(part, "goes") for part in tried.parts_gone])
    kept = sum(each.field.about in ALWAYS_KEPT for each in told)
    more = counted(kept, "more field says", "more fields say")
    talk.say(f"{more} how it is shown and built, and {'stays' if kept == 1 else 'stay'}.")
    for about in dict.fromkeys(each.field.about for each in shown):
        talk.field(about.value.replace("_", " "), WHY[about])
    _say_tried(talk, tried)
    talk.document(
        {
            "policy_id": plan.policy_id,
            "audience": plan.audience.value,
            "kind": plan.kind.value,
            "mime_type": examination.format.mime_type,
            "fields": [each.document() for each in told],
            "headers": [
                {"header": name, "value": value, "happens": "keep" if stays else "strip"} for name, value, stays in mail
            ],
            "copy": tried.values() if isinstance(tried, Verdict) else None,
            "refused": {"code": tried.code, "reason": tried.message} if isinstance(tried, TestigoError) else None,
        }
    )
    return 0


class _Told:
    """What happens to one field."""

    def __init__(self, field: ClassedTag, current: Policy, plan: Plan) -> None:
        self.field = field
        handling = current.handling(plan.kind, plan.audience, field.about)
        general = in_general(field, plan.place_decimals) if field.about in plan.generalise else ""
        self.value = " ".join(field.tag.text.split())[:_SHOWN_VALUE]
        self.happens = "keep" if field.about in plan.keep else "generalise" if general else "strip"
        self.general = general
        self.words = {"keep": "may stay", "generalise": f"told beside it: {general}"}.get(self.happens, "goes")
        if handling is Handling.ASK_COUNSEL and self.happens == "strip":
            self.words = "goes, unless counsel lets it through"

    def document(self) -> dict[str, object]:
        return {
            "field": self.field.tag.source,
            "value": self.field.tag.text,
            "class": self.field.about.value,
            "happens": self.happens,
            "becomes": self.general or None,
            "why": WHY[self.field.about],
        }


def _try(rooms: Rooms, source: SeekableFile, examination: Examination, plan: Plan) -> Verdict | TestigoError | None:
    """Make the copy in memory, to say whether it could be made; None for a file that is too large to try."""
    if source.size > _TRIED_OCTETS:
        return None
    try:
        return rooms.workbench.clean(source, examination, plan, MemoryCopy())
    except TestigoError as error:
        return error


def _say_tried(talk: Talk, tried: Verdict | TestigoError | None) -> None:
    match tried:
        case None:
            talk.say("Whether such a copy can be made was not tried: the file is large.")
        case Verdict(whole=True):
            talk.say("Nothing in it has to go: a copy would be the file itself, octet for octet.")
        case Verdict():
            talk.say(f"Tried: such a copy can be made, {octets(tried.size)}; {tried.reader} found nothing else in it.")
        case TestigoError():
            talk.say(f"Tried: REFUSED. {tried.message}")


@click.command("clean")
@click.argument("item", required=False)
@click.option("--file", "file", type=GivenPath(), help="A plain file instead of an item; needs no archive.")
@click.option("--audience", type=click.Choice([each.value for each in Audience]), required=True, help="For whom.")
@click.option(
    "--tick",
    multiple=True,
    type=click.Choice([each.value for each in MetadataClass]),
    help="A class that counsel lets through.",
)
@click.option("--reason", type=GivenText(), default="a copy for its audience", help="Why; kept in the log.")
@click.option("-o", "--output", type=GivenPath(), required=True, help="Where the copy goes, in clear.")
@plannable
@common
def clean(
    rooms: Rooms, item: str | None, file: Path | None, audience: str, tick: tuple[str, ...], reason: str, output: Path
) -> int:
    """Make a copy without the metadata that its audience must not get, have it read again, and only then keep it.

    \b
    Example:
      testigo clean E-2026-00412 --audience press -o for-the-press.jpg
      testigo clean --file IMG_0412.HEIC --audience press -o for-the-press.heic

    What cannot be cleaned is refused with the reason, and nothing is written.
    """
    if (item is None) == (file is None):
        raise click.UsageError("Give either an item or --file.")
    refuse_output(rooms, output)
    if rooms.asked.dry_run or rooms.asked.explain:
        return _plan_clean(rooms, item, Audience(audience), output)
    talk, ticked = Talk(rooms.asked), frozenset(map(MetadataClass, tick))
    if file is not None:
        with _opened(file) as source:
            verdict = _make(rooms, source, Audience(audience), ticked, output)
    else:
        verdict = _of_item(rooms, str(item), Audience(audience), ticked, reason, output)
    _report(talk, verdict, output)
    return 0


def _plan_clean(rooms: Rooms, item: str | None, audience: Audience, output: Path) -> int:
    """Say what would be made; whether a file can be cleaned is only known when it was."""
    entries = ["1 access", "1 metadata modification"] if item is not None else []
    if item is not None:
        require(rooms.actor, Action.BUILD_PACKET)
        with rooms.database.reading() as session:
            item_by_number(session, item)
    only_planned(rooms, f"write a copy of {item or 'the file'} for {_in_words(audience)} to {output}", entries)
    return 0


def _of_item(
    rooms: Rooms, number: str, audience: Audience, ticked: frozenset[MetadataClass], reason: str, output: Path
) -> Verdict:
    """Enter the access, make the copy, enter what was made; in this order."""
    purpose = f"clean copy for {_in_words(audience)}: {reason}"
    actor = rooms.actor
    try:
        # The place first: an access that ends at it would be in the log for nothing.
        room, allowed = rooms.reading_room, partial(refuse_copy, audience=audience)
        with ClearCopy(output) as copy, room.open_content(actor, number, purpose, allowed) as (item, source):
            examination = rooms.workbench.examine(source)
            plan = plan_copy(rooms.policy, EvidenceKind(item.evidence_kind), audience, ticked)
            verdict = rooms.workbench.clean(source, examination, plan, copy)
            told = {**verdict.values(), "sha256": verdict.sha256.hex(), "size": verdict.size}
            record_clean_copy(rooms.ledger, actor, item, purpose, told)
            copy.keep()
        return verdict
    finally:
        rooms.publisher.publish()


def _make(
    rooms: Rooms, source: SeekableFile, audience: Audience, ticked: frozenset[MetadataClass], output: Path
) -> Verdict:
    with ClearCopy(output) as copy:
        examination = rooms.workbench.examine(source)
        plan = plan_copy(rooms.policy, examination.format.kind, audience, ticked)
        verdict = rooms.workbench.clean(source, examination, plan, copy)
        copy.keep()
    return verdict


def _report(talk: Talk, verdict: Verdict, output: Path) -> None:
    talk.say(f"{printable(str(output))}  {octets(verdict.size)}, for {_in_words(verdict.plan.audience)}")
    talk.field("sha256", verdict.sha256.hex())
    if verdict.whole:
        talk.field("went", "nothing: it is the original, octet for octet")
    elif not verdict.removed and not verdict.parts_gone:
        talk.field("went", "no field that a reader could name; the file was made anew all the same")
    elif verdict.removed:
        went = ", ".join(f"{about.value.replace('_', ' ')} ({count})" for about, count in verdict.removed)
        talk.field("went", went)
    for track in verdict.parts_gone:
        talk.field("went", track)
    for each in verdict.generalised:
        talk.field("beside it", f"{each.about.value}: {each.text}")
    if not verdict.whole:
        talk.field("made by", f"{verdict.tool} {verdict.version}")
        talk.field("read by", f"{verdict.reader} {verdict.reader_version}, which found nothing else")
    talk.field("policy", verdict.plan.policy_id)
    talk.warn(_IN_CLEAR.format(path=printable(str(output)), audience=_in_words(verdict.plan.audience)))
    told = {**verdict.values(), "sha256": verdict.sha256.hex(), "size": verdict.size}
    talk.document({"ok": True, "path": str(output), **told})


class _Plain:
    """A plain file with its size, as the workbench wants it."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self.size = os.fstat(descriptor).st_size

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()


@contextmanager
def _opened(path: Path) -> Iterator[_Plain]:
    """Open a plain file for reading. Raises: InputError `cli/unreadable-file`."""
    try:
        # Not waiting at a pipe that somebody named like a file.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable() from error
    file = _Plain(descriptor)
    try:
        if not path.is_file():
            raise _unreadable()
        yield file
    finally:
        file.close()


def _unreadable() -> InputError:
    return InputError("cli/unreadable-file", "This is no file that can be read. Nothing was done.")


def _in_words(audience: Audience) -> str:
    return _AUDIENCES[audience]


COMMANDS = {"policy": policy, "clean": clean}
