"""What every command has: the common options, its rooms, and the one way out for errors."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click

from archive import errors
from cli import EXIT_BY_CODE, EXIT_CODES, INTERRUPTED, Asked, Rooms

_TRACEBACK_VARIABLE = "TESTIGO_TRACEBACK"
_HOME = "The archive's folder (TESTIGO_HOME; default ./var)."


class GivenPath(click.Path):
    """A path that was really given: an unset variable in quotes must not come to mean this very folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("", b"") or "\0" in os.fsdecode(value):
            self.fail("an empty path was given.", param, ctx)
        return super().convert(value, param, ctx)


class Interrupted(KeyboardInterrupt):
    """An interrupt of which the command has said already how to go on."""


def common(command: Callable[..., int | None]) -> Callable[..., None]:
    """Give a command the options that all have, its rooms, and the one way out for errors."""

    @click.option("--home", type=GivenPath(), envvar="TESTIGO_HOME", default=Path("var"), help=_HOME)
    @click.option("--config", type=GivenPath(), help="Settings file (default HOME/config.toml).")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON: one document, or one line each for long work.")
    @click.option("-q", "--quiet", is_flag=True, help="Print no talk, only results and errors.")
    @click.option("--no-color", is_flag=True, help="No colours (also NO_COLOR).")
    @click.option("--yes", is_flag=True, help="Do not ask back.")
    @wraps(command)
    def wrapped(
        home: Path, config: Path | None, as_json: bool, quiet: bool, no_color: bool, yes: bool, **options: Any
    ) -> None:
        if no_color:
            os.environ["NO_COLOR"] = "1"
        asked = Asked(
            home=home.absolute(),
            config=config,
            json=as_json,
            quiet=quiet,
            yes=yes,
            dry_run=bool(options.pop("dry_run", False)),
            explain=bool(options.pop("explain", False)),
        )
        _refuse_broken_text(options)
        rooms = Rooms(asked)
        try:
            status = command(rooms, **options)
        except errors.TestigoError as error:
            _report(error, rooms)
        except Interrupted:
            sys.exit(INTERRUPTED)
        except KeyboardInterrupt:
            sys.stderr.write("Stopped. What was acknowledged is in; nothing half-done was left.\n")
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # The door: what no room foresaw must still end in words and a known exit code.
            _report_unforeseen(error, rooms)
        finally:
            rooms.close()
        sys.exit(status or 0)

    return wrapped


def refuse_unwritable(path: Path) -> None:
    """Refuse a place for a result before anything is done that could not be told again.

    Raises: InputError `cli/cannot-write`.
    """
    if path.is_dir() or not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise errors.InputError("cli/cannot-write", f"{printable(str(path))} cannot be written. Nothing was done.")


def _refuse_broken_text(options: dict[str, Any]) -> None:
    """Refuse texts that are no UTF-8, which nothing could record; paths may hold any octets."""
    for name, value in options.items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                raise click.UsageError(f"{name.replace('_', '-')}: this is not readable text (UTF-8).")


def exit_code(error: errors.TestigoError) -> int:
    """Look up the one table; a code of its own goes before its class."""
    if error.code in EXIT_BY_CODE:
        return EXIT_BY_CODE[error.code]
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def _report(error: errors.TestigoError, rooms: Rooms) -> NoReturn:
    status = exit_code(error)
    lines = [
        error.message,
        *(f"  {name}: {printable(str(value))}" for name, value in error.evidence.items()),
        f"({error.code}, exit {status})",
    ]
    with suppress(OSError):  # Where the terminal is gone, the exit code still tells.
        sys.stderr.write("\n".join(lines) + "\n")
    if rooms.asked.json:
        shown = {"message_type": "error", "ok": False, "code": error.code, "error": error.message, "exit": status}
        with suppress(OSError):
            sys.stdout.write(json.dumps(shown) + "\n")
    sys.exit(status)


def _report_unforeseen(error: Exception, rooms: Rooms) -> NoReturn:
    if os.environ.get(_TRACEBACK_VARIABLE):
        raise error
    found = errors.InputError(
        "cli/unforeseen",
        f"Something came up that Testigo does not know ({type(error).__name__}). What was acknowledged before is kept. "
        f"To see where, run the same with {_TRACEBACK_VARIABLE}=1; it shows no evidence, but read it before you send "
        "it to anyone.",
    )
    _report(found, rooms)


def printable(untrusted: str, longest: int = 500) -> str:
    """Make untrusted text safe for a terminal: no control characters, no marks that turn the writing direction."""
    turned = {0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    shown = "".join(
        c if c.isprintable() and ord(c) not in turned else c.encode("unicode_escape").decode() for c in untrusted
    )
    return shown if len(shown) <= longest else shown[:longest] + "…"
