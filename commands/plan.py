"""`--dry-run` and `--explain` of commands whose whole plan is one sentence: what would be done, and its entries."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from cli import Rooms
from commands.talk import Talk

_Command = TypeVar("_Command", bound=Callable[..., Any])


def plannable(command: _Command) -> _Command:
    """Give a command `--dry-run` and `--explain`; `rooms.asked` holds what was given. Stands above `common`."""
    explain = click.option("--explain", is_flag=True, help="The custody entries it would write; write nothing.")
    dry_run = click.option("-n", "--dry-run", is_flag=True, help="Say what would be done; write nothing.")
    return dry_run(explain(command))


def only_planned(rooms: Rooms, would: str, entries: Sequence[str]) -> bool:
    """Say what would be done and tell True where no more was asked for; False where the command is to go on.

    To be called when everything was checked that can be checked without writing, so that a plan that fails says so.
    """
    asked = rooms.asked
    if not (asked.dry_run or asked.explain):
        return False
    talk = Talk(asked)
    talk.say(f"Would {would}.")
    if asked.explain:
        talk.say("Entries it would write:")
        for entry in entries:
            talk.say(f"  {entry}")
    talk.say(f"Nothing was written. To do it: the same line without {given(asked.dry_run, asked.explain)}")
    plan = {"would": would, "entries": list(entries)}
    talk.document({"message_type": "summary", "ok": True, "dry_run": True, **plan})
    return True


def given(dry_run: bool, explain: bool) -> str:
    """Name the options that kept a command from doing anything."""
    return " and ".join(name for name, is_given in (("--dry-run", dry_run), ("--explain", explain)) if is_given)
