"""Small grey pictures of a photo or a film, decoded by FFmpeg in confinement: what a likeness is made from.

A small file goes in as one sealed memory file, a large film on the sandbox's own loopback (`doors.py`). Nothing but a
kilobyte a picture comes out.
"""

import os
import time

from archive.errors import ConfigError, InputError, UnavailableError
from archive.types import EvidenceKind
from media.confined_python import ConfinedPython
from media.confinement import Confinement, Limits, end_process, find_tool
from media.conversation import Bounds, converse
from media.doors import URL, Asked, can_have_doors, started_with_doors
from media.file_server import FileServer
from media.identify import HEAD_OCTETS
from media.jpeg_head import JpegHead, read_jpeg_head, small_copy_in
from media.likeness import PICTURE_OCTETS, SIDE, Likeness, far_apart, film_likeness, photo_likeness
from media.options import MIB, MediaSettings
from media.ranges import BytesRanges, RangeSource, SeekableFile, as_ranges, sealed_memory_file
from media.video import StreamProbe, Streams

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""At which shares of a film's length its pictures are taken."""

_PROCESSES = 16
_SMALL_SIDE = "320"
_SHAPE_SLACK = 0.02
_SCALE = f"scale={SIDE}:{SIDE}:flags=area,format=gray"
# FFmpeg gives one tile of a phone's HEIC for the whole, so these are first made into a small JPEG by our own code.
_DECODED_BY_PILLOW = frozenset({"image/heic", "image/heif", "image/avif"})


class LikenessMaker:
    """Makes the likeness of one file at a time; each picture is a new process."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._confinement = confinement
        self._settings = settings
        self._python = ConfinedPython(confinement, settings, ("PIL", "pillow_heif"))
        self._ffmpeg = find_tool("ffmpeg")
        self._probe = StreamProbe(find_tool(settings.ffprobe_path), confinement, settings)
        self._limits = Limits(
            memory_octets=settings.memory_mib * MIB, cpu_seconds=settings.wall_seconds, processes=_PROCESSES
        )

    def make(self, source: RangeSource | SeekableFile, kind: EvidenceKind, mime_type: str, grade: str) -> Likeness:
        """Look at one file; where it cannot be looked at, the likeness says why. Raises: what `source` raises."""
        ranges = as_ranges(source)
        deadline = time.monotonic() + self._settings.wall_seconds
        try:
            if mime_type in _DECODED_BY_PILLOW:
                ranges = BytesRanges(self._small_jpeg(ranges, deadline))
            if kind is EvidenceKind.PHOTO:
                return photo_likeness(self._picture(ranges, None, deadline), grade)
            streams = self._probe.probe(ranges, deadline=deadline)
            if not isinstance(streams, Streams) or not streams.duration:
                return Likeness(kind=kind, grade=grade, problem="its length is not known")
            length = float(streams.duration)
            greys = [self._picture(ranges, f"{length * share:.3f}", deadline) for share in SHARES]
            return film_likeness(greys, length, grade)
        except (ConfigError, InputError, UnavailableError) as error:
            return Likeness(kind=kind, grade=grade, problem=error.code)

    def small_copy_differs(self, source: RangeSource | SeekableFile, picture: Likeness) -> bool | None:
        """Say whether the small copy inside a JPEG shows another picture than the file itself.

        None where there is none, or it cannot be told: it has another shape, for which bars may be to blame.
        Raises: what `source` raises.
        """
        ranges = as_ranges(source)
        head = ranges.read_range(0, min(HEAD_OCTETS + 8, ranges.size))
        inside = small_copy_in(head)
        whole, small = read_jpeg_head(ranges.read_range(0, min(MIB, ranges.size))), read_jpeg_head(inside or b"")
        if inside is None or whole is None or small is None or not _one_shape(whole, small):
            return None
        mime_type = "image/jpeg"
        return far_apart(picture, self.make(BytesRanges(inside), EvidenceKind.PHOTO, mime_type, picture.grade))

    def _picture(self, source: RangeSource, at: str | None, deadline: float) -> bytes:
        """Give one grey picture. Raises: InputError `media/no-picture`; UnavailableError as `converse`."""
        small = source.size <= self._settings.small_file_mib * MIB
        reply = self._from_memory(source, at, deadline) if small else self._by_ranges(source, at, deadline)
        if len(reply) != PICTURE_OCTETS:
            raise InputError("media/no-picture", "No picture could be made of this file. The original is kept.")
        return reply

    def _small_jpeg(self, source: RangeSource, deadline: float) -> bytes:
        """Give a small JPEG of a picture. Raises: InputError `media/no-picture`; as `ConfinedPython.run`."""
        answer = self._python.run(
            "preview_photo", {"file": source}, [_SMALL_SIDE], deadline=deadline, output_octets=MIB
        )
        if answer.refusal is not None:
            raise InputError("media/no-picture", "No picture could be made of this file. The original is kept.")
        return answer.output.partition(b"\n")[2]

    def _words(self, url: str, protocols: str, at: str | None) -> list[str]:
        seek = ["-ss", at] if at is not None else []
        read = [*seek, "-protocol_whitelist", protocols, "-i", url]
        return [
            self._ffmpeg, "-v", "error", "-nostdin", "-threads", "1", *read, "-map", "0:v:0", "-frames:v", "1",
            "-vf", _SCALE, "-f", "rawvideo", "pipe:1",
        ]  # fmt: skip

    def _from_memory(self, source: RangeSource, at: str | None, deadline: float) -> bytes:
        descriptor = sealed_memory_file(source)
        try:
            words = self._words(f"file:/proc/self/fd/{descriptor}", "file,pipe", at)
            process = self._confinement.start(words, limits=self._limits, inherit=(descriptor,))
        finally:
            os.close(descriptor)
        try:
            return converse(process, source=source, ranges=None, bounds=self._bounds(deadline)).output
        finally:
            end_process(process)

    def _by_ranges(self, source: RangeSource, at: str | None, deadline: float) -> bytes:
        if not can_have_doors(self._confinement):
            raise UnavailableError(
                "media/needs-sandbox",
                "A file of this size is looked at only inside the full sandbox, which cannot run here. It is kept.",
            )
        asked = Asked(self._words(URL, "http,tcp", at), self._limits, deadline)
        with started_with_doors(self._confinement, asked, FileServer(source)) as process:
            return converse(process, source=None, ranges=None, bounds=self._bounds(deadline)).output

    def _bounds(self, deadline: float) -> Bounds:
        return Bounds(deadline=deadline, output_octets=MIB)


def _one_shape(one: JpegHead, other: JpegHead) -> bool:
    if not (one.width and one.height and other.width and other.height):
        return False
    ours, theirs = one.width / one.height, other.width / other.height
    return abs(ours - theirs) <= _SHAPE_SLACK * ours
