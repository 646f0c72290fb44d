"""Which module each command is in, the group that imports a command when it is asked for, and the common options.

The common options may stand before a command, after it, or between a group and its command; what stands last counts.
"""

import importlib
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from commands.output import OutputLostError, end_without_output, silence, watched_output
from commands.summaries import SUMMARIES

_BEFORE = "testigo.before"
_HOME = "The archive's folder (TESTIGO_HOME; default ./var)."
_Command = TypeVar("_Command", bound=Callable[..., Any])

_COMMANDS = {
    "init": "setup",
    "doctor": "setup",
    "unlock": "setup",
    "lock": "setup",
    "staff": "people",
    "keys": "people",
    "incident": "evidence",
    "import": "evidence",
    "ls": "records",
    "show": "records",
    "log": "records",
    "item": "records",
    "clock-offset": "descriptions",
    "preview": "previews",
    "hold": "holds",
    "approvals": "approvals",
    "verify": "checks",
    "checkpoint": "checkpoints",
    "receipt": "checks",
    "exposure": "checks",
    "policy": "policy",
    "clean": "policy",
    "packet": "packets",
    "drop": "drops",
    "names": "names",
    "serve": "serving",
    "worker": "upkeep",
    "jobs": "upkeep",
    "backup": "upkeep",
    "rebuild": "rebuild",
    "completion": "upkeep",
}


class GivenPath(click.Path):
    """A path that was really given: an unset variable in quotes must not come to mean this very folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)  # What cannot be read is told by whoever reads it.

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("", b"") or "\0" in os.fsdecode(value):
            self.fail("an empty path was given.", param, ctx)
        return super().convert(value, param, ctx)


class GivenText(click.ParamType[str]):
    """A text that says something: what a record or a packet rests on must not be blank."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not any(character.isprintable() and not character.isspace() for character in text):
            self.fail("an empty text was given.", param, ctx)
        return text


class Moment(click.ParamType[datetime]):
    """A moment in UTC as people write it: 2026-11-21, 2026-11-21T18:30 or with seconds, with or without an offset."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            if len(value) == len("2026-11-21"):
                moment += timedelta(days=1, microseconds=-1)
        except (ValueError, OverflowError):
            self.fail("that is no moment: write 2026-11-21 or 2026-11-21T18:30 (UTC).", param, ctx)
        return moment


def common_options(command: _Command) -> _Command:
    """Give a command the options that all have."""
    for option in reversed(
        (
            click.option("--home", type=GivenPath(), envvar="TESTIGO_HOME", default=Path("var"), help=_HOME),
            click.option("--config", type=GivenPath(), help="Settings file (default HOME/config.toml)."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON: one document, or a line each."),
            click.option("-q", "--quiet", is_flag=True, help="Print no talk, only results and errors."),
            click.option("-v", "--verbose", is_flag=True, help="Say more: each file, step and finding as it comes."),
            click.option("--no-color", is_flag=True, help="No colours (also NO_COLOR)."),
            click.option("--yes", is_flag=True, help="Do not ask back."),
        )
    ):
        command = option(command)
    return command


def given_before(ctx: click.Context, after: dict[str, Any]) -> dict[str, Any]:
    """Return the common options: what was given after the command, else before it, else by the environment."""
    before = ctx.meta.get(_BEFORE, {})
    return {
        name: value
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE or name not in before
        else before[name]
        for name, value in after.items()
    }


def _take_common_options(group: click.Group) -> None:
    """Let a group take the common options too, and keep those given for its command."""

    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        if param.name is not None and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            ctx.meta.setdefault(_BEFORE, {})[param.name] = value
        return value

    def holder() -> None: ...

    for option in getattr(common_options(holder), "__click_params__")[::-1]:  # noqa: B009 - click's own place for them
        option.expose_value, option.callback = False, keep
        group.params.append(option)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _take_common_options(self)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with watched_output():
            try:
                try:
                    return super().main(*args, **kwargs)
                finally:
                    sys.stdout.flush()  # Here, where it can still be told that nobody will read it.
            except OutputLostError as error:
                end_without_output(error)
            except BrokenPipeError:
                silence()
                sys.exit(1)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"commands.{_COMMANDS[cmd_name]}")
        command: click.Command = module.COMMANDS[cmd_name]
        if isinstance(command, click.Group) and not any(param.name == "home" for param in command.params):
            _take_common_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand:
            raise click.exceptions.NoSuchCommand(args[0], possibilities=_COMMANDS, ctx=ctx) from None

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in _COMMANDS])
