"""What a client says of the file that it uploads. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from custody.canonical import Json, canonical_bytes, parse_canonical
from ingest.entering import safe_text

_LONGEST_TEXT = 1000
WRITTEN = "written on the page"
"""The way of words: there is no file of them on anybody's phone to compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a client says of its file: untrusted, kept whole as claims. `sha256` is in lower-case hex."""

    name: str
    type: str = ""
    sha256: str | None = None
    last_modified: str = ""
    way: str = "upload"
    plain_size: int | None = None
    """Told where the octets are an age file, sealed in the phone: all else that is told is of the file in it."""

    def format(self) -> bytes:
        texts = {"name": self.name, "type": self.type, "last_modified": self.last_modified, "way": self.way}
        shown: dict[str, Json] = {name: safe_text(text[:_LONGEST_TEXT]) for name, text in texts.items()}
        return canonical_bytes({**shown, "sha256": self.sha256, "plain_size": self.plain_size, "v": 1})

    @classmethod
    def parse(cls, plain: bytes) -> Self:
        value: Any = parse_canonical(plain)
        return cls(**{name: text for name, text in value.items() if name != "v"})

    def with_digest(self, sha256: str) -> "Told":
        return replace(self, sha256=sha256)

    def with_note(self, note: Mapping[str, str]) -> "Told":
        """Add what a phone told later, sealed; the newer word counts."""
        return replace(
            self,
            name=note.get("filename", self.name),
            type=note.get("filetype", self.type),
            last_modified=note.get("last_modified", self.last_modified),
            sha256=note.get("sha256", self.sha256),
        )

    def claims(self) -> dict[str, str]:
        told = {"type": self.type, "last_modified": self.last_modified, "way": self.way, "sha256": self.sha256 or ""}
        return {name: text for name, text in told.items() if text}
