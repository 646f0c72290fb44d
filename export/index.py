"""The exhibit index: one table for a spreadsheet, one for programs. No I/O.

Names and claims come from outside and have been checked by nobody; every heading says so. In the spreadsheet none of
them can become a formula or turn the writing direction; the other file holds them exactly as they came.
"""

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from export.bag import PayloadFile
from export.exhibits import Exhibit

CLAIMS_NOTE = (
    "Names, claimed times, places and devices are what the sender or the file itself says. Nobody has checked them."
)

_HEAD = (
    "Exhibit", "File", "Status", "Kind", "Format", "Bytes", "SHA-256", "SHA-512", "Received (UTC, archive's clock)",
    "Received by", "Received by way of", "Log entry", "Original name (claimed)", "Times (claimed)", "Places (claimed)",
    "Devices (claimed)", "Said by the sender (claimed)", "Received together with", "Full metadata",
)  # fmt: skip
# A spreadsheet takes a cell that begins like this for a formula; the full-width forms too, in some languages.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_JOINERS = "\u200c\u200d"  # Bangla is not written rightly without them.
_MOST_CLAIMS = 8
_LONGEST = 2000


def index_csv(exhibits: Sequence[Exhibit], originals: Mapping[str, PayloadFile]) -> bytes:
    """Write the table; `originals` by path. The byte order mark makes spreadsheets read Spanish and Korean right."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(_HEAD)
    for exhibit in exhibits:
        written = originals[exhibit.path]
        embedded = exhibit.claims.get("embedded")
        row = (
            exhibit.number,
            exhibit.path,
            exhibit.item.role,
            exhibit.item.evidence_kind,
            exhibit.format_words,
            str(written.size),
            written.sha256.hex,
            written.sha512.hex,
            exhibit.received_time,
            exhibit.received_by,
            exhibit.method,
            str(exhibit.entry),
            exhibit.untrusted_name,
            "; ".join(claim_texts(embedded, "times")),
            "; ".join(claim_texts(embedded, "places")),
            "; ".join(claim_texts(embedded, "devices")),
            "; ".join(claim_texts(exhibit.claims, "sender")),
            ", ".join((*exhibit.companions, *(("a file that is not in this packet",) if exhibit.apart else ()))),
            exhibit.metadata_path,
        )
        writer.writerow([harmless_cell(cell) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def index_json(
    number: str, exhibits: Sequence[Exhibit], originals: Mapping[str, PayloadFile], shown: Mapping[str, Any]
) -> bytes:
    """Write the same for programs, names and claims exactly as they came; `shown` is for whom, and what is withheld."""
    rows = [
        {
            "number": exhibit.number,
            "path": exhibit.path,
            "metadata_path": exhibit.metadata_path,
            "status": exhibit.item.role,
            "kind": exhibit.item.evidence_kind,
            "format": dict(exhibit.format),
            "size": originals[exhibit.path].size,
            "sha256": originals[exhibit.path].sha256.hex,
            "sha512": originals[exhibit.path].sha512.hex,
            "received_time": exhibit.received_time,
            "received_by": exhibit.received_by,
            "received_by_way_of": exhibit.method,
            "log_entry": exhibit.entry,
            "first_received_for_another_matter": exhibit.first_elsewhere,
            "received_again": [
                {"log_entry": each.entry, "received_time": each.received_time, "received_by": each.received_by}
                for each in exhibit.again
            ],
            "claimed": {"original_name": exhibit.untrusted_name, **exhibit.claims},
            "received_together_with": list(exhibit.companions),
            "received_together_with_a_file_not_in_this_packet": exhibit.apart,
        }
        for exhibit in exhibits
    ]
    index = {"v": 1, "packet": number, **shown, "note": CLAIMS_NOTE, "exhibits": rows}
    return json.dumps(index, ensure_ascii=False, indent=1).encode("utf-8") + b"\n"


def claim_texts(claims: Any, name: str) -> list[str]:
    """Write the claims of one kind, one text each: what is written there, and where it is written."""
    part = claims.get(name) if isinstance(claims, Mapping) else None
    if isinstance(part, Mapping):
        texts = [f"{label}: {value}" for label, value in part.items()]
    elif isinstance(part, Sequence) and not isinstance(part, str):
        texts = _with_sources(part)
    else:
        texts = []
    more = len(texts) - _MOST_CLAIMS
    return texts if more <= 0 else [*texts[:_MOST_CLAIMS], f"and {more} others, in the full metadata"]


def _with_sources(claims: Iterable[Any]) -> list[str]:
    """Write each claim once, with the first place where it stands and how many others say the same."""
    sources: dict[str, list[str]] = {}
    for claim in claims:
        if isinstance(claim, Mapping):
            words = " ".join(str(claim[part]) for part in ("kind", "raw") if claim.get(part))
            sources.setdefault(words, []).append(str(claim.get("source", "")))
    return [
        f"{words} [{places[0]}{f' and {len(places) - 1} more' if len(places) > 1 else ''}]"
        for words, places in sources.items()
        if words
    ]


def plain(untrusted: str, longest: int = _LONGEST) -> str:
    """Make a text from outside safe to show: nothing invisible, nothing that turns the writing direction, one line."""
    hidden = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    shown = "".join(
        f"<U+{ord(c):04X}>" if unicodedata.category(c) in hidden and c not in _JOINERS else c
        for c in untrusted[:longest]
    )
    return shown if len(untrusted) <= longest else shown + "…"


def harmless_cell(untrusted: str) -> str:
    """Make a cell that no spreadsheet takes for a formula."""
    return f"'{shown}" if (shown := plain(untrusted)).lstrip().startswith(_FORMULA) else shown
