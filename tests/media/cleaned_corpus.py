"""The corpus of media with real metadata, cleaned for the press once, with independent means to look at what came out.

Nothing here is the archive's own: decoders, unpackers and readers are other people's programs and libraries.
"""

import hashlib
import io
import json
import re
import subprocess
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pillow_heif
import pypdfium2
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from archive.errors import TestigoError
from archive.types import Audience, Uncleanable
from media.cleaning import Verdict, plan_copy
from media.copies import MemoryCopy
from media.policy import Policy, build_policy
from media.ranges import BytesRanges
from media.workbench import Examination, Workbench

pillow_heif.register_heif_opener()
POLICY: Policy = build_policy([], at_ingest={}, uncleanable=Uncleanable.REFUSE, place_decimals=1)
_LARGEST_UNPACKED = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one file of the corpus."""

    name: str
    truth: dict[str, Any]
    original: bytes
    mime_type: str
    copy: bytes | None
    verdict: Verdict | None
    refusal: TestigoError | None

    @property
    def needles(self) -> list[str]:
        return [each["text"] for each in self.truth["needles"]]


def clean_all(
    workbench: Workbench, corpus: Path, audiences: Sequence[Audience], step: int = 1
) -> dict[Audience, list[Outcome]]:
    """Clean every file of the corpus for each audience, or every so manieth."""
    truths = json.loads((corpus / "truth.json").read_text(encoding="utf-8"))[::step]
    outcomes: dict[Audience, list[Outcome]] = {audience: [] for audience in audiences}
    for truth in truths:
        original = (corpus / truth["file"]).read_bytes()
        examination = workbench.examine(BytesRanges(original))
        for audience in audiences:
            outcomes[audience].append(_clean(workbench, truth, original, examination, audience))
    return outcomes


def _clean(
    workbench: Workbench, truth: dict[str, Any], original: bytes, examination: Examination, audience: Audience
) -> Outcome:
    copy, verdict, refusal = MemoryCopy(), None, None
    try:
        plan = plan_copy(POLICY, examination.format.kind, audience)
        verdict = workbench.clean(BytesRanges(original), examination, plan, copy)
    except TestigoError as error:
        refusal = error
    return Outcome(
        name=truth["file"],
        truth=truth,
        original=original,
        mime_type=examination.format.mime_type,
        copy=copy.sink.getvalue() if verdict is not None else None,
        verdict=verdict,
        refusal=refusal,
    )


# ── what is in a copy, unpacked ──────────────────────────────────────────────────────────────────────────────────────


def unpacked(data: bytes, depth: int = 3) -> Iterator[bytes]:
    """Give the bytes and everything that can be unpacked from them: ZIP members, deflated streams, PNG texts."""
    yield data
    if depth == 0:
        return
    if data[:2] == b"PK":
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for member in archive.infolist():
                    yield member.filename.encode()
                    yield member.comment
                    yield from unpacked(archive.read(member)[:_LARGEST_UNPACKED], depth - 1)
        except zipfile.BadZipFile:
            pass
    for found in re.finditer(rb"stream\r?\n", data) if data[:5] == b"%PDF-" else ():
        yield _inflated(data[found.end() :])
    for name in (b"zTXt", b"iTXt", b"iCCP") if data[:4] == b"\x89PNG" else ():
        for found in re.finditer(name, data):
            chunk = data[found.end() : found.end() + int.from_bytes(data[found.start() - 4 : found.start()], "big")]
            yield from (
                _inflated(chunk[place:]) for place in range(min(len(chunk), 120)) if chunk[place : place + 1] == b"x"
            )


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _LARGEST_UNPACKED)
    except zlib.error:
        return b""


def found_in(needle: str, data: bytes) -> bool:
    spellings = {needle.encode(code, "replace") for code in ("utf-8", "utf-16-le", "utf-16-be")}
    return any(spelling in piece for piece in unpacked(data) for spelling in spellings)


# ── what a person sees and hears ─────────────────────────────────────────────────────────────────────────────────────


def seen(data: bytes) -> list[tuple[Any, ...]] | None:
    """Give each frame as it is shown: size, pixels, time; None for what Pillow cannot decode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data))
            return [_frame(frame) for frame in ImageSequence.Iterator(image)]
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
            return None


def _frame(frame: Image.Image) -> tuple[Any, ...]:
    turned = ImageOps.exif_transpose(frame)
    flat = turned.convert("RGBA") if turned.mode == "P" else turned
    return (flat.size, flat.mode, hashlib.sha256(flat.tobytes()).hexdigest(), frame.info.get("duration"))


def colour_profile(data: bytes) -> bytes | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            profile: bytes | None = Image.open(io.BytesIO(data)).info.get("icc_profile")
        except (UnidentifiedImageError, OSError):
            return None
    return profile


def heard(data: bytes, folder: Path, kind: str) -> str | None:
    """Give FFmpeg's digest of the decoded picture (`v`) or sound (`a`); None where there is none."""
    path = folder / "decoded"
    path.write_bytes(data)
    # Covers are pictures to FFmpeg (V leaves them out), and what is hidden by an edit list is not shown.
    wanted = ["-map", f"0:{'V' if kind == 'v' else 'a'}:0?"]
    # Every sample counts, also those that an MP3's first frame says are an encoder's; FFmpeg leaves these in where tags
    # follow the sound, so the same frames would seem to be shorter without the tags.
    command = ["ffmpeg", "-v", "error", "-flags2", "+skip_manual", "-i", str(path), *wanted, "-f", "md5", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return said.stdout.strip() or None


def pages(data: bytes) -> list[tuple[str, str]]:
    """Give the text and the rendered picture of each page of a PDF."""
    document = pypdfium2.PdfDocument(data)
    try:
        told = []
        for page in document:
            bitmap = page.render(scale=1).to_pil()
            told.append((page.get_textpage().get_text_bounded(), hashlib.sha256(bitmap.tobytes()).hexdigest()))
        return told
    finally:
        document.close()


_BODIES = ("word/document.xml", "content.xml", "xl/sharedStrings.xml")
_NOT_SHOWN = ("del", "moveFrom", "annotation", "tracked-changes", "delText", "instrText", "fldSimple", "date", "time")


def office_text(data: bytes) -> str:
    """Give the text that an office document shows: its body without what was deleted and without notes beside it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        bodies = [name for name in archive.namelist() if name in _BODIES]
        return "\n".join("".join(_shown(ElementTree.fromstring(archive.read(name)))) for name in bodies)  # noqa: S314 - corpus


def _shown(element: ElementTree.Element) -> Iterator[str]:
    if element.tag.rpartition("}")[2] in _NOT_SHOWN:
        return
    yield element.text or ""
    for child in element:
        yield from _shown(child)
        yield child.tail or ""


def text_of(data: bytes) -> str:
    """Give the words of a text of any kind, without the marks between them."""
    text = data.decode("utf-8", "replace")
    if text.startswith("{\\rtf"):
        return " ".join("".join(_rich_words(text)).split())
    # A picture that lies elsewhere is seen as its words, and a copy says beside them that it is not there.
    text = re.sub(r"<img\b[^>]*?\balt=(['\"])(.*?)\1[^>]*>", r"\2", text, flags=re.DOTALL | re.IGNORECASE)
    text = re.sub(r"\[picture not in this file: (.*?)\]", r"\1", text)
    text = re.sub(r"<(head|script|style)\b.*?</\1>|<!--.*?-->", "", text, flags=re.DOTALL | re.IGNORECASE)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


_RICH = re.compile(r"\\(\*|'[0-9a-fA-F]{2}|[a-z]+-?\d* ?|.)|([{}])|([^\\{}]+)", re.DOTALL)
_NO_WORDS = ("*", "info", "fonttbl", "stylesheet", "colortbl", "pict", "listtable", "rsidtbl", "header", "footer")


def _rich_words(text: str) -> Iterator[str]:
    """Give the text of an RTF outside the groups that hold none."""
    depth, silent = 0, 0
    for control, brace, words in _RICH.findall(text):
        depth += (brace == "{") - (brace == "}")
        silent = 0 if depth < silent else silent
        if control.strip().rstrip("-0123456789") in _NO_WORDS and not silent:
            silent = depth
        elif not silent:
            yield words.replace("\r", "").replace("\n", "") or (
                " " if control.startswith(("par", "tab", "line")) else ""
            )
            yield control if control.startswith("'") else ""
