"""`rebuild`."""

from pathlib import Path

import click

from archive.age.recipients import KeyIdentity
from archive.catalogue.accounts import list_staff, organisation
from archive.catalogue.items import NOT_SHOWN, list_items, objects_by_item
from archive.durable import make_folder_durably
from archive.errors import AccessError, ConfigError, IntegrityError, LockedError, NotFoundError
from archive.jobs import JobKind
from archive.types import Actor, ItemRole, StaffId
from cli import DONE_IN_PART, Rooms
from commands.account import os_user
from commands.door import common, printable
from commands.plan import only_planned, plannable
from commands.talk import Talk, ask_passphrase, counted, read_recovery_key
from custody.accounts import actor_of, as_actor
from custody.canonical import Json
from custody.drafts import Draft
from custody.entries import EventKind
from custody.keyrings import Keyrings
from custody.rebuild import Rebuild, Rebuilt
from ingest.comparing import ask_to_compare


@click.command("rebuild")
@click.option(
    "--recovery",
    type=click.Path(path_type=Path, allow_dash=True),
    multiple=True,
    help="A file with the recovery key, or with a part of a split one; `-` for the terminal.",
)
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Read your passphrase from a file.")
@plannable
@common
def rebuild(rooms: Rooms, recovery: tuple[Path, ...], passphrase_file: Path | None) -> int:
    """Make the catalogue anew from store and keys.

    \b
    Example:
      mv var/catalogue.sqlite /somewhere/safe/      a damaged one is kept, never deleted
      testigo rebuild
      testigo rebuild --recovery part-1.txt --recovery part-3.txt

    Needs the store, the folder of key files, the log's signing keys, and your passphrase or the recovery key. Objects
    and keys are only read. The new catalogue is compared with every checkpoint before it takes its place; then what no
    checkpoint covers is put aside in the log, and the newest one back where it is missing.
    """
    talk = Talk(rooms.asked)
    if rooms.catalogue_path.exists():
        raise ConfigError(
            "archive/catalogue-there",
            "There is a catalogue here. Nothing was changed. Move it away first, and keep it.",
        )
    rooms.places.refuse_absent()  # Before the store is opened, which would begin it anew where its disk is not mounted.
    if only_planned(rooms, f"make {rooms.catalogue_path} anew from store and keys", ["1 rebuild"]):
        return 0
    opener: StaffId | None = None
    if recovery:
        identity = _recovery(rooms, recovery)
    else:
        identity, opener = _office(rooms, ask_passphrase(passphrase_file))
    make_folder_durably(rooms.run_folder / "agent")  # A copy brought from elsewhere has none.
    rooms.agent.lock()  # One that still runs judges accesses by the lost catalogue.
    if not rooms.signing_keys_path.is_file():
        talk.aside(
            "The log's signing keys are not here. The log is checked with the keys that the store itself states, and "
            "nothing can be entered, this rebuilding neither, until the file is put back."
        )
    built = Rebuild(
        target=rooms.catalogue_path,
        store=rooms.store,
        key_files=rooms.key_files,
        verifier_keys=rooms.verifier_keys,
        authorities=[authority.name for authority in rooms.settings.custody.authorities],
        clock=rooms.clock,
    ).run(identity)
    waiting = ask_for_work(rooms)
    is_entered = rooms.signing_keys_path.is_file()
    if is_entered:
        _state_keyrings(rooms)
        _enter(rooms, built, opener)
    status = _report(talk, built)
    if waiting:
        talk.say(f"{counted(waiting, 'job')} for previews and comparisons will be done by `testigo worker`.")
    return status if is_entered else DONE_IN_PART


def ask_for_work(rooms: Rooms) -> int:
    """Ask anew for what is no record and went with the lost file: previews and comparisons that are wanting."""
    with rooms.database.writing() as session:
        kept = [item for item, _ in list_items(session) if item.state == "kept" and item.role == ItemRole.ORIGINAL]
        objects = objects_by_item(session, [item.id for item in kept])
        bare = [str(item.id) for item in kept if not set(objects[item.id]) - NOT_SHOWN]
        rooms.jobs.enqueue(session, JobKind.PREVIEW, bare)
        return len(bare) + ask_to_compare(rooms.jobs, session, kept, objects)


def _office(rooms: Rooms, passphrase: str) -> tuple[KeyIdentity, StaffId]:
    """Open the office identity with whichever person's copy the passphrase fits: the accounts are in the lost file."""
    for staff_id in rooms.key_files.granted():
        try:
            return rooms.key_files.open_copy(staff_id, passphrase), staff_id
        except LockedError:
            continue
    raise LockedError(
        "keys/wrong-passphrase",
        "The passphrase fits no copy of the office key that is here. Nothing was built. Use the recovery key "
        "(--recovery) if the passphrase is lost.",
    )


def _recovery(rooms: Rooms, files: tuple[Path, ...]) -> KeyIdentity:
    generation = rooms.key_files.generation()
    if generation is None:
        raise NotFoundError("keys/no-such-key", "There are no key files here that a recovery key could open.")
    return read_recovery_key(files, generation.keyring.kind)


def _state_keyrings(rooms: Rooms) -> None:
    """Sign whom the archive seals to, as its log says, where no statement of it is here or it cannot be believed.

    One that stands is left: a rotation that was broken off may be between its entry and its statement.
    """
    statement = rooms.ledger.keyrings
    try:
        statement.standing()
    except IntegrityError:
        with rooms.database.reading() as session:
            statement.state(Keyrings.of(organisation(session)))


def _enter(rooms: Rooms, built: Rebuilt, opener: StaffId | None) -> None:
    """Enter what was done, under the account whose copy of the key was used, and publish."""
    told: dict[str, Json] = {
        "entries": built.entries,
        "root": built.root.hex(),
        "key": "recovery" if opener is None else "office",
        "problems": len(built.problems),
    }
    values = (("purpose", "catalogue rebuilt from store and keys"), ("rebuilt", told))
    rooms.ledger.record(Draft(event=EventKind.REBUILD, actor=_actor(rooms, opener), values=values))
    rooms.publisher.publish()


def _actor(rooms: Rooms, opener: StaffId | None) -> Actor | None:
    with rooms.database.reading() as session:
        for staff in list_staff(session):
            if staff.id == opener:
                return as_actor(staff)
    try:
        return actor_of(rooms.database, os_user())
    except AccessError:
        return None


def _report(talk: Talk, built: Rebuilt) -> int:
    entries = counted(built.entries, "entry", "entries")
    talk.say(f"The catalogue is there again: {entries}, all under signed checkpoints.")
    for found in built.problems:
        talk.say(f"  {found.finding}  {printable(found.subject)}  {printable(found.words)}")
    for name in built.set_aside:
        talk.say(f"  put aside: {printable(name)}")
    talk.say("Next: testigo verify")
    talk.document(
        {
            "message_type": "summary",
            "ok": not built.problems,
            "entries": built.entries,
            "log_head": built.root.hex(),
            "problems": [{"subject": each.subject, "code": each.code, "words": each.words} for each in built.problems],
            "put_aside": list(built.set_aside),
        }
    )
    return DONE_IN_PART if built.problems else 0


COMMANDS: dict[str, click.Command] = {"rebuild": rebuild}
