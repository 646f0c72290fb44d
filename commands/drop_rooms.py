"""The rooms of the drop, put together from those of the archive: part of the composition root (see `cli.Rooms`)."""

from functools import cached_property
from typing import TYPE_CHECKING

from cli import Rooms

if TYPE_CHECKING:
    from ingest.droplinks import DropLinks


class DropRooms:
    """Each built when it is first needed, as in `cli.Rooms`."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @cached_property
    def links(self) -> "DropLinks":
        from ingest.droplinks import DropLinks

        return DropLinks(
            database=self._rooms.database,
            ledger=self._rooms.ledger,
            register=self._rooms.register,
            clock=self._rooms.clock,
            new_id=self._rooms.new_id,
        )
