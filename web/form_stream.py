"""The form with files, read as it comes: no part of it is ever put on disk in clear, as the framework would.

Standard: RFC 7578; parsed by `werkzeug.sansio`. Text fields are held in memory, up to a limit; a file is a stream that
must be read before the next part comes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData, Preamble

from archive.errors import InputError
from web.body import Body

_PIECE = 64 << 10
_MOST_TEXT = 1 << 20
_MOST_PARTS = 1000
_BOUNDARY = re.compile(rb"[ -~]{1,70}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """One file of the form. Names and types are what the browser says."""

    field: str
    untrusted_name: str
    untrusted_type: str
    stream: "PartStream"


class PartStream:
    """The octets of the part that is under way."""

    def __init__(self, form: "FormStream") -> None:
        self._form = form
        self._rest = b""
        self._ended = False

    def peek(self) -> bool:
        """Tell whether the part has any octet."""
        self._fill()
        return bool(self._rest)

    def read(self, size: int, /) -> bytes:
        self._fill()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _fill(self) -> None:
        while not self._rest and not self._ended:
            self._rest, more = self._form.next_data()
            self._ended = not more

    def readinto(self, buffer: memoryview, /) -> int:
        """Put the next octets of the part into `buffer`; 0 is its end."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def cut_short(self) -> None:
        """As `Body.cut_short`."""
        self._form.cut_short()

    def skip(self) -> None:
        while self.read(_PIECE):
            pass


class FormStream:
    """Reads a multipart form. `fields` grows while `files` is walked through; the first text under a name counts.

    Raises: InputError `web/bad-form`; what the body raises where the line breaks.
    """

    def __init__(self, body: Body, boundary: str) -> None:
        text = boundary.encode("ascii", "replace")
        if not _BOUNDARY.fullmatch(text):
            raise _bad_form()
        self._body = body
        self._decoder = MultipartDecoder(text, max_form_memory_size=_MOST_TEXT, max_parts=_MOST_PARTS)
        self._text_octets = 0
        self.fields: dict[str, str] = {}

    def files(self) -> Iterator[FilePart]:
        """Walk through the files of the form; what of one was not read is skipped."""
        while True:
            match self._next():
                case Field(name=name):
                    self.fields.setdefault(name or "", self._text())
                case File(name=name, filename=filename, headers=headers):
                    stream = PartStream(self)
                    yield FilePart(
                        field=name or "",
                        untrusted_name=filename,
                        untrusted_type=headers.get("content-type", ""),
                        stream=stream,
                    )
                    stream.skip()
                case Epilogue():
                    return
                case Preamble() | Data():
                    continue

    def cut_short(self) -> None:
        """As `Body.cut_short`."""
        self._body.cut_short()

    def next_data(self) -> tuple[bytes, bool]:
        """Return the next octets of the part under way, and whether more follow."""
        event = self._next()
        if not isinstance(event, Data):
            raise _bad_form()
        return event.data, event.more_data

    def _text(self) -> str:
        parts, more = [], True
        while more:
            data, more = self.next_data()
            self._text_octets += len(data)
            if self._text_octets > _MOST_TEXT:
                raise _bad_form()
            parts.append(data)
        return b"".join(parts).decode("utf-8", "replace")

    def _next(self) -> Preamble | Field | File | Data | Epilogue:
        try:
            while isinstance(event := self._decoder.next_event(), NeedData):
                piece = self._body.read(_PIECE)
                self._decoder.receive_data(piece or None)
        except (ValueError, AttributeError, RequestEntityTooLarge) as error:
            raise _bad_form() from error
        return event  # type: ignore[return-value]  # every other kind of event is one of these


def _bad_form() -> InputError:
    return InputError("web/bad-form", "This form could not be read. What arrived before is kept. Repeat it.")
