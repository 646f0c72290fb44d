"""What the workbench says of a file, as message ids with parameters, and the English text of each. No I/O.

A record keeps the id and the parameters, so that a page in another language needs another table and nothing else.
"""

from collections.abc import Mapping
from typing import NamedTuple

from media.english import ENGLISH


class Message(NamedTuple):
    """One sentence: its id in the table, and what stands in its gaps, as text."""

    id: str
    parameters: tuple[tuple[str, str], ...] = ()

    def value(self) -> dict[str, object]:
        """Write it as a record keeps it, with its English text for a reader who has no table."""
        return {"id": self.id, "parameters": dict(self.parameters), "words": english(self)}


def message(id_: str, **parameters: object) -> Message:
    """Make a message. Raises: KeyError for an id that the table lacks or a gap that is left open."""
    made = Message(id_, tuple((name, str(value)) for name, value in sorted(parameters.items())))
    english(made)
    return made


def english(said: Message, table: Mapping[str, str] = ENGLISH) -> str:
    """Give the sentence in the language of a table; English where no other is given."""
    return table[said.id].format_map(dict(said.parameters))


def english_of_value(value: Mapping[str, object]) -> str:
    """Give the sentence of a recorded message: by the table as it is now, else the words that were recorded."""
    parameters = value.get("parameters")
    try:
        return ENGLISH[str(value.get("id"))].format_map(parameters if isinstance(parameters, dict) else {})
    except (KeyError, ValueError, IndexError):
        return str(value.get("words", ""))
