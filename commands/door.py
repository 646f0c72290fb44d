"""What every command has: the common options, its rooms, and the one way out for errors."""

import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from archive import errors
from cli import EXIT_BY_CODE, EXIT_CODES, INTERRUPTED, Asked, Rooms
from commands.group import GivenPath, GivenText, Moment, common_options, given_before
from commands.output import OutputLostError, silence

__all__ = ["GivenPath", "GivenText", "Interrupted", "Moment", "common", "exit_code", "printable", "refuse_output"]

_TRACEBACK_VARIABLE = "TESTIGO_TRACEBACK"
_COMMON = ("home", "config", "as_json", "quiet", "verbose", "no_color", "yes")


class Interrupted(KeyboardInterrupt):
    """An interrupt of which the command has said already how to go on."""


def common(command: Callable[..., int | None]) -> Callable[..., None]:
    """Give a command the options that all have, its rooms, and the one way out for errors."""

    @common_options
    @wraps(command)
    def wrapped(**options: Any) -> None:
        given = given_before(click.get_current_context(), {name: options.pop(name) for name in _COMMON})
        if given["no_color"]:
            os.environ["NO_COLOR"] = "1"
        if given["quiet"] and given["verbose"]:
            raise click.UsageError("-q says less and -v says more: give one of them.")
        asked = Asked(
            home=given["home"].absolute(),
            config=given["config"],
            json=given["as_json"],
            quiet=given["quiet"],
            verbose=given["verbose"],
            yes=given["yes"],
            dry_run=bool(options.pop("dry_run", False)),
            explain=bool(options.pop("explain", False)),
        )
        _refuse_broken_text(options)
        _end_in_order()
        rooms = Rooms(asked)
        try:
            _refuse_file_as_home(asked.home)
            status = command(rooms, **options)
        except errors.TestigoError as error:
            _report(error, rooms)
        except Interrupted:
            sys.exit(INTERRUPTED)
        except KeyboardInterrupt:
            with suppress(OSError):
                sys.stderr.write("Stopped. What was acknowledged is in; nothing half-done was left.\n")
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            silence()
            sys.exit(1)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except OutputLostError:
            raise  # Told where it is watched, for `--help` too.
        except Exception as error:  # The door: what no room foresaw must still end in words and a known exit code.
            _report_unforeseen(error, rooms)
        finally:
            rooms.close()
        sys.exit(status or 0)

    return wrapped


def _refuse_file_as_home(home: Path) -> None:
    if home.exists() and not home.is_dir():
        raise errors.ConfigError(
            "config/home-no-folder", "What --home or TESTIGO_HOME names is a file. Nothing was done. Name a folder."
        )


def _end_in_order() -> None:
    """Have a shutdown and a terminal that closes end a command as Ctrl-C does: with its receipt, without its half.

    What is ignored, as `nohup` has it, stays ignored.
    """
    if threading.current_thread() is threading.main_thread():
        for number, end in ((signal.SIGTERM, signal.default_int_handler), (signal.SIGHUP, _hang_up)):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, end)


def _hang_up(number: int, frame: FrameType | None) -> None:
    """Send what would go to the terminal nowhere, since writing to one that is gone fails; then end in order."""
    with Path(os.devnull).open("wb") as nowhere:
        for stream in (1, 2):
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                os.dup2(nowhere.fileno(), stream)
    signal.default_int_handler(number, frame)


def refuse_output(rooms: Rooms, path: Path) -> None:
    """Refuse a place for a result before anything is done that could not be told again: every `-o` comes through here.

    Raises: InputError `cli/cannot-write`, `cli/something-there`; as `Places.refuse_output`.
    """
    rooms.places.refuse_output(path)
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise errors.InputError(
            "cli/something-there",
            f"{printable(str(path))} is there already, and was kept as it is. Nothing was done. Name another place.",
        )
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
        if error.evidence:
            shown["evidence"] = {name: str(value) for name, value in error.evidence.items()}
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
