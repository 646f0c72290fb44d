"""Senders for tests that need no browser: they bring files through a drop link, choose a use, come back with a code."""

import os
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from archive.catalogue.drops import deliveries_of, visit_by_id
from archive.catalogue.items import items_by_id
from archive.catalogue.records import Item, Visit
from commands.drop_rooms import DropRooms
from custody.canonical import parse_canonical
from ingest.choices import Choice
from ingest.consents import Rung
from ingest.droplinks import Terms
from ingest.returning import Returned
from ingest.tokens import visit_id, visit_identity
from ingest.told import Told
from tests.way_in import WayIn


class Brought(BytesIO):
    """The body of a request, all of which has come."""

    def cut_short(self) -> None:
        """There is nothing to wait for."""


class Sender:
    """One sending, through a link of its own."""

    def __init__(self, archive: WayIn, *, incident: str | None = None) -> None:
        self.archive = archive
        self.token = os.urandom(32)
        self.code = self.drop.links.give(archive.actor, incident or archive.raid.number, Terms(days=30))[1]

    @property
    def drop(self) -> DropRooms:
        """The rooms as they are now; an archive that was opened anew has others."""
        rooms = self.archive.rooms
        if not hasattr(rooms, "drop_of_tests"):
            rooms.drop_of_tests = DropRooms(rooms)  # type: ignore[attr-defined]  # one for each opening
        found: DropRooms = rooms.drop_of_tests  # type: ignore[attr-defined]  # made above
        return found

    def bring(self, *files: bytes, name: str = "film.bin") -> None:
        for data in files:
            told = Told(name=name, way="form without scripts")
            self.drop.uploads.receive_whole(self.token, self.code, told, Brought(data), max(len(data), 1))

    def begin(self, data: bytes, sent: int, *, name: str = "film.bin") -> bytes:
        """Send the first octets of a file; return the upload's address."""
        address, _ = self.drop.uploads.create(self.token, self.code, Told(name=name), len(data))
        self.drop.uploads.append(address, 0, Brought(data[:sent]), sent)
        return address

    def finish(self, rung: Rung | None = Rung.LEGAL, **told: Any) -> Visit:
        return self.drop.handing_over.finish(self.token, self.code, Choice(rung=rung, language="en", **told))

    def returned(self) -> Returned:
        """Come back, as the return code would let them."""
        return Returned(visit=self.visit, identity=visit_identity(self.token))

    def stop(self) -> None:
        self.drop.returning.stop(self.returned(), "en")

    def change(self, rung: Rung) -> None:
        self.drop.returning.change_use(self.returned(), rung, "en")

    def status(self) -> str:
        return self.drop.returning.status(self.returned()).state

    def receipt(self) -> Any:
        return parse_canonical(self.drop.handing_over.receipt(self.visit, visit_identity(self.token)))

    @property
    def visit(self) -> Visit:
        with self.archive.rooms.database.reading() as session:
            visit = visit_by_id(session, visit_id(self.token))
        assert visit is not None
        return visit

    @property
    def items(self) -> Sequence[Item]:
        with self.archive.rooms.database.reading() as session:
            deliveries = deliveries_of(session, visit_id(self.token))
            found = items_by_id(session, [each.item_id for each in deliveries if each.item_id is not None])
        return sorted(found.values(), key=lambda item: item.number)
