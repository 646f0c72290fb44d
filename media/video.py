"""Duration and streams of video and audio, as ffprobe tells them in confinement.

A small file is given in one sealed memory file. A large one is served by ranges on the sandbox's own loopback, which
needs the full sandbox: without it, that loopback would be everybody's. Durations and frame rates stay the text that
ffprobe printed (seconds as a decimal, frames as a fraction), because records know no floats.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from archive.errors import InputError, UnavailableError
from media.confinement import Confinement, Limits, Process, end_process
from media.conversation import Bounds, Reply, converse
from media.doors import URL, Asked, can_have_doors, started_with_doors
from media.file_server import FileServer
from media.options import MIB, MediaSettings
from media.problems import Problem
from media.ranges import RangeSource, sealed_memory_file

TOOL = "ffprobe"
_PROCESSES = 8
_QUESTION = (
    "-v",
    "error",
    "-print_format",
    "json",
    "-show_program_version",
    "-show_format",
    "-show_streams",
    "-show_chapters",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream. `frame_rate` is a fraction such as `30000/1001`; `rotation` is in degrees clockwise, as shown.

    `attached`: a cover picture, or one of a series of thumbnails; `default`: players show it unless told otherwise;
    `id`: the container's own number of it, by which it is known where FFmpeg counts covers among the streams.
    """

    index: int
    kind: str
    codec: str
    profile: str
    duration: str | None
    width: int | None
    height: int | None
    frame_rate: str | None
    rotation: int
    channels: int | None
    sample_rate: int | None
    language: str | None
    attached: bool = False
    default: bool = False
    id: int | None = None
    captions: bool = False
    """Words inside the coded pictures (CEA-608, CEA-708), which a player may show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """What a video or sound file is made of. `duration` is seconds as a decimal; `raw` is the tool's own JSON."""

    tool: str
    version: str
    container: str
    duration: str | None
    streams: tuple[Stream, ...]
    raw: bytes
    chapters: int = 0


class StreamProbe:
    """Asks ffprobe about one file at a time; each question is a new process."""

    def __init__(self, executable: str, confinement: Confinement, settings: MediaSettings) -> None:
        self._executable = executable
        self._confinement = confinement
        self._settings = settings
        self._limits = Limits(
            memory_octets=settings.memory_mib * MIB, cpu_seconds=settings.wall_seconds, processes=_PROCESSES
        )

    def probe(self, source: RangeSource, *, deadline: float) -> Streams | Problem:
        """Tell the streams of a file, or why they cannot be told. Raises: what `source` raises."""
        bounds = Bounds(deadline=deadline, output_octets=self._settings.output_mib * MIB)
        try:
            if source.size <= self._settings.small_file_mib * MIB:
                reply = self._ask_small(source, bounds)
            elif can_have_doors(self._confinement):
                reply = self._ask_large(source, bounds)
            else:
                return Problem(
                    code="media/needs-sandbox",
                    reason="A file of this size is probed only inside the full sandbox, which cannot run here.",
                )
            return parse_streams(reply.output)
        except (InputError, UnavailableError) as error:
            return Problem.of(error)

    def _ask_small(self, source: RangeSource, bounds: Bounds) -> Reply:
        descriptor = sealed_memory_file(source)
        try:
            name = f"file:/proc/self/fd/{descriptor}"
            command = [self._executable, *_QUESTION, "-protocol_whitelist", "file", "-i", name]
            process = self._confinement.start(command, limits=self._limits, inherit=(descriptor,))
        finally:
            os.close(descriptor)
        return _hear(process, source, bounds)

    def _ask_large(self, source: RangeSource, bounds: Bounds) -> Reply:
        question = [self._executable, *_QUESTION, "-protocol_whitelist", "http,tcp", "-i", URL]
        asked = Asked(question, self._limits, bounds.deadline)
        with started_with_doors(self._confinement, asked, FileServer(source)) as process:
            return converse(process, source=None, ranges=None, bounds=bounds)


def _hear(process: Process, source: RangeSource, bounds: Bounds) -> Reply:
    try:
        return converse(process, source=source, ranges=None, bounds=bounds)
    finally:
        end_process(process)


def parse_streams(raw: bytes) -> Streams:
    """Read ffprobe's JSON. Raises: InputError `media/no-streams` where it found nothing that it can play."""
    try:
        answer = json.loads(raw.decode("utf-8", "replace"), parse_float=str, parse_constant=str) if raw else {}
    except (ValueError, RecursionError):
        answer = {}
    form, streams = _mapping(answer, "format"), _list(answer, "streams")
    if not streams:
        raise InputError(
            "media/no-streams",
            "ffprobe found no video or sound that it can read in this file. The original is kept as it is.",
        )
    form.pop("filename", None)
    return Streams(
        tool=TOOL,
        version=_text(_mapping(answer, "program_version").get("version")),
        container=_text(form.get("format_name")),
        duration=_seconds(form.get("duration")),
        streams=tuple(_stream(number, each) for number, each in enumerate(streams)),
        chapters=len(_list(answer, "chapters")),
        raw=json.dumps(answer, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace"),
    )


def _stream(number: int, told: Mapping[str, object]) -> Stream:
    tags = _mapping(told, "tags")
    video = told.get("codec_type") == "video"
    role = _mapping(told, "disposition")
    return Stream(
        index=number,
        kind=_text(told.get("codec_type")) or "unknown",
        codec=_text(told.get("codec_name")) or "unknown",
        profile=_text(told.get("profile")),
        duration=_seconds(told.get("duration")),
        width=_whole(told.get("width")) if video else None,
        height=_whole(told.get("height")) if video else None,
        frame_rate=_fraction(told.get("avg_frame_rate")) or _fraction(told.get("r_frame_rate")) if video else None,
        rotation=_rotation(told, tags),
        channels=_whole(told.get("channels")),
        sample_rate=_whole(told.get("sample_rate")),
        language=_text(tags.get("language")) or None,
        attached=role.get("attached_pic") == 1 or role.get("timed_thumbnails") == 1,
        default=role.get("default") == 1,
        id=_hexadecimal(told.get("id")),
        captions=told.get("closed_captions") == 1,
    )


def _rotation(told: Mapping[str, object], tags: Mapping[str, object]) -> int:
    """The display matrix counts against the clock, the older `rotate` tag with it."""
    for side in _list(told, "side_data_list"):
        turned = _whole(side.get("rotation"), signed=True)
        if turned is not None:
            return -turned % 360
    return (_whole(tags.get("rotate"), signed=True) or 0) % 360


def _mapping(told: object, name: str) -> dict[str, object]:
    value = told.get(name) if isinstance(told, dict) else None
    return value if isinstance(value, dict) else {}


def _list(told: object, name: str) -> list[dict[str, object]]:
    value = told.get(name) if isinstance(told, dict) else None
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _whole(value: object, *, signed: bool = False) -> int | None:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if re.fullmatch(r"-?\d{1,9}" if signed else r"\d{1,9}", text) else None


def _hexadecimal(value: object) -> int | None:
    return int(value, 16) if isinstance(value, str) and re.fullmatch(r"0x[0-9a-f]{1,8}", value) else None


def _seconds(value: object) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(r"\d{1,12}(\.\d{1,9})?", value) else None


def _fraction(value: object) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(r"[1-9]\d{0,9}/[1-9]\d{0,9}", value) else None
