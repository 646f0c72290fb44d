"""Putting single fields back into a rebuilt picture, with ExifTool in confinement.

ExifTool copies them from the original; both files are sealed memory files, and the new one comes over its output, so
nothing is written anywhere.
"""

import os
import re
from collections.abc import Sequence

from archive.errors import InputError
from media.classify import ClassedTag
from media.confinement import Confinement, Limits, end_process, find_tool
from media.conversation import Bounds, converse
from media.metadata_classes import MetadataClass
from media.options import MIB, MediaSettings
from media.ranges import sealed_memory_file

_FAMILIES = frozenset({"EXIF", "XMP", "IPTC"})
_PLACES = re.compile(r"IFD0|ExifIFD|GPS|IPTC|XMP-[A-Za-z0-9-]{1,40}")
_NAME = re.compile(r"[A-Za-z0-9-]{1,80}")
_PROCESSES = 8


def fields_to_put_back(fields: Sequence[ClassedTag], keep: frozenset[MetadataClass]) -> tuple[str, ...]:
    """Name the fields of the classes that stay, as ExifTool is told them."""
    named = {
        f"-{each.tag.place}:{each.tag.name}": None
        for each in fields
        if each.about in keep
        and each.tag.family in _FAMILIES
        and not each.tag.document
        and _PLACES.fullmatch(each.tag.place)
        and _NAME.fullmatch(each.tag.name)
    }
    return tuple(named)


class FieldWriter:
    """Runs ExifTool once for each picture that gets fields back."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._executable = find_tool(settings.exiftool_path)
        self._confinement = confinement
        self._limits = Limits(
            memory_octets=settings.memory_mib * MIB, cpu_seconds=settings.wall_seconds, processes=_PROCESSES
        )

    def put_back(self, wanted: Sequence[str], original: bytes, copy: bytes, *, deadline: float) -> bytes:
        """Give the copy with the wanted fields of the original.

        Raises: InputError `media/cannot-clean` where they cannot be written; UnavailableError as `media.conversation`.
        """
        first, second = sealed_memory_file(original), sealed_memory_file(copy)
        try:
            command = [self._executable, "-config", "", "-m", "-q", "-tagsFromFile", f"/proc/self/fd/{first}"]
            command += [*wanted, "-o", "-", f"/proc/self/fd/{second}"]
            process = self._confinement.start(command, limits=self._limits, inherit=(first, second))
        finally:
            os.close(first)
            os.close(second)
        try:
            # A field may be longer in its new place; the answer holds the whole picture once more.
            bounds = Bounds(deadline=deadline, output_octets=len(copy) + len(original) + MIB)
            written = converse(process, source=None, ranges=None, bounds=bounds).output
        finally:
            end_process(process)
        if not written:
            raise InputError(
                "media/cannot-clean",
                "This picture cannot be cleaned: the fields that are to stay could not be written into the copy. "
                "The original is kept as it is.",
            )
        return written
