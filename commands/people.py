"""`staff`, `keys`."""

from pathlib import Path

import click

from archive.access import Action, require
from archive.age.keyring import Keyring
from archive.age.recipients import KeyIdentity
from archive.catalogue.accounts import list_staff, organisation
from archive.errors import ConflictError
from archive.keyfiles import strong_passphrase
from archive.types import Role, StaffId
from cli import Rooms
from commands.door import GivenPath, common
from commands.plan import only_planned, plannable
from commands.talk import Talk, ask_other_passphrase, ask_passphrase, counted, read_recovery_key
from custody.accounts import admit, dismiss, grant_copy
from custody.rotation import open_for_rotation, refuse_other_key, rotate, rotate_with_recovery

_passphrase_file = click.option("--passphrase-file", type=GivenPath(), help="Read your passphrase from a file.")
_THEIRS = "Their passphrase (they type it): "
_ROTATION = ("1 encryption: the new vault keyring, before the first key file is sealed to it",)


@click.group("staff")
def staff() -> None:
    """Admit people, list them, close accounts.

    \b
    Example:
      testigo staff add ortiz --role attorney --may-unlock
    """


@staff.command("add")
@click.argument("account", metavar="OS-USER")
@click.option("--role", type=click.Choice([r.value for r in Role]), required=True, help="What they may do.")
@click.option("--may-unlock", is_flag=True, help="Give them their own copy of the office key.")
@click.option("--their-passphrase-file", type=GivenPath(), help="Their passphrase, from a file.")
@_passphrase_file
@plannable
@common
def staff_add(
    rooms: Rooms,
    account: str,
    role: str,
    may_unlock: bool,
    their_passphrase_file: Path | None,
    passphrase_file: Path | None,
) -> int:
    """Bind an account to an operating-system user.

    \b
    Example:
      testigo staff add ortiz --role attorney --may-unlock
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.ADMIT_STAFF)
    entries = ["1 metadata modification: the account's record; the name of the system user is closed"]
    if only_planned(rooms, f"admit a system user as {role}" + (", who may unlock" if may_unlock else ""), entries):
        return 0
    copy = None
    if may_unlock:
        office = _office(rooms, passphrase_file)
        theirs = ask_other_passphrase(their_passphrase_file, _THEIRS)
        copy = (office, theirs)
    made = admit(
        rooms.ledger,
        rooms.present_key_files,
        rooms.actor,
        os_user=account,
        role=Role(role),
        copy=copy,
        new_id=rooms.new_id,
    )
    rooms.publisher.publish()
    talk.say(f"{made.pseudonym}  {made.role}" + ("  may unlock" if may_unlock else ""))
    talk.document({"message_type": "summary", "ok": True, "account": made.pseudonym, "role": made.role})
    return 0


@staff.command("ls")
@common
def staff_ls(rooms: Rooms) -> int:
    """List accounts by their pseudonyms.

    \b
    Example:
      testigo staff ls
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.LIST_RECORDS)
    holders = set(rooms.present_key_files.granted())
    with rooms.database.reading() as session:
        found = list_staff(session)
    for one in found:
        talk.document({"account": one.pseudonym, "role": one.role, "state": one.state, "may_unlock": one.id in holders})
    rows = [(one.pseudonym, one.role, one.state, "yes" if one.id in holders else "no") for one in found]
    talk.table(("account", "role", "state", "may unlock"), rows)
    return 0


@staff.command("close")
@click.argument("pseudonym")
@_passphrase_file
@plannable
@common
def staff_close(rooms: Rooms, pseudonym: str, passphrase_file: Path | None) -> int:
    """Close an account, delete its copy of the office key and rotate the vault keyring.

    \b
    Example:
      testigo staff close staff-3f9a1c

    Copies of key files that this person kept elsewhere stay readable to them: rotation protects what comes after.
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.ADMIT_STAFF)
    if pseudonym == rooms.actor.pseudonym:
        raise ConflictError(
            "access/own-account",
            "That is your own account. Nothing was changed. Another coordinator must close it, so that somebody is "
            "left who can unlock the archive and admit people.",
        )
    held_a_copy = pseudonym in _holders(rooms)
    entries = [
        "1 metadata modification: the account is closed",
        "1 policy assignment for each act that it asked a second person for: withdrawn",
        *(_ROTATION if held_a_copy else ()),
    ]
    if only_planned(rooms, f"close {pseudonym}" + (" and rotate the keyring" if held_a_copy else ""), entries):
        return 0
    passphrase = ask_passphrase(passphrase_file) if held_a_copy else None
    if passphrase is not None:  # What keeps the keyring as it was must not leave the account closed.
        open_for_rotation(rooms.ledger, rooms.present_key_files, rooms.actor, passphrase)
    closed = dismiss(rooms.ledger, rooms.present_key_files, rooms.actor, name=pseudonym)
    talk.say(f"{closed.pseudonym} is closed.")
    if passphrase is not None:
        _rotate(rooms, talk, passphrase)
    rooms.publisher.publish()
    talk.document({"message_type": "summary", "ok": True, "account": closed.pseudonym, "rotated": held_a_copy})
    return 0


@click.group("keys")
def keys() -> None:
    """Rotate the vault keyring, give out copies of the office key, check recovery keys.

    \b
    Example:
      testigo keys rotate
    """


@keys.command("rotate")
@click.option(
    "--recovery",
    type=click.Path(path_type=Path, allow_dash=True),
    multiple=True,
    help="A file with the recovery key, or with a part of a split one; `-` for the terminal.",
)
@click.option("--restored", is_flag=True, help="Catalogue and key files were restored from copies of different days.")
@_passphrase_file
@plannable
@common
def keys_rotate(rooms: Rooms, recovery: tuple[Path, ...], restored: bool, passphrase_file: Path | None) -> int:
    """Make a new office key and seal every key file to it; objects are not touched.

    \b
    Example:
      testigo keys rotate
      testigo keys rotate --recovery - --recovery -      type each part, read from its paper

    With the recovery key it goes where no passphrase opens the archive any more, and over a rotation that somebody
    began and cannot finish: you choose a new passphrase. Everyone else who may unlock must be given a new copy:
    `testigo keys grant`.
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.ROTATE_KEYS)
    count = counted(len(rooms.present_key_files.list()), "key file")
    how = " with the recovery key, under your new passphrase," if recovery else ""
    if only_planned(rooms, f"make a new office key{how} and seal {count} to it", _ROTATION):
        return 0
    if recovery:
        _recover(rooms, talk, recovery, passphrase_file, is_restored=restored)
    else:
        _rotate(rooms, talk, ask_passphrase(passphrase_file), is_restored=restored)
    rooms.publisher.publish()
    return 0


@keys.command("grant")
@click.argument("pseudonym")
@click.option("--their-passphrase-file", type=GivenPath(), help="Their passphrase, from a file.")
@_passphrase_file
@plannable
@common
def keys_grant(rooms: Rooms, pseudonym: str, their_passphrase_file: Path | None, passphrase_file: Path | None) -> int:
    """Give an account its own passphrase-sealed copy of the office key.

    \b
    Example:
      testigo keys grant staff-3f9a1c
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.ADMIT_STAFF)
    entries = [f"1 encryption: a copy of the office key given to {pseudonym}"]
    if only_planned(rooms, f"give {pseudonym} a copy of the office key under their passphrase", entries):
        return 0
    office = _office(rooms, passphrase_file)
    theirs = ask_other_passphrase(their_passphrase_file, _THEIRS)
    grant_copy(rooms.ledger, rooms.present_key_files, rooms.actor, name=pseudonym, copy=(office, theirs))
    rooms.publisher.publish()
    talk.say(f"{pseudonym} may unlock.")
    talk.document({"message_type": "summary", "ok": True, "account": pseudonym})
    return 0


@keys.command("recovery")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@common
def keys_recovery(rooms: Rooms, files: tuple[Path, ...]) -> int:
    """Check that a recovery key, or enough parts of a split one, opens this archive. Nothing is changed.

    \b
    Example:
      testigo keys recovery - -                     type each part, read from its paper
      testigo keys recovery part-1.txt part-3.txt
    """
    talk = Talk(rooms.asked)
    with rooms.database.reading() as session:
        keyring = Keyring.parse(organisation(session).vault_keyring)
    part = keyring.part_of(read_recovery_key(files, keyring.kind).recipient)
    talk.say(f"This is the {part} key of this archive.")
    talk.document({"message_type": "summary", "ok": True, "part": part})
    return 0


def _rotate(rooms: Rooms, talk: Talk, passphrase: str, *, is_restored: bool = False) -> None:
    rooms.agent.lock()
    key_files, actor = rooms.present_key_files, rooms.actor
    count = rotate(rooms.ledger, key_files, actor, passphrase=passphrase, is_restored=is_restored)
    _say_rotated(talk, count, "Your passphrase stays the same.")


def _recover(
    rooms: Rooms, talk: Talk, files: tuple[Path, ...], passphrase_file: Path | None, *, is_restored: bool
) -> None:
    """Rotate with the recovery key. It is judged before a passphrase is asked for, and before anything is locked."""
    keyrings = rooms.ledger.keyrings.standing()
    recovery = read_recovery_key(files, keyrings.vault.kind)
    refuse_other_key(keyrings, recovery)
    passphrase = strong_passphrase(ask_passphrase(passphrase_file, twice=True, prompt="Your new passphrase: "))
    rooms.agent.lock()
    count = rotate_with_recovery(
        rooms.ledger,
        rooms.present_key_files,
        rooms.actor,
        recovery=recovery,
        passphrase=passphrase,
        is_restored=is_restored,
    )
    _say_rotated(talk, count, "It opens with your new passphrase (`testigo unlock`); the recovery key stays the same.")


def _say_rotated(talk: Talk, count: int, words: str) -> None:
    talk.say(f"{counted(count, 'key file was', 'key files were')} sealed anew; the archive is locked. {words}")
    talk.say("Everyone else who may unlock needs a new copy: `testigo keys grant ACCOUNT`.")


def _office(rooms: Rooms, passphrase_file: Path | None) -> KeyIdentity:
    """Open the office identity with the acting person's own copy."""
    return rooms.present_key_files.open_copy(StaffId(rooms.actor.staff_id), ask_passphrase(passphrase_file))


def _holders(rooms: Rooms) -> set[str]:
    holders = set(rooms.present_key_files.granted())
    with rooms.database.reading() as session:
        return {one.pseudonym for one in list_staff(session) if one.id in holders}


COMMANDS: dict[str, click.Command] = {"staff": staff, "keys": keys}
