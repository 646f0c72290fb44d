"""How commands speak: results on stdout, talk and progress on stderr, JSON where it is asked for."""

import getpass
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archive.errors import InputError
from cli import Asked
from commands.door import printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from archive.age.recipients import KeyIdentity, KeyKind

_PAGE = 100
_LABEL = 17
_NARROWEST = 20
_LONGEST_FIELD = 2000
PASSPHRASE_VARIABLE = "TESTIGO_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable, no secret


class Talk:
    """Prints for one command."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def say(self, text: str = "") -> None:
        """Print a line of a result for a person; nothing where JSON was asked for."""
        if not self._asked.json:
            sys.stdout.write(text + "\n")

    def field(self, label: str, text: str) -> None:
        """Print a line of a record under its label; the text may be untrusted, and is folded to the terminal."""
        self.fields(label, [text])

    def fields(self, label: str, texts: Sequence[str], *, longest: int = _LONGEST_FIELD) -> None:
        """Print several lines under one label, which stands at the first."""
        if self._asked.json:
            return
        label = printable(label)
        for text in texts:
            for line in fold(printable(text, longest), columns() - _LABEL):
                sys.stdout.write(f"  {label:<{_LABEL - 3}} {line}".rstrip() + "\n")
                label = ""

    def aside(self, text: str) -> None:
        """Print talk that is no result."""
        if not self._asked.quiet and not self._asked.json:
            sys.stderr.write(text + "\n")

    def detail(self, text: str) -> None:
        """Print what only --verbose asks for."""
        if self._asked.verbose and not self._asked.json:
            sys.stderr.write(text + "\n")

    @property
    def is_verbose(self) -> bool:
        return self._asked.verbose

    def warn(self, text: str) -> None:
        """Print what nobody may miss, whatever else is kept quiet."""
        sys.stderr.write(f"WARNING: {text}\n")

    def insist(self, text: str) -> None:
        """Print to stderr what a person must read to go on, also where talk is kept quiet."""
        sys.stderr.write(f"{text}\n")

    @property
    def speaks_json(self) -> bool:
        return self._asked.json

    def document(self, value: dict[str, Any]) -> None:
        """Print one JSON document where JSON was asked for; in long work one line each."""
        if self._asked.json:
            sys.stdout.write(json.dumps(value, ensure_ascii=True) + "\n")
            sys.stdout.flush()

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print aligned columns, nothing where there are no rows; every cell may be untrusted."""
        if self._asked.json:
            return
        shown = [list(head), *([printable(cell) for cell in row] for row in rows)]
        if len(shown) == 1:
            return
        widths = [max(_width(row[i]) for row in shown) for i in range(len(head))]
        before = sum(widths[:-1]) + 2 * (len(head) - 1)
        for row in shown:
            cells = [cell + " " * (widths[i] - _width(cell)) for i, cell in enumerate(row[:-1])]
            for line in fold(row[-1], max(columns() - before, _NARROWEST)):
                sys.stdout.write("  ".join([*cells, line]).rstrip() + "\n")
                cells = [" " * _width(cell) for cell in cells]

    def progress(self, *, counts_octets: bool = True) -> "Progress | None":
        """Give a progress display on a terminal; None where nobody watches."""
        if self._asked.quiet or self._asked.verbose or self._asked.json or not sys.stderr.isatty():
            return None
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        how_much = (DownloadColumn(binary_units=True), TransferSpeedColumn()) if counts_octets else ()
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f}%"),
            *how_much,
            TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False),
        )

    @property
    def asks(self) -> bool:
        """Whether somebody sits there who can be asked, and did not say that they are not to be."""
        return not self._asked.yes and sys.stdin.isatty()

    def confirm(self, question: str) -> bool:
        if self._asked.yes:
            return True
        if not sys.stdin.isatty():
            raise InputError("cli/needs-yes", f"{question} There is no terminal to ask on: give --yes to go on.")
        sys.stderr.write(f"{question} [y/N] ")
        return sys.stdin.readline().strip().casefold() in ("y", "yes")


def ask_passphrase(file: Path | None, *, twice: bool = False, prompt: str = "Passphrase: ") -> str:
    """Take one's own passphrase from a file (also named by TESTIGO_PASSPHRASE_FILE) or from the terminal.

    Raises: InputError `cli/no-passphrase`, `cli/passphrases-differ`.
    """
    named = file or (Path(os.environ[PASSPHRASE_VARIABLE]) if os.environ.get(PASSPHRASE_VARIABLE) else None)
    if named is not None:
        return read_passphrase(named)
    return _typed_passphrase(prompt, twice=twice, instead=f"--passphrase-file or {PASSPHRASE_VARIABLE}")


def ask_other_passphrase(file: Path | None, prompt: str) -> str:
    """Take the passphrase of another person or thing: what opens the archive for oneself is never taken for it.

    Raises: as `ask_passphrase`.
    """
    if file is not None:
        return read_passphrase(file)
    return _typed_passphrase(prompt, twice=True, instead="the option that names its file")


def read_passphrase(path: Path) -> str:
    """Read a passphrase from its file. Raises: InputError `cli/no-passphrase`."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cli/no-passphrase", "The passphrase file cannot be read. Nothing was changed.") from error


def _typed_passphrase(prompt: str, *, twice: bool, instead: str) -> str:
    if not sys.stdin.isatty():
        raise InputError("cli/no-passphrase", f"There is no terminal to ask for a passphrase on. Give {instead}.")
    try:
        first = getpass.getpass(prompt)
        again = getpass.getpass("The same again: ") if twice else first
    except EOFError as error:
        raise InputError("cli/no-passphrase", "No passphrase was typed. Nothing was changed.") from error
    if again != first:
        raise InputError("cli/passphrases-differ", "The two passphrases were not the same. Nothing was changed.")
    return first


def read_identity_file(path: Path) -> "KeyIdentity":
    """Read an identity as `init` prints it; `-` is standard input.

    Raises: InputError `cli/no-identity`.
    """
    from archive.age.recovery import read_identity

    try:
        return read_identity(_read_key(path, "the identity"))
    except (OSError, UnicodeDecodeError, InputError) as error:
        raise InputError("cli/no-identity", "No identity can be read there. Nothing was opened or changed.") from error


def read_recovery_key(files: Sequence[Path], kind: "KeyKind") -> "KeyIdentity":
    """Read a recovery key from its file, or put it together from the parts of a split one; `-` is the terminal.

    Raises: InputError `cli/unreadable-file`, `keys/mistyped`, and those of `combine`.
    """
    from archive.age.recovery import combine, read_identity

    try:
        texts = [_read_key(path, f"part {place} of {len(files)}") for place, path in enumerate(files, start=1)]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cli/unreadable-file", "A recovery file cannot be read. Nothing was changed.") from error
    if len(texts) == 1 and texts[0].lstrip().upper().startswith("AGE-SECRET-KEY"):
        return read_identity(texts[0])
    return combine(texts, kind)


def _read_key(path: Path, what: str) -> str:
    """Read a key on paper from a file or, for `-`, from standard input; a person at a terminal is told what is due."""
    if str(path) != "-":
        return path.read_text(encoding="utf-8")
    if sys.stdin.isatty():
        sys.stderr.write(f"Type {what}, line by line, then Ctrl-D on a line of its own:\n")
    return sys.stdin.read()


def octets(number: int) -> str:
    """Write a size for people: 36.1 GiB."""
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun: 1 entry, 2 entries."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def columns() -> int:
    """Return how wide lines may be: as the terminal, or a page's width where nobody watches."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _PAGE


def fold(text: str, width: int) -> list[str]:
    """Fold a text at its spaces into lines of at most `width` columns; a longer word is cut."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and _width(line) + 1 + _width(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
        while _width(line) > width:
            cut = next(i for i in range(len(line), 0, -1) if i == 1 or _width(line[:i]) <= width)
            lines.append(line[:cut])
            line = line[cut:]
    return [*lines, line]


def tail(text: str, width: int) -> str:
    """Cut a path at its beginning, for its end tells more."""
    return text if len(text) <= width else "…" + text[1 - width :]


def grouped(hex_digits: str) -> str:
    """Write a digest in groups of four."""
    return " ".join(hex_digits[i : i + 4] for i in range(0, len(hex_digits), 4))


def _width(text: str) -> int:
    """Count the columns that a text takes on a terminal; Hangul and Han take two."""
    import unicodedata

    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
