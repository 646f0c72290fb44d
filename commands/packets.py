"""`packet build`, `packet check`."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from archive.age.header import Stanza
from archive.age.passphrase import ScryptIdentity
from archive.age.recipients import parse_identity
from archive.age.seekable import SeekableReader
from archive.age.wrapping import Identity, unwrap_file_key
from archive.errors import InputError, NotFoundError, TestigoError
from archive.types import Audience
from cli import DONE_IN_PART, Rooms
from commands.door import GivenText, common, printable
from commands.packet_list import ls
from commands.plan import given
from commands.sealing import chosen_seal, offered_seal
from commands.talk import Talk, counted, octets, read_passphrase
from export import packet_verifier as verifier
from export.consent import AUDIENCES, Withheld
from export.packaging import FileRange
from export.request import BuiltPacket, Forecast, PacketRequest, Step
from export.stranger import verify_sealed

_SEAL_FIRST = (
    "The packet was written IN CLEAR: whoever gets at {place} can read it. To seal it to its receiver instead, so that "
    "nobody else can: --seal-to age1… or --passphrase."
)


@click.group("packet")
def packet() -> None:
    """Build an evidence packet, list those that were built, or check one.

    \b
    Example:
      testigo packet build -i I-2026-0087 --to "A. Ortiz" --basis "client file" --seal-to age1… packet.tar.age
      testigo packet check packet/
    """


@packet.command("build")
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.argument("destination", type=click.Path(path_type=Path), metavar="DEST")
@click.option("-i", "--incident", help="All items of this incident, as `testigo ls -i` lists them.")
@click.option("-x", "--exclude", multiple=True, metavar="ITEM", help="Leave this item of the incident out.")
@click.option(
    "--to", "recipient", type=GivenText(), required=True, metavar="NAME", help="Who receives it; stands in the packet."
)
@click.option(
    "--basis", type=GivenText(), required=True, metavar="TEXT", help="On what legal basis; stands in the packet."
)
@click.option(
    "--audience",
    type=click.Choice([each.value for each in AUDIENCES]),
    help="For whom it is; needed where senders said for whom their files may be used.",
)
@click.option(
    "--compelled",
    type=GivenText(),
    metavar="ORDER",
    help="The court order or subpoena that demands what a sender does not allow; stands in the packet. Two people.",
)
@click.option(
    "--reason", type=GivenText(), help="Why, for the custody log; whoever receives the packet can read it there."
)
@click.option("--seal-to", multiple=True, metavar="AGE1…", help="Seal to the receiver's age recipient. Best.")
@click.option("--passphrase", "ask", is_flag=True, help="Seal under a passphrase, asked for here.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Seal under the passphrase in this file.")
@click.option("-n", "--dry-run", is_flag=True, help="List every item and file name; open and write nothing.")
@click.option("--explain", is_flag=True, help="The custody entries it would write; open and write nothing.")
@common
def build(  # noqa: PLR0913 - one parameter an option
    rooms: Rooms,
    items: tuple[str, ...],
    destination: Path,
    incident: str | None,
    exclude: tuple[str, ...],
    recipient: str,
    basis: str,
    audience: str | None,
    compelled: str | None,
    reason: str | None,
    seal_to: tuple[str, ...],
    ask: bool,
    passphrase_file: Path | None,
) -> int:
    """Build a legal packet: originals, their whole custody log, and what proves both.

    \b
    Example:
      testigo packet build -i I-2026-0087 --to "A. Ortiz" --basis "client file" --seal-to age1… packet.tar.age
      testigo packet build E-2026-00412 --to "A. Ortiz" --basis "client file" --passphrase packet.tar.age
      testigo packet build -i I-2026-0087 --to "A. Ortiz" --basis "client file" packet/     (in clear)

    Sealed, it is one file (a tar file as an age file) that only its receiver opens, with any age client. In clear, it
    is a folder that anyone can read. Either can be checked without this program. On a terminal, where neither a
    recipient nor a passphrase is given, sealing is offered first; with --yes, or where nobody can be asked, the packet
    is written in clear.

    What senders handed over goes only where they allow it: --audience says for whom the packet is. What they do not
    allow, or have taken back, is left out of a packet of an incident, and said (exit 3); by its own number it is
    refused.
    """
    talk = Talk(rooms.asked)
    request = PacketRequest(
        actor=rooms.actor,
        recipient=recipient,
        legal_basis=basis,
        destination=destination.absolute(),
        items=items,
        incident=incident,
        exclude=exclude,
        reason=reason,
        audience=Audience(audience) if audience is not None else None,
        compelled=compelled,
    )
    if rooms.asked.dry_run or rooms.asked.explain:
        return _forecast(rooms, talk, request)
    seal = chosen_seal(seal_to, ask, passphrase_file)
    if seal is None:
        seal = offered_seal(talk, request.destination)
    request = replace(request, seal=seal)
    built = _build(rooms, talk, request)
    _report(talk, built, has_authorities=bool(rooms.settings.custody.authorities))
    return DONE_IN_PART if built.withheld else 0


def _build(rooms: Rooms, talk: Talk, request: PacketRequest) -> BuiltPacket:
    progress = talk.progress()
    if progress is None:
        said: list[str] = []

        def tell(step: Step) -> None:
            _step_document(talk, step)
            if step.words not in said[-1:]:
                said.append(step.words)
                talk.detail(step.words)

        return rooms.disclosure.build_legal(request, tell)
    with progress:
        task = progress.add_task("reading the log", total=None)

        def watch(step: Step) -> None:
            progress.update(task, description=step.words, completed=step.octets_done, total=step.octets_total)

        return rooms.disclosure.build_legal(request, watch)


def _step_document(talk: Talk, step: Step) -> None:
    talk.document(
        {
            "message_type": "status",
            "words": step.words,
            "bytes_done": step.octets_done,
            "total_bytes": step.octets_total,
            "percent_done": step.octets_done / step.octets_total if step.octets_total else 1,
        }
    )


def _report(talk: Talk, built: BuiltPacket, *, has_authorities: bool) -> None:
    talk.say(f"{built.number}  {counted(len(built.items), 'exhibit')}, {octets(built.octets)}  {built.path}")
    talk.say(f"  released by entry {built.release} of the log, verified as a stranger would")
    for stamp in built.attested:
        talk.say(f"  time-stamp    {stamp.authority}: {stamp.attested_time:%Y-%m-%d %H:%M:%S} UTC")
    if not built.attested:
        talk.say("  time-stamp    PENDING: no authority outside the archive says yet when. The packet says so, and its")
        later = "Build it again once `testigo worker` has got one."
        never = "The settings name none to ask (custody.authorities)."
        talk.say(f"                check ends with 3. {later if has_authorities else never}")
    if built.apart:
        talk.say(f"  not in it     {', '.join(built.apart)}: received together with an exhibit of this packet")
    _say_withheld(talk, built.withheld)
    if built.sealed_to:
        for name in built.sealed_to:
            talk.say(f"  sealed to     {name if len(name) < 80 else name[:60] + '…'}")
        talk.say("To open and check it, anywhere:")
        talk.say(f"  age -d {'-i KEYFILE ' if built.sealed_to != ('a passphrase',) else ''}{built.path} | tar -x")
        talk.say(f"  cd {built.number} && python3 -I verify.py")
    else:
        talk.warn(_SEAL_FIRST.format(place=built.path))
        talk.say("To check it, anywhere:")
        talk.say(f"  cd {built.path} && python3 -I verify.py")
    talk.document(
        {
            "message_type": "summary",
            "ok": True,
            "packet": built.number,
            "path": str(built.path),
            "in_clear": not built.sealed_to,
            "sealed_to": list(built.sealed_to),
            "items": list(built.items),
            "not_in_it": list(built.apart),
            "withheld": _withheld_document(built.withheld),
            "octets": built.octets,
            "entry": built.release,
            "log_size": built.checkpoint_size,
            "timestamps": [
                {"authority": stamp.authority, "time": stamp.attested_time.isoformat()} for stamp in built.attested
            ],
        }
    )


def _say_withheld(talk: Talk, withheld: Sequence[Withheld]) -> None:
    for each in withheld:
        talk.say(f"WITHHELD: {each.number}: {each.words}")


def _withheld_document(withheld: Sequence[Withheld]) -> list[dict[str, str]]:
    return [{"item": each.number, "why": str(each.why), "words": each.words} for each in withheld]


def _forecast(rooms: Rooms, talk: Talk, request: PacketRequest) -> int:
    forecast = rooms.disclosure.forecast(request, rooms.clock().year)
    talk.say(f"Would build {forecast.number} (the next number; not used up), for {printable(request.recipient)}")
    talk.table(
        ("item", "file", "kind", "size", "received (UTC)", ""),
        [
            (
                i.number,
                f"data/exhibits/{i.number}.*",
                i.kind,
                octets(i.size),
                f"{i.received_time:%Y-%m-%d %H:%M}",
                "received here too" if i.linked else "",
            )
            for i in forecast.items
        ],
    )
    size = sum(item.size for item in forecast.items)
    talk.say(f"{counted(len(forecast.items), 'exhibit')}, {octets(size)}, each with")
    talk.say(
        "data/metadata/ITEM.json; data/index.csv, data/index.json. An extension (.*) follows the identified format."
    )
    if forecast.left_out:
        talk.say(f"{counted(forecast.left_out, 'item')} of the incident left out, as asked")
    for number in forecast.apart:
        talk.say(f"Not in it: {number} was received together with one of these. Name it too if it belongs.")
    for number, why in forecast.refused:
        talk.say(f"REFUSED: {number}: {why}")
    _say_withheld(talk, forecast.withheld)
    if any(each.by_number for each in forecast.withheld):
        talk.say("Items that were asked for by number and may not go there: the build would be refused.")
    for each in forecast.compelled:
        talk.say(f"COMPELLED: {each.number}: {each.words}; it would go all the same, once another person agrees")
    if rooms.asked.explain:
        _explain(talk, forecast)
    if forecast.locked:
        talk.say("The archive is locked: `testigo unlock` before building.")
    without = given(rooms.asked.dry_run, rooms.asked.explain)
    talk.say(f"Nothing was opened or written. To build: the same line without {without}")
    talk.document(
        {
            "message_type": "summary",
            "dry_run": True,
            "packet": forecast.number,
            "items": [
                {"item": i.number, "kind": i.kind, "size": i.size, "received_here_too": i.linked}
                for i in forecast.items
            ],
            "left_out": forecast.left_out,
            "not_in_it": list(forecast.apart),
            "refused": [{"item": number, "why": why} for number, why in forecast.refused],
            "withheld": _withheld_document(forecast.withheld),
            "compelled": _withheld_document(forecast.compelled),
            "locked": forecast.locked,
        }
    )
    return DONE_IN_PART if forecast.refused or forecast.withheld else 0


def _explain(talk: Talk, forecast: Forecast) -> None:
    each = counted(len(forecast.items), "item")
    talk.say("Entries it would write:")
    talk.say("  1 metadata modification: the packet's number and record")
    talk.say(f"  1 access, in the log of each of {each}, before anything is opened")
    talk.say(f"  1 dissemination, the last in the log of each of {each}: who, on what basis, which payload")
    talk.say("  and where it fails: 1 dissemination with outcome failure; where it is refused: 1 refusal")


@packet.command("check")
@click.argument("place", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--log-key", multiple=True, metavar="VKEY", help="Insist on this published log key.")
@click.option(
    "--timestamp-root",
    "roots",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PEM",
    help="Trust only this root for time-stamps.",
)
@click.option("-k", "--key-file", type=click.Path(path_type=Path), help="For a sealed packet: your age identity file.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="For a sealed packet: its passphrase.")
@click.option("--all", "everything", is_flag=True, help="A line for every file.")
@common
def check(  # noqa: PLR0913 - one parameter an option
    rooms: Rooms,
    place: Path,
    log_key: tuple[str, ...],
    roots: tuple[Path, ...],
    key_file: Path | None,
    passphrase_file: Path | None,
    everything: bool,
) -> int:
    """Check a packet. Needs no archive, account or network. Ends 0 matches, 4 does not match, 3 cannot tell.

    \b
    Example:
      testigo packet check packet/ --log-key "archive.example/log+1a2b3c4d+AQ…"
      testigo packet check packet.tar.age --key-file key.txt
    """
    talk = Talk(rooms.asked)
    options = _options(log_key, roots)
    if place.is_dir():
        report = verifier.verify_packet(place, options)
    elif place.is_file():
        report = _check_sealed(place, _identities(key_file, passphrase_file), options)
    else:
        raise NotFoundError("export/no-such-packet", "There is no packet at that path.")
    for line in verifier.lines_of(report, everything):
        talk.say(line)
    talk.document({"message_type": "summary", "ok": report.exit_code == 0, **json.loads(verifier.as_json(report))})
    return report.exit_code


def _options(log_keys: tuple[str, ...], roots: tuple[Path, ...]) -> verifier.Options:
    try:
        keys = [verifier.read_verifier_key(text.strip()) for text in log_keys]
        certificates = [one for path in roots for one in verifier.read_pem(path.read_bytes())]
    except (verifier.DoesNotMatch, verifier.CannotTell) as error:
        raise click.UsageError(f"A key or certificate that you gave {error}.") from error
    except OSError as error:
        raise click.UsageError("A root certificate cannot be read.") from error
    return verifier.Options(log_keys=keys, roots=certificates)


def _identities(key_file: Path | None, passphrase_file: Path | None) -> list[Identity]:
    if passphrase_file is not None:
        return [ScryptIdentity(read_passphrase(passphrase_file))]
    if key_file is None:
        raise click.UsageError("That is a sealed packet: give --key-file or --passphrase-file.")
    try:
        lines = [line.strip() for line in key_file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cli/unreadable-file", "The key file cannot be read. Nothing was checked.") from error
    return [parse_identity(line) for line in lines if line and not line.startswith("#")]


class _Remembered:
    """Opens a header once: each file of a packet is read anew, and a passphrase takes a second."""

    def __init__(self, identities: list[Identity]) -> None:
        self._identities = identities
        self._file_key: bytes | None = None

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        if self._file_key is None:
            self._file_key = unwrap_file_key(stanzas, self._identities)
        return self._file_key


def _check_sealed(place: Path, identities: list[Identity], options: verifier.Options) -> verifier.Report:
    """Check through the seal; nothing in clear is written anywhere."""
    with place.open("rb") as file:
        source, key = FileRange(file), _Remembered(identities)
        SeekableReader(source, identities=[key])
        try:
            return verify_sealed(lambda: SeekableReader(source, identities=[key]), options)
        except TestigoError as error:
            report = verifier.Report()
            report.differs("the sealed file", error.message)
            return report


packet.add_command(ls)
COMMANDS: dict[str, click.Command] = {"packet": packet}
