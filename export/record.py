"""What the log is told of a packet: whom it is for, on what ground, what is in it and what is withheld. No I/O."""

from archive.catalogue.records import Approval
from custody.canonical import Json
from custody.drafts import Values
from export.consent import counted_reasons
from export.gate import compelled_id
from export.request import PacketRequest
from export.selection import Selection


def closed_of(request: PacketRequest, selection: Selection, agreed: Approval | None) -> dict[str, Json]:
    """Give what the packet's record closes: it stands under the staff compartment's key."""
    sealed_to: list[Json] = list(request.seal.to) if request.seal is not None else []
    items: list[Json] = [str(item.id) for item in selection.items]
    withheld: list[Json] = [{"item": str(each.item_id), "why": str(each.why)} for each in selection.withheld]
    by_law: dict[str, Json] = {}
    if agreed is not None:
        by_law = {"agreed": {"approval": str(agreed.id), "subject": str(compelled_id(request, selection))}}
    return {
        "recipient": request.recipient,
        "legal_basis": request.legal_basis,
        "form": "in clear" if request.seal is None else "sealed",
        "sealed_to": sealed_to,
        "items": items,
        **for_whom(request, selection),
        "withheld": withheld,
        **by_law,
    }


def for_whom(request: PacketRequest, selection: Selection) -> dict[str, Json]:
    """Say for what audience a packet is, how many items are withheld, and which go because the law demands it."""
    reasons: dict[str, Json] = {str(why): count for why, count in counted_reasons(selection.withheld).items()}
    return {
        "audience": str(request.audience) if request.audience is not None else None,
        "withheld": reasons,
        "compelled": [each.number for each in selection.compelled],
    }


def authority(request: PacketRequest, selection: Selection) -> Values:
    """Name the order or subpoena that demands what a sender does not allow; it is opened in the packet's own log."""
    return (("authority", request.compelled),) if request.compelled is not None and selection.compelled else ()


def reason(request: PacketRequest) -> Values:
    return (("reason", request.reason),) if request.reason else ()
