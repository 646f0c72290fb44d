"""An optional manifest beside a batch: what the sender says about each file. Claims, never facts.

CSV with a header, or JSON: a list of objects. One column or member is `path`, relative to the source; every other is a
claim about that file, kept under its own name. Strict: a manifest that cannot be read whole is refused whole.
"""

import csv
import io
import json
from pathlib import Path

from archive.errors import InputError

_MOST_OCTETS = 64 * 1024 * 1024
_MOST_CLAIMS = 64
_LONGEST = 20_000

RESERVED = frozenset({"file_modified"})
"""What an import itself claims of each file under these names: the time that the source's file system gives it."""

Claims = dict[str, dict[str, str]]
"""Claims by path: name to text."""


def read_manifest(path: Path) -> Claims:
    """Read a manifest file.

    Raises: InputError `batch/bad-manifest`, which names the line where one is at fault.
    """
    try:
        if path.stat().st_size > _MOST_OCTETS:
            raise _bad("it is larger than 64 MiB")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _bad("it is not there, or cannot be read as UTF-8 text") from error
    rows = _json_rows(text) if path.suffix.casefold() == ".json" else _csv_rows(text)
    claims: Claims = {}
    for place, row in rows:
        name = row.pop("path", "").removeprefix("./")
        if not name:
            raise _bad(f"{place} names no path")
        if taken := sorted(RESERVED & row.keys()):
            raise _bad(
                f"{place} claims `{taken[0]}`, under which the time that the file system gives is kept; give it "
                f"another name, such as `{taken[0]}_told`"
            )
        if name in claims:
            raise _bad(f"{place} names a path for the second time")
        if not all(_is_text(each) for pair in (("path", name), *row.items()) for each in pair):
            raise _bad(f"{place} holds half of a character")
        if len(row) > _MOST_CLAIMS or any(len(value) > _LONGEST for value in row.values()):
            raise _bad(f"{place} holds more than a manifest may")
        claims[name] = {claim: value for claim, value in row.items() if value}
    return claims


def _csv_rows(text: str) -> list[tuple[str, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        if "path" not in header or len(set(header)) != len(header) or not all(header):
            raise _bad("its first line must name the columns, each once, one of them `path`")
        rows = []
        for cells in reader:
            if len(cells) != len(header):
                raise _bad(f"line {reader.line_num} has {len(cells)} cells where the header has {len(header)}")
            rows.append((f"line {reader.line_num}", dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise _bad(f"line {reader.line_num} is no CSV") from error
    return rows


def _json_rows(text: str) -> list[tuple[str, dict[str, str]]]:
    try:
        value = json.loads(text, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as error:
        raise _bad("it is no JSON") from error
    if not isinstance(value, list):
        raise _bad("it must be a list of objects")
    rows = []
    for number, row in enumerate(value, start=1):
        if not isinstance(row, dict) or not all(isinstance(v, str) for v in row.values()):
            raise _bad(f"entry {number} must be an object whose values are texts")
        rows.append((f"entry {number}", dict(row)))
    return rows


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member stands twice")
    return dict(pairs)


def _is_text(text: str) -> bool:
    """JSON can spell a lone surrogate, which no text encoding can."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _bad(why: str) -> InputError:
    return InputError("batch/bad-manifest", f"The manifest cannot be used: {why}. Nothing was imported.")
