"""The inspector of pictures: which walk reads which format, and what a walk that stumbles means."""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from archive.errors import InputError
from media.cleaners.photos import LARGEST_PICTURE
from media.confinement import Confinement
from media.identify import Format
from media.metadata_classes import MetadataClass
from media.options import MediaSettings
from media.pictures.container_walks import walk_heif, walk_jp2, walk_jxl, walk_tiff
from media.pictures.walks import walk_gif, walk_jpeg, walk_png, walk_webp
from media.policy import ALWAYS_KEPT
from media.ranges import RangeSource

_WALKS: Mapping[str, Callable[[bytes, bool], Iterator[str]]] = MappingProxyType(
    {
        "image/jpeg": walk_jpeg,
        "image/png": walk_png,
        "image/apng": walk_png,
        "image/gif": walk_gif,
        "image/webp": walk_webp,
        "image/heic": walk_heif,
        "image/heif": walk_heif,
        "image/avif": walk_heif,
        "image/jxl": walk_jxl,
        "image/jp2": walk_jp2,
        "image/tiff": walk_tiff,
    }
)
_MOST_WORDS = 50


class PictureInspector:
    """Walks pictures."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        del confinement, settings  # It runs no tool; every inspector is made the same way.

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return format.mime_type in _WALKS

    def inspect(
        self,
        copy: RangeSource,
        format: Format,  # noqa: A002  # the field's own word
        keep: frozenset[MetadataClass],
        deadline: float,
    ) -> Iterable[str]:
        """Name what should not be there. Raises: as `Inspector.inspect`."""
        del deadline  # A walk is linear in a size that is bounded here.
        if copy.size > 2 * LARGEST_PICTURE:
            return ("more bytes than any picture here",)
        found: list[str] = []
        try:
            for words in _WALKS[format.mime_type](copy.read_range(0, copy.size), bool(keep - ALWAYS_KEPT)):
                found.append(words)
                if len(found) >= _MOST_WORDS:
                    break
        except (InputError, ValueError, IndexError, struct.error, zlib.error):
            found.append("a picture that cannot be walked to its end")
        return tuple(found)
