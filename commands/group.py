"""Which module each command is in, and the group that imports a command when it is asked for."""

import importlib

import click

from commands.summaries import SUMMARIES

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
    "verify": "checks",
    "receipt": "checks",
    "exposure": "checks",
    "policy": "policy",
    "clean": "policy",
    "packet": "packets",
    "drop": "drops",
    "serve": "serving",
    "worker": "upkeep",
    "jobs": "upkeep",
    "backup": "upkeep",
    "rebuild": "rebuild",
    "completion": "upkeep",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"commands.{_COMMANDS[cmd_name]}")
        command: click.Command = module.COMMANDS[cmd_name]
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
