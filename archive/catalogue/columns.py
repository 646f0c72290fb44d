"""The types of the catalogue's columns: what each takes, and that it gives back nothing else.

SQLite keeps a word in a column of numbers, so whoever has the file can put anything anywhere. What its column cannot
hold is refused where it is read, whoever reads it; the audit reads rows untyped where it must go on.
Raises, when a row is read: IntegrityError `archive/foreign-value`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import BigInteger, Integer, LargeBinary, String, Text, TypeCoerce, type_coerce
from sqlalchemy.engine import Dialect
from sqlalchemy.types import NullType, TypeDecorator, Uuid

from archive.errors import IntegrityError

_AGE_MAGIC = b"age-encryption.org/v1\n"
_Value = TypeVar("_Value")


class Whole(TypeDecorator[int]):
    """A whole number."""

    impl: type[Integer] = BigInteger
    cache_ok = True

    def process_result_value(self, value: Any, _dialect: Dialect) -> int | None:
        return _checked(value, int, "a whole number")


class KeyNumber(Whole):
    """A whole number by which rows are found; only an `INTEGER` is SQLite's own row number."""

    impl = Integer
    cache_ok = True


class Words(TypeDecorator[str]):
    """A text, of at most the length that is given."""

    impl: type[String] = String
    cache_ok = True

    def process_result_value(self, value: Any, _dialect: Dialect) -> str | None:
        text = _checked(value, str, "a text")
        if text is not None and not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise foreign_value("a text")
        return text


class Choice(Words):
    """One word of a closed choice, given back as text."""

    cache_ok = True

    def __init__(self, choices: type[StrEnum], length: int) -> None:
        super().__init__(length)
        self.choices = choices

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        word = super().process_result_value(value, dialect)
        if word is not None and word not in set(self.choices):
            raise foreign_value("one of its choices")
        return word


class LongWords(Words):
    """A text of any length."""

    impl = Text
    cache_ok = True


class Octets(TypeDecorator[bytes]):
    """Octets, as many as there are."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: Any, _dialect: Dialect) -> bytes | None:
        return _checked(value, bytes, "octets")


class Identifier(Uuid[UUID]):
    """A UUID."""

    def result_processor(self, _dialect: Dialect, _coltype: object) -> Callable[[Any], UUID | None]:
        def process(value: Any) -> UUID | None:
            text = _checked(value, str, "an identifier")
            try:
                return None if text is None else UUID(text)
            except ValueError as error:
                raise foreign_value("an identifier") from error

        return process


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, stored as microseconds since 1970 UTC; a naive one is refused."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        delta = value.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        return read_moment(value)


class DigestBytes(TypeDecorator[bytes]):
    """A digest or MAC of exactly 32 octets."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: bytes | None, _dialect: Dialect) -> bytes | None:
        if value is not None and len(value) != 32:
            raise ValueError("a digest column holds exactly 32 octets")
        return value

    def process_result_value(self, value: Any, _dialect: Dialect) -> bytes | None:
        octets = _checked(value, bytes, "32 octets")
        if octets is not None and len(octets) != 32:
            raise foreign_value("32 octets")
        return octets


class Sealed(Octets):
    """A sealed value: an age file. Plaintext is refused."""

    cache_ok = True

    def process_bind_param(self, value: bytes | None, _dialect: Dialect) -> bytes | None:
        if value is not None and not value.startswith(_AGE_MAGIC):
            raise ValueError("a sealed column holds an age file, never plaintext")
        return value


def untyped(column: Any) -> TypeCoerce[Any]:
    """Give a column as the database has it, whatever that is: for audits, which must go on behind it."""
    return type_coerce(column, NullType())


def _checked(value: Any, kind: type[_Value], expected: str) -> _Value | None:
    if value is None or type(value) is kind:
        found: _Value | None = value
        return found
    raise foreign_value(expected)


def read_moment(value: object) -> datetime | None:
    """Read what `UtcDateTime` stores."""
    number = _checked(value, int, "a moment")
    if number is None:
        return None
    seconds, microseconds = divmod(number, 1_000_000)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)
    except (OSError, OverflowError, ValueError) as error:
        raise foreign_value("a moment") from error


def foreign_value(expected: str) -> IntegrityError:
    """Return the error for what a row holds and no act ever wrote."""
    return IntegrityError(
        "archive/foreign-value",
        "The catalogue holds a value that this program never wrote: somebody changed its file. Run "
        "`testigo verify --keyless`, which names the row. Then move the catalogue away, keep it, and run `testigo "
        "rebuild`: it makes the catalogue anew from the log.",
        evidence={"expected": expected},
    )
