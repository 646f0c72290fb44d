"""One item's record as a page of text: what it is, what it claims, what was done with it.

Claims stand one a line, the most telling first; what several fields say alike is said once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from archive.catalogue.records import Item, Json
from commands.assessment_page import print_assessment
from commands.door import printable
from commands.talk import Talk, counted, grouped, octets
from custody.reading import OpenedItem
from custody.register import OpenedEntry
from media.places import Place

_MOST_CLAIMS = 6
_MOST_PREVIEWS = 12
_DEVICE_ORDER = ("make", "model", "lens", "serial", "software")


def print_item(
    talk: Talk,
    opened: OpenedItem,
    *,
    incident: str,
    holds: Sequence[str],
    came_with: Sequence[Mapping[str, str | None]],
    main: Item | None,
    places: Sequence[Place],
) -> None:
    """Print the record; `came_with` are the hand-overs by senders, `main` the item that it is a companion of."""
    item, receipt = opened.item, opened.entries[0]
    described = receipt.get("format") or {}
    talk.say(f"{item.number}  {printable(str((receipt.get('original_name') or {}).get('name', '')))}")
    talk.field("incident", incident)
    talk.field("what", f"{item.role}, {item.evidence_kind}: {_kind(described)}")
    for line in _made_of(described):
        talk.field("made of", line)
    talk.field("size", f"{counted(item.size, 'octet')} ({octets(item.size)})")
    fixity = receipt.get("fixity")
    if fixity:
        digest = grouped(fixity["sha256"])
        talk.fields("SHA-256", [digest[:39], digest[40:], "first computed at receipt; nothing is proved before it"])
    for entry in opened.entries:
        if intake := entry.get("intake"):
            talk.fields("stripped", _stripped(intake))
    kept_whole = (receipt.get("policy") or {}).get("reason")
    if kept_whole:
        talk.fields("not stripped", ["kept whole, because it could not be cleaned", str(kept_whole)])
    talk.field("received", f"{moment(receipt.get('recorded_time'))} by {receipt.get('actor')}")
    if main is not None:
        talk.field("belongs to", main.number)
    if came_with:
        use = [f"{each['receipt'] or 'not finished'}: {each['use'] or 'none'}" for each in came_with]
        talk.fields("use, as chosen", use)
    if holds:
        talk.field("legal hold", ", ".join(holds))
    if item.state != "kept":
        talk.field("state", item.state)
    _print_claims(talk, receipt)
    print_assessment(talk, opened.entries, places)
    _print_not_processed(talk, receipt)
    _print_previews(talk, opened)
    _print_log(talk, item, opened.entries)


def _stripped(intake: Json) -> list[str]:
    """Say what went of a file of which only a cleaned copy is kept, and which file that was."""
    removed, handed = intake.get("removed") or {}, intake["handed_in"]
    went = ", ".join(f"{about.replace('_', ' ')} ({count})" for about, count in sorted(removed.items()))
    digest = grouped(handed["sha256"])
    return [
        "at intake: only this cleaned copy is kept, what was handed in is gone",
        f"went: {went or 'nothing that was told in fields'}",
        *(f"went: {track}" for track in intake.get("parts_gone") or ()),
        f"handed in: {counted(handed['size'], 'octet')}, SHA-256",
        digest[:39],
        digest[40:],
    ]


def _print_claims(talk: Talk, receipt: OpenedEntry) -> None:
    claims = receipt.get("claims") or {}
    embedded = claims.get("embedded") or {}
    parts = (
        ("when", "times", _times),
        ("where", "places", _places),
        ("made with", "devices", _devices),
    )
    told = [
        (label, *summary(embedded.get(name) or [])) + (embedded.get(f"{name}_found", 0),)
        for label, name, summary in parts
    ]
    talk.say()
    if any(lines for _, lines, _, _ in told):
        talk.say("  The file says of itself (claims; nothing here is checked)")
    else:
        talk.say("  The file says nothing of when, where and with what it was made.")
    for label, lines, spoken_for, found in told:
        more = found - spoken_for
        talk.fields(label, [*lines, *([f"… and {more} more in the full metadata (--metadata)"] if more > 0 else [])])
    record: Json = next((value for value in receipt.all("record") if value.get("kind") == "item"), {})
    path = (record.get("sealed") or {}).get("path")
    sender = claims.get("sender") or {}
    if path or sender:
        talk.say()
        talk.say("  Told with it (claims)")
    if path:
        talk.field("path", str(path))
    for name, value in sorted(sender.items(), key=lambda each: each[0] == "file_modified"):
        if name == "file_modified":
            talk.field("modified", f"{moment(value)}, as the source's file system has it")
        else:
            talk.field(name, str(value))


def _print_not_processed(talk: Talk, receipt: OpenedEntry) -> None:
    problems = (receipt.get("extraction") or {}).get("not_processed") or []
    if problems:
        talk.say()
        talk.fields("not processed", [f"{each['reason']} ({each['code']})" for each in problems])


def _print_previews(talk: Talk, opened: OpenedItem) -> None:
    """Say which previews there are, and why some could not be made."""
    made = [value for entry in opened.entries for value in entry.all("derivative")]
    missing = [value for entry in opened.entries for value in entry.all("not_processed")]
    lines = [f"{each['purpose']} ({octets(each['size'])}{_mixed(each)})" for each in made[:_MOST_PREVIEWS]]
    if len(made) > _MOST_PREVIEWS:
        lines.append(f"… and {len(made) - _MOST_PREVIEWS} more (testigo preview {opened.item.number})")
    lines += [f"not processed: {each['purpose']}: {each['reason']} ({each['code']})" for each in missing]
    if lines:
        talk.say()
        talk.fields("previews", lines)


def _mixed(preview: Json) -> str:
    sounds = (preview.get("facts") or {}).get("sounds_mixed", 0)
    return f", all {sounds} sounds mixed into one" if sounds > 1 else ""


def _print_log(talk: Talk, item: Item, entries: Iterable[OpenedEntry]) -> None:
    talk.say()
    talk.say("  Custody log of this item")
    rows = []
    for entry in entries:
        run = next(value for value in entry.all("run") if value["item"] == str(item.id))
        rows.append(
            (
                f"{run['number']:>6}",
                moment(entry.get("recorded_time")),
                str(entry.entry.seq),
                str(entry.entry.event) + ("" if entry.entry.outcome == "success" else f" ({entry.entry.outcome})"),
                str(entry.get("actor") or "the program"),
                what_for(entry),
            )
        )
    talk.table(("   no.", "recorded", "entry", "event", "by", "what for"), rows)


def what_for(entry: OpenedEntry) -> str:
    """Say in a line what an entry was for: its purpose, code and reason, and to whom a packet went."""
    packet = entry.get("packet") or {}
    parts = [entry.get(name) for name in ("purpose", "code", "reason")]
    parts += [packet.get("number"), packet.get("recipient") and f"to {packet['recipient']}"]
    intakes = [value for value in entry.all("intake") if value]
    parts += [f"stripped at intake, of SHA-256 {value['handed_in']['sha256']}" for value in intakes]
    return " · ".join(str(part) for part in parts if part)


# ── claims, one a line; each summary gives its lines and how many claims they speak for ──────────────────────────────


def _times(claims: list[Json]) -> tuple[list[str], int]:
    def rank(claim: Json) -> tuple[int, int]:
        source = claim["source"]
        words = ("DateTimeOriginal", "GPS", "Creat", "")
        place = next(i for i, word in enumerate(words) if word in source)
        # What a whole file says of itself tells more than the points of a track in it.
        later = ":Doc" in source or "Modif" in source
        return (len(words) if later else place, claim["uncertainty_seconds"])

    def text(claim: Json) -> str:
        if claim["utc"]:
            note = claim["note"].partition(" from ")[0]
            return moment(claim["utc"]) + (f" ({note})" if note else "")
        local = str(claim["local"] or claim["raw"])[:19].replace("T", " ")
        return f"{local} local time, zone not stated"

    return _summary(claims, text, rank)


def _places(claims: list[Json]) -> tuple[list[str], int]:
    def text(claim: Json) -> str:
        if claim["name"]:
            return str(claim["name"])
        # Four decimals are some eleven metres: points of a track that stood still are one line.
        return f"{_decimal(claim['latitude'])}, {_decimal(claim['longitude'])}"

    return _summary(claims, text, lambda claim: (claim["latitude"] is None, ":Doc" in claim["source"]))


def _devices(claims: list[Json]) -> tuple[list[str], int]:
    def rank(claim: Json) -> int:
        return _DEVICE_ORDER.index(claim["kind"]) if claim["kind"] in _DEVICE_ORDER else len(_DEVICE_ORDER)

    return _summary(claims, lambda claim: f"{claim['kind']} {claim['raw']}", rank)


def _summary(claims: list[Json], text: Callable[[Json], str], rank: Callable[[Json], Any]) -> tuple[list[str], int]:
    """Give the first lines, each with the field that says so, and how many claims they speak for."""
    fields: dict[str, list[str]] = {}
    for claim in sorted(claims, key=rank):
        fields.setdefault(text(claim), []).append(claim["source"])
    shown = list(fields.items())[:_MOST_CLAIMS]
    lines = [f"{words}  [{sources[0]}{_others(len(sources) - 1)}]" for words, sources in shown]
    return lines, sum(len(sources) for _, sources in shown)


def _others(count: int) -> str:
    return f" and {count} other {'field' if count == 1 else 'fields'}" if count else ""


def _decimal(degrees: object) -> str:
    whole, _, rest = str(degrees).partition(".")
    return f"{whole}.{rest[:4]}" if rest else whole


def _kind(described: Json) -> str:
    more = ", ".join(str(part) for part in (described.get("mime_type"), described.get("pronom")) if part)
    return f"{described.get('name', 'unknown')}" + (f" ({more})" if more else "")


def _made_of(described: Json) -> list[str]:
    if not described.get("streams"):
        return []
    lines = [f"{_seconds(described['duration'])}"] if described.get("duration") else []
    for stream in described["streams"]:
        size = f"{stream['width']} × {stream['height']}" if stream.get("width") else ""
        rate = f"{stream['sample_rate']} Hz" if stream.get("sample_rate") else ""
        if stream["kind"] in ("video", "audio"):
            lines.append(" ".join(part for part in (stream["kind"], stream["codec"], size, rate) if part))
    return ["; ".join(lines)]


def _seconds(text: str) -> str:
    seconds = float(text)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def moment(text: object) -> str:
    """Write a moment of the log for people, to the second; what is not written as one is given as it is."""
    written = str(text)
    if len(written) >= 20 and written[10] == "T" and written.endswith("Z"):
        return f"{written[:10]} {written[11:19]} UTC"
    return written
