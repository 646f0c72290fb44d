"""Many small photos, all different, made from the demo's two JPEGs (their origin and licence: demo/ORIGINS.md).

FFmpeg scales the samples to forty pictures, ExifTool gives each its sample's own metadata, those of 8 to 60 KB stay:
phones' pictures as they come over a messenger. Each photo is one of them with 16 octets of its scan changed,
so that no two are equal; no change makes an 0xFF, which would be a marker.
"""

import hashlib
import subprocess
from pathlib import Path

_SAMPLES = {"HMD_Nokia_8.3_5G.jpg": "2", "iphone_hdr_YES.jpg": "6"}
"""Each sample with FFmpeg's quality, of 2 (best) to 31, that brings it to the sizes wanted."""

_WIDTHS = range(240, 1200, 48)
_LEAST, _MOST = 8_000, 60_000
_A_FOLDER = 500


def make_photos(folder: Path, samples: Path, count: int) -> int:
    """Fill `folder` with `count` photos, 500 to a folder as cameras do. Return how many octets they hold."""
    masters = _masters(folder.with_name(folder.name + ".masters"), samples)
    octets = 0
    for number in range(count):
        place = folder / f"{100 + number // _A_FOLDER}MEDIA"
        if number % _A_FOLDER == 0:
            place.mkdir(parents=True)
        photo = bytearray(masters[number % len(masters)])
        change = hashlib.shake_256(number.to_bytes(8)).digest(16)
        start = len(photo) - 1000
        photo[start : start + 16] = bytes(octet % 0xFF for octet in change)
        (place / f"IMG_{number:05d}.JPG").write_bytes(photo)
        octets += len(photo)
    return octets


def _masters(work: Path, samples: Path) -> list[bytes]:
    work.mkdir(parents=True)
    for name, quality in _SAMPLES.items():
        made = [work / f"{Path(name).stem}-{width}.jpg" for width in _WIDTHS]
        command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-i", str(samples / name)]
        for width, path in zip(_WIDTHS, made, strict=True):
            command += ["-vf", f"scale={width}:-2", "-q:v", quality, "-flags", "+bitexact", "-frames:v", "1"]
            command += ["-update", "1", str(path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)  # noqa: S603 - fixed words and our own paths
        command = ["exiftool", "-q", "-q", "-overwrite_original", "-TagsFromFile", str(samples / name), "-all:all"]
        command += ["-ThumbnailImage=", "-PreviewImage=", *map(str, made)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)  # noqa: S603 - the same
    masters = [path.read_bytes() for path in sorted(work.iterdir())]
    return [master for master in masters if _LEAST <= len(master) <= _MOST]
