"""What the workbench makes of an item, as lines under an item's record: how it was received, what came with it, what
does not go together, what it gives away. Everything is read from what the log recorded.
"""

from collections.abc import Sequence
from typing import Any

from archive.catalogue.records import Json
from archive.types import parse_utc
from commands.talk import Talk
from custody.better_original import links_of
from custody.clock_offset import newest_offset
from custody.register import OpenedEntry
from media.contradictions import contradictions
from media.places import Place
from media.received_as import Basis, Grade
from media.recorded import shifted
from media.risk import risks
from media.sentences import english_of_value, message

_MOST_TIMES = 3


def assessment(entries: Sequence[OpenedEntry], places: Sequence[Place] = ()) -> dict[str, Json]:
    """Gather the same for a program: sentences with their ids, and the recorded values beside them."""
    receipt = entries[0]
    embedded = (receipt.get("claims") or {}).get("embedded") or {}
    credentials = [value for entry in entries for value in entry.all("credentials")]
    received = receipt.get("recorded_time")
    compared = [value for entry in entries for value in entry.all("small_copy")]
    differs = compared[-1].get("differs") if compared else None
    return {
        "received_as": _graded(receipt.get("received_as"), differs),
        "credentials": credentials,
        "clock_offset": newest_offset(entries),
        "linked": links_of(entries),
        "contradictions": [
            found.value() for found in contradictions(embedded, parse_utc(received) if received else None)
        ],
        "gives_away": [
            said.value()
            for said in risks(
                receipt.get("format") or {},
                embedded,
                receipt.get("extraction"),
                credentials=bool(credentials),
                copy_differs=differs,
                places=places,
            )
        ],
    }


def _graded(recorded: Json | None, copy_differs: bool | None) -> Json | None:
    """Give the grade, taken back where the small copy inside was since found to show another picture."""
    if recorded is None or not copy_differs or recorded["grade"] != Grade.CAMERA_FILE:
        return recorded
    reason = message("received/small-copy-differs").value()
    return {**recorded, "grade": Grade.UNKNOWN, "basis": Basis.NONE, "reasons": [reason]}


def print_assessment(talk: Talk, entries: Sequence[OpenedEntry], places: Sequence[Place]) -> None:
    """Print it for a person."""
    found = assessment(entries, places)
    talk.say()
    graded = found["received_as"]
    if graded:
        talk.fields("received as", [f"{graded['grade']} ({graded['basis']})", *_sentences(graded["reasons"])])
    for link in found["linked"]:
        talk.field(*link_words(link))
    for claim in found["credentials"]:
        kind = {"c2pa": "content credentials", "proofmode": "ProofMode proof"}.get(claim["kind"], claim["kind"])
        talk.fields("came with it", [f"{kind}: {claim['finding']}", *_sentences(claim["reasons"]), *_history(claim)])
    _print_offset(talk, found["clock_offset"], entries[0])
    if found["contradictions"]:
        talk.say()
        talk.say("  Its claims do not go together (a reason to ask, not a proof)")
        talk.fields("", [english_of_value(value) for value in found["contradictions"]])
    talk.say()
    talk.say("  What this file gives away, if it is handed on as it is")
    talk.fields("", [english_of_value(value) for value in found["gives_away"]])


def link_words(link: Json) -> tuple[str, str]:
    """Say in a line what an item was linked with."""
    how = english_of_value(link["reason"])
    if link["role"] == "copy":
        return "see also", f"{link['other']}, a better original: it is graded a camera file and shows the same. {how}"
    return "see also", f"{link['other']}, which shows the same and is not graded a camera file. {how}"


def _sentences(values: Sequence[Json]) -> list[str]:
    return [english_of_value(value) for value in values]


def _history(claim: Json) -> list[str]:
    actions = ", ".join(dict.fromkeys(action["action"] for action in claim.get("actions") or ()))
    return [f"It says that this was done: {actions}."] if actions else []


def _print_offset(talk: Talk, offset: dict[str, Any] | None, receipt: OpenedEntry) -> None:
    if offset is None:
        return
    seconds = int(offset["seconds"])
    way = "ahead of" if seconds > 0 else "behind"
    lines = [f"the device's clock ran {abs(seconds):,} s {way} the true time; found by: {offset['method']}"]
    embedded = (receipt.get("claims") or {}).get("embedded") or {}
    corrected: dict[str, str] = {}
    for claim in sorted(embedded.get("times") or (), key=lambda each: "DateTimeOriginal" not in each["source"]):
        # A satellite's time does not come from the device's clock.
        if "GPS" in claim["source"] or ":Doc" in claim["source"]:
            continue
        text = shifted(str(claim.get("utc") or claim.get("local") or ""), seconds)
        if text is not None:
            shown = text[:19].replace("T", " ") + (" UTC" if text.endswith("Z") else " local time, zone not stated")
            corrected.setdefault(shown, claim["source"])
    lines += [f"corrected: {shown}  [{source}]" for shown, source in list(corrected.items())[:_MOST_TIMES]]
    talk.fields("clock offset", lines)
