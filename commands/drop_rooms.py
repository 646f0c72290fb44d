"""The rooms of the drop, put together from those of the archive: part of the composition root (see `cli.Rooms`)."""

import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cli import Rooms

if TYPE_CHECKING:
    from ingest.arrival import ArrivalKey
    from ingest.droplinks import DropLinks
    from ingest.finishing import Finishing
    from ingest.following import Following
    from ingest.handing_over import HandingOver
    from ingest.return_codes import ReturnCodes
    from ingest.returning import Returning
    from ingest.telling import TellingRoom
    from ingest.uploads import Uploads
    from ingest.visits import Visits


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
            seal_to=self._seal_to,
        )

    def _seal_to(self) -> str:
        return self._arrival.recipients() if self._rooms.settings.web.seal_waiting_copies else ""

    @cached_property
    def _arrival(self) -> "ArrivalKey":
        from ingest.arrival import ArrivalKey

        return ArrivalKey(self._rooms.database, self._rooms.ledger.keyrings)

    @property
    def staging(self) -> Path:
        """Where unfinished uploads wait, sealed: beside the store and the keys, in neither."""
        return self._rooms.uploads_folder

    @cached_property
    def visits(self) -> "Visits":
        from ingest.visits import Visits

        return Visits(
            database=self._rooms.database,
            ledger=self._rooms.ledger,
            vault=self._rooms.vault,
            links=self.links,
            publisher=self._rooms.publisher,
            clock=self._rooms.clock,
        )

    @cached_property
    def finishing(self) -> "Finishing":
        from archive.durable import make_folder_durably
        from ingest.finishing import Finishing

        make_folder_durably(self.staging)
        return Finishing(
            root=self.staging,
            database=self._rooms.database,
            ledger=self._rooms.ledger,
            intake=self._rooms.intake,
            arrival=self._arrival,
            following=self._following,
        )

    @cached_property
    def _following(self) -> "Following":
        from ingest.following import Following

        reserve = self._rooms.settings.ingest.reserve_mib << 20
        return Following(root=self.staging, intake=self._rooms.intake, room=lambda: self._free_octets() - reserve)

    def _free_octets(self) -> int:
        return shutil.disk_usage(self.staging).free

    @cached_property
    def uploads(self) -> "Uploads":
        from ingest.uploads import Uploads

        return Uploads(
            root=self.staging,
            database=self._rooms.database,
            visits=self.visits,
            finishing=self.finishing,
            following=self._following,
            arrival=self._arrival,
            settings=self._rooms.settings.ingest,
            free_octets=self._free_octets,
            clock=self._rooms.clock,
        )

    @cached_property
    def _codes(self) -> "ReturnCodes":
        from ingest.return_codes import ReturnCodes

        return ReturnCodes(self._rooms.database, self._rooms.clock)

    @cached_property
    def handing_over(self) -> "HandingOver":
        from ingest.handing_over import HandingOver

        return HandingOver(
            database=self._rooms.database,
            ledger=self._rooms.ledger,
            publisher=self._rooms.publisher,
            intake=self._rooms.intake,
            finishing=self.finishing,
            visits=self.visits,
            codes=self._codes,
            new_id=self._rooms.new_id,
        )

    @cached_property
    def returning(self) -> "Returning":
        from ingest.returning import Returning

        return Returning(
            database=self._rooms.database,
            ledger=self._rooms.ledger,
            publisher=self._rooms.publisher,
            register=self._rooms.register,
            codes=self._codes,
            new_id=self._rooms.new_id,
        )

    @cached_property
    def telling(self) -> "TellingRoom":
        from ingest.telling import TellingRoom

        return TellingRoom(
            database=self._rooms.database,
            vault=self._rooms.vault,
            ledger=self._rooms.ledger,
            register=self._rooms.register,
        )

    def close(self) -> None:
        if "finishing" in vars(self):
            self.finishing.close()
        if "_following" in vars(self):
            self._following.close()
