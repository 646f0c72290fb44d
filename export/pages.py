"""What the pages of one packet say: gathered from the request, the exhibits, the log and the archive's own words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from custody.signed_note import VerifierKey
from export.consent import AUDIENCES, MANY, counted_reasons
from export.exhibits import Exhibit
from export.explanation import Facts, custody_row, exhibit_facts, log_keys, moment
from export.index import plain
from export.packet import TYPE, Proof, verifier_sha256
from export.request import PacketRequest
from export.selection import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What pages say of the archive itself: its name, whom to ask, the program and its version."""

    organisation: str
    contact: str
    software: str
    policy_id: str

    def bag_info(self, facts: Facts) -> tuple[tuple[str, str], ...]:
        """Give the labels of `bag-info.txt`; none names a person whom the packet does not name."""
        labels = (
            ("Source-Organization", self.organisation),
            ("Contact-Email", self.contact),
            ("External-Identifier", facts.number),
            ("External-Description", f"Evidence packet, exhibits: {len(facts.exhibits)}; see read-me-first.html"),
            ("Bagging-Date", facts.released[:10]),
            ("Bag-Software-Agent", self.software),
            ("Testigo-Packet-Type", TYPE),
            ("Testigo-Log-Origin", facts.origin),
            ("Testigo-Metadata-Policy", self.policy_id),
        )
        return tuple((label, line) for label, value in labels if (line := _one_line(value)))


def gather_facts(
    request: PacketRequest,
    selection: Selection,
    exhibits: Sequence[Exhibit],
    proof: Proof,
    *,
    house: House,
    keys: Iterable[VerifierKey],
    number: str,
    release: int,
) -> Facts:
    """Gather what the pages say. `release` is the entry that releases the packet, the last of `proof.lines`."""
    lines = proof.lines_of()
    released = proof.lines[-1].general
    failures = [line for line in proof.lines if line.outcome != "success"]
    return Facts(
        number=number,
        recipient=request.recipient,
        legal_basis=request.legal_basis,
        released=moment(str(released["recorded_time"])),
        built_by=request.actor.pseudonym,
        organisation=house.organisation,
        contact=house.contact,
        origin=proof.checkpoint.origin,
        incidents=tuple(incident.number for incident in selection.incidents),
        left_out=selection.left_out,
        apart=len(selection.apart),
        audience=AUDIENCES[request.audience] if request.audience is not None else "",
        withheld=tuple((count, MANY[why]) for why, count in counted_reasons(selection.withheld).items()),
        compelled=tuple(each.number for each in selection.compelled),
        authority=request.compelled or "",
        software=house.software,
        octets=f"{selection.size:,} bytes",
        release=release,
        lines=len(proof.lines),
        closed=sum(line.closed for line in proof.lines),
        log_size=proof.checkpoint.size,
        keys=log_keys(keys),
        attested=tuple(stamp.attested for stamp in proof.stamps),
        failures=tuple(custody_row(line, min(line.numbers.values())) for line in failures),
        exhibits=tuple(exhibit_facts(exhibit, lines[exhibit.item.id]) for exhibit in exhibits),
        verifier_sha256=verifier_sha256(),
    )


def _one_line(text: str) -> str:
    return " ".join(plain(text).split())
