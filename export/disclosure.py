"""The room object of the way out: what leaves the archive, leaves here, in this order and no other.

    1  the table of roles; the items; nothing among them that may not leave, or that its sender does not allow to go;
       unlocked; the place is free; two people, where the law demands what a sender does not allow
    2  a number and a packet record, entered
    3  the access to every item entered in the log; only then are keys asked for; the log says whether each may go
    4  originals opened through the seal, compared with what the log recorded at receipt, written
    5  the release entered: which payload, which items; the last entry of each item's run
    6  published: tiles and a signed checkpoint; time-stamps asked for at once
    7  the proof, the pages and the verifier written; the whole verified as a stranger would
    8  the packet appears under its name

Until 8 nothing stands there. Whatever stops a build, the log says that it failed, and what was written is removed.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from archive.access import Action, require
from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.drops import senders_of
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Approval, Packet
from archive.errors import AccessError, DisclosureError, IntegrityError, LockedError, TestigoError
from archive.places import Places
from archive.types import NewId, Outcome, Owner, OwnerKind
from archive.vault import Vault
from archive.worker import Worker
from custody.acts import Acts
from custody.canonical import Json
from custody.drafts import Draft, ItemPart, Values
from custody.entries import EventKind
from custody.ledger import EntryRef, Ledger
from custody.publication import Publisher
from custody.register import Register
from export.exhibits import Exhibit, read_exhibits
from export.explanation import Facts
from export.extract import read_extract
from export.gate import Told, agreed_to, decide_by_log, refuse_changed, refuse_withheld, select_allowed
from export.packaging import ClearPackaging, Packaging, SealedPackaging, refuse_occupied
from export.packet import (
    TYPE,
    Payload,
    Proof,
    checkpoint_of,
    packet_json,
    read_stamps,
    write_payload,
    write_tags,
)
from export.pages import House, gather_facts
from export.record import authority, closed_of, for_whom, reason
from export.request import BuiltPacket, Forecast, ForecastItem, PacketRequest, Step, Watch
from export.selection import (
    Selection,
    missing_objects,
    next_packet_number,
    refuse_incomplete,
    refuse_what_may_not_leave,
    why_not,
)
from export.stranger import check_folder, check_sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A packet that has a number and is entered."""

    record: Packet
    selection: Selection
    begun_time: datetime
    agreed: Approval | None

    @property
    def number(self) -> str:
        return self.record.number

    def parts(self) -> tuple[ItemPart, ...]:
        return tuple(ItemPart(item_id=item.id, recipient=item.recipient) for item in self.selection.items)


class Disclosure:
    """Builds packets. `home` is the archive's own folder, where none may go; `house` what pages say of the archive."""

    def __init__(
        self,
        *,
        vault: Vault,
        ledger: Ledger,
        publisher: Publisher,
        stamping: Worker,
        register: Register,
        database: Database,
        places: Places,
        acts: Acts,
        house: House,
        new_id: NewId,
    ) -> None:
        self._acts = acts
        self._vault = vault
        self._ledger = ledger
        self._publisher = publisher
        self._stamping = stamping
        self._register = register
        self._database = database
        self._places = places
        self._house = house
        self._new_id = new_id

    def forecast(self, request: PacketRequest, year: int) -> Forecast:
        """Say what a build would do. Opens nothing, enters nothing, uses no number up.

        Raises: AccessError `access/not-permitted`; as `select_items`.
        """
        require(request.actor, Action.BUILD_PACKET)
        selection = select_allowed(self._database, request)
        return Forecast(
            number=next_packet_number(self._database, year),
            items=tuple(
                ForecastItem(
                    number=item.number,
                    kind=item.evidence_kind,
                    size=item.size,
                    received_time=item.received_time,
                    linked=item.id in selection.linked,
                )
                for item in selection.items
            ),
            apart=selection.apart,
            left_out=selection.left_out,
            withheld=selection.withheld,
            compelled=selection.compelled,
            refused=(
                *why_not(selection.items, self._vault.key_files),
                *(
                    (number, f"not in the store: {names}; run `testigo verify`")
                    for number, names in missing_objects(self._database, selection.items, self._vault.store).items()
                ),
            ),
            locked=self._vault.agent.status() is None,
        )

    def build_legal(self, request: PacketRequest, watch: Watch) -> BuiltPacket:
        """Build a packet of originals, their whole custody log, and what proves both.

        Where the law demands what a sender does not allow, and nobody asked for it yet, it is asked for and not built.
        Raises: AccessError `access/not-permitted`, `export/second-person-needed`; LockedError `archive/locked`;
        DisclosureError `export/may-not-leave`, `export/not-allowed`; ConflictError `export/consent-changed`,
        `export/packet-exists`; InputError as `Places.refuse_output`; UnavailableError `export/cannot-write`;
        IntegrityError `export/object-missing`, `export/digest-mismatch`, `export/packet-differs`; as `select_allowed`.
        None leaves a packet behind.
        """
        selection = self._admit(request)
        try:
            agreed = agreed_to(self._acts, request, selection)
        finally:
            self._publisher.publish()
        begun = self._begin(request, selection, agreed)
        try:
            with self._packaging(request, begun) as packaging:
                return self._build(request, begun, packaging, watch)
        except (
            BaseException
        ) as error:  # Raised again: whatever stopped the build, an interrupt too, must be in the log.
            self._record_failure(request, begun, error)
            raise

    # ── 1 and 2 ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _admit(self, request: PacketRequest) -> Selection:
        """Let a request through, or enter its refusal."""
        try:
            require(request.actor, Action.BUILD_PACKET)
            if request.compelled is not None:
                require(request.actor, Action.RELEASE_COMPELLED)
            selection = select_allowed(self._database, request)
            refuse_withheld(selection)
            self._places.refuse_output(request.destination)
            refuse_occupied(request.destination)
            refuse_what_may_not_leave(selection.items, self._vault.key_files)
            refuse_incomplete(self._database, selection.items, self._vault.store)
            if self._vault.agent.status() is None:
                raise LockedError(
                    "archive/locked", "The archive is locked. Run testigo unlock, then do the same again."
                )
        except (AccessError, DisclosureError, IntegrityError, LockedError) as error:
            self._ledger.record_refusal(request.actor, Action.BUILD_PACKET, error)
            self._publisher.publish()
            raise
        return selection

    def _begin(self, request: PacketRequest, selection: Selection, agreed: Approval | None) -> _Begun:
        with self._ledger.transaction() as transaction:
            year = transaction.now.year
            record = Packet(
                id=self._new_id(),
                organisation_id=selection.organisation.id,
                number=next_numbers(transaction.session, NumberKind.PACKET, year)[0],
                type=TYPE,
                status="building",
                created_time=transaction.now,
            )
            values: Values = (
                ("purpose", f"packet {record.number} begun"),
                ("record", record.to_log(closed_of(request, selection, agreed))),
                *authority(request, selection),
            )
            transaction.record(Draft(event=EventKind.METADATA_MODIFICATION, actor=request.actor, values=values))
            return _Begun(record=record, selection=selection, begun_time=transaction.now, agreed=agreed)

    def _packaging(self, request: PacketRequest, begun: _Begun) -> Packaging:
        keys = self._publisher.verifier_keys
        if request.seal is None:
            return ClearPackaging(request.destination, lambda folder: check_folder(folder, keys))
        return SealedPackaging(
            request.destination,
            request.seal,
            folder=begun.number,
            moment=begun.begun_time,
            check=lambda open_anew: check_sealed(open_anew, keys),
        )

    # ── 3 to 8 ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _build(self, request: PacketRequest, begun: _Begun, packaging: Packaging, watch: Watch) -> BuiltPacket:
        size = begun.selection.size
        keys = self._open_keys(request, begun)
        told = decide_by_log(self._ledger, self._database, keys, begun.selection, request)
        exhibits = read_exhibits(self._register, begun.selection, keys)
        shown = for_whom(request, begun.selection)
        payload = write_payload(packaging, self._vault, keys, exhibits, begun.number, shown, watch)
        release = self._release(request, begun, payload, told)
        watch(Step(words="signing, asking for time-stamps", octets_done=size, octets_total=size))
        proof = self._prove(begun, keys, release)
        facts = self._facts(request, begun, exhibits, proof, release)
        packet = packet_json(begun.number, begun.record.id, proof.checkpoint.origin, release.seq, exhibits, payload)
        write_tags(packaging, self._publisher, packet=packet, proof=proof, facts=facts)
        watch(Step(words="verifying as a stranger would", octets_done=size, octets_total=size))
        path = packaging.finish(self._house.bag_info(facts))
        return BuiltPacket(
            number=begun.number,
            path=path,
            sealed_to=request.seal.to if request.seal is not None else (),
            items=tuple(exhibit.number for exhibit in exhibits),
            octets=size,
            release=release.seq,
            checkpoint_size=proof.checkpoint.size,
            attested=facts.attested,
            apart=begun.selection.apart,
            withheld=begun.selection.withheld,
        )

    def _open_keys(self, request: PacketRequest, begun: _Begun) -> Mapping[UUID, KeyIdentity]:
        """Enter the access, then have the agent unwrap the items' keys and the staff compartment's."""
        selection = begun.selection
        staff = Owner(kind=OwnerKind.STAFF, id=selection.organisation.id)
        items = [Owner(kind=OwnerKind.ITEM, id=item.id) for item in selection.items]
        with self._database.reading() as session:
            senders = senders_of(session, [item.id for item in selection.items])
        incidents = [Owner(kind=OwnerKind.INCIDENT, id=incident.id) for incident in selection.incidents]
        access = self._ledger.record_access(
            request.actor,
            [*items, *incidents, staff, *senders],
            f"packet {begun.number}",
            recipients={item.id: item.recipient for item in selection.items},
            values=reason(request),
        )
        return self._vault.unwrap(access, [*(owner.id for owner in items), staff.id])

    def _release(self, request: PacketRequest, begun: _Begun, payload: Payload, told: Told) -> EntryRef:
        packet: Json = {
            "id": str(begun.record.id),
            "number": begun.number,
            "type": TYPE,
            "recipient": request.recipient,
            "legal_basis": request.legal_basis,
            "payload_manifest_sha512": payload.manifests.of_sha512_manifest.hex,
            **for_whom(request, begun.selection),
        }
        form = "in clear" if request.seal is None else "sealed to its receiver"
        released = replace(begun.record, status="released")
        values: Values = (
            ("purpose", f"packet {begun.number} released, {form}"),
            ("packet", packet),
            ("record", released.to_log(closed_of(request, begun.selection, begun.agreed))),
            *reason(request),
            *authority(request, begun.selection),
        )
        with self._ledger.transaction() as transaction:
            refuse_changed(transaction.session, told, begun.selection)
            return transaction.record(
                Draft(event=EventKind.DISSEMINATION, actor=request.actor, values=values, items=begun.parts())
            )

    def _prove(self, begun: _Begun, keys: Mapping[UUID, KeyIdentity], release: EntryRef) -> Proof:
        note = self._publisher.publish()
        checkpoint = checkpoint_of(note)
        self._stamping.work(lambda *_: None)
        lines = read_extract(
            self._database,
            self._register,
            keys,
            begun.selection,
            release=release.seq,
        )
        stamps = read_stamps(self._database, checkpoint.size)
        return Proof(lines=tuple(lines), note=note, checkpoint=checkpoint, stamps=stamps)

    def _facts(
        self, request: PacketRequest, begun: _Begun, exhibits: tuple[Exhibit, ...], proof: Proof, release: EntryRef
    ) -> Facts:
        return gather_facts(
            request,
            begun.selection,
            exhibits,
            proof,
            house=self._house,
            keys=self._publisher.verifier_keys,
            number=begun.number,
            release=release.seq,
        )

    def _record_failure(self, request: PacketRequest, begun: _Begun, error: BaseException) -> None:
        """Enter that the build failed; where even that cannot be written, the first error matters more."""
        code = error.code if isinstance(error, TestigoError) else type(error).__name__
        failed = replace(begun.record, status="failed")
        values: Values = (
            ("purpose", f"packet {begun.number} not delivered"),
            ("code", code),
            ("record", failed.to_log(closed_of(request, begun.selection, begun.agreed))),
        )
        draft = Draft(
            event=EventKind.DISSEMINATION,
            outcome=Outcome.FAILURE,
            actor=request.actor,
            values=values,
            items=begun.parts(),
        )
        with suppress(TestigoError):
            self._ledger.record(draft)
            self._publisher.publish()
