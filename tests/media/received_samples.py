"""Files from known routes: real ones as they were found, and ones that other programs made here from real ones."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.way_in import SAMPLES

CAMERA = SAMPLES / "DCIM" / "Camera"
IPHONE = CAMERA / "iphone_hdr_YES.jpg"
NOKIA = CAMERA / "HMD_Nokia_8.3_5G.jpg"
GOPRO = SAMPLES / "DCIM" / "100GOPRO" / "max-heromode.mp4"

# Files that were not made by this project, from the corpora: what they are is told by where they come from.
FOUND = (
    ("media-metadata", "exif-samples/jpg/hdr/iphone_hdr_YES.jpg", "camera file"),
    ("media-metadata", "exif-samples/jpg/mobile/HMD_Nokia_8.3_5G.jpg", "unknown"),
    ("media-metadata", "exif-samples/jpg/tests/22-canon_tags.jpg", "camera file"),
    ("media-metadata", "gopro/max-heromode.mp4", "camera file"),
    ("media-metadata", "forensics-samples/pic1/IMG-20191006-WA0002.jpg", "messenger"),
    ("media-metadata", "forensics-samples/pic1/IMG_1054.JPG", "edited"),
    ("media-metadata", "exif-samples/heic/IMG_5195.HEIC", "edited"),
    ("media-metadata", "exif-samples/jpg/hdr/canon_hdr_YES.jpg", "edited"),
    ("media-metadata", "exif-samples/jpg/xmp/no_exif.jpg", "edited"),
    ("c2pa", "public-testfiles/adobe-20220124-I.jpg", "edited"),
    ("faces-video", "obama.jpg", "edited"),
    ("media-metadata", "mat2/dirty.mp4", "download or re-encode"),
    ("media-metadata", "mat2/dirty.wmv", "download or re-encode"),
    ("faces-video", "vtest.avi", "download or re-encode"),
    ("media-metadata", "format-corpus-variations/variations/image/jpeg/lorem-ipsum.im.jpg", "download or re-encode"),
    ("media-metadata", "forensics-samples/text1/a-text.pdf", "unknown"),
    ("media-metadata", "exif-samples/jpg/mobile/jolla.jpg", "unknown"),
)


def ffmpeg(*words: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, words)], check=True, timeout=120)


def exiftool(*words: str | Path) -> None:
    subprocess.run(["exiftool", "-q", "-q", "-overwrite_original", *map(str, words)], check=True, timeout=60)


def make_samples(folder: Path) -> list[tuple[Path, str]]:
    """Send real files through other programs as each route would, and name what they became."""
    made: list[tuple[Path, str]] = []

    def to(name: str, grade: str) -> Path:
        made.append((folder / name, grade))
        return folder / name

    _pictures(to)
    _films(to)
    return made


def _pictures(to: Callable[[str, str], Path]) -> None:
    # Messengers scale to their limit, encode anew with the common library and keep no metadata.
    bare = ["-pix_fmt", "yuvj420p", "-map_metadata", "-1"]
    ffmpeg("-i", IPHONE, "-vf", "scale=1600:-1", *bare, to("IMG-20260112-WA0007.jpg", "messenger"))
    ffmpeg("-i", NOKIA, "-vf", "scale=1280:-1", *bare, to("photo_2026-01-12_10-11-12.jpg", "messenger"))
    # A picture that somebody stripped is no camera's file any more, and nothing says what it is.
    stripped = to("stripped.jpg", "unknown")
    stripped.write_bytes(IPHONE.read_bytes())
    exiftool("-all=", stripped)
    # A picture that was scaled keeps what the camera said of its size; its tables are the encoder's.
    scaled = to("scaled.jpg", "download or re-encode")
    ffmpeg("-i", IPHONE, "-vf", "scale=1632:-1", "-pix_fmt", "yuvj420p", scaled)
    exiftool("-tagsfromfile", IPHONE, "-all:all", scaled)
    cropped = to("cropped.jpg", "edited")
    ffmpeg("-i", IPHONE, "-vf", "crop=1200:2000", "-pix_fmt", "yuvj420p", cropped)
    exiftool("-tagsfromfile", IPHONE, "-all:all", cropped)
    named = to("named.jpg", "edited")
    named.write_bytes(IPHONE.read_bytes())
    exiftool("-Software=Snapseed 2.0", named)
    # A phone that shares a HEIC as JPEG keeps its fields and colour profile and writes no small copy.
    converted = to("IMG_0042.jpg", "phone-converted")
    converted.write_bytes(IPHONE.read_bytes())
    exiftool("-tagsfromfile", CAMERA / "IMG_5195.HEIC", "-icc_profile", "-ThumbnailImage=", "-Software=17.1", converted)
    screenshot = to("20260112-101112.png", "screen recording")
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=1080x2400:rate=1", "-frames:v", "1", screenshot)


def _films(to: Callable[[str, str], Path]) -> None:
    exact = ["-fflags", "+bitexact", "-flags", "+bitexact"]
    fast = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    again: list[str | Path] = ["-i", GOPRO, "-t", "1", *fast, "-c:a", "aac"]
    ffmpeg(*again, to("again.mp4", "download or re-encode"))
    sent = ["-vf", "scale=640:-2", "-map_metadata", "-1", *exact]
    ffmpeg(*again, *sent, to("VID-20260112-WA0001.mp4", "messenger"))
    ffmpeg("-i", GOPRO, "-ss", "2", "-t", "3", "-c", "copy", to("cut.mp4", "download or re-encode"))
    # An Android screen recorder writes through the phone's own muxer, in the screen's size, and names no camera.
    screen = ["-f", "lavfi", "-i", "testsrc=size=1080x2400:rate=30:duration=1", *fast]
    phone = [*exact, "-metadata:s:v", "handler_name=VideoHandle", "-metadata:s:v", "encoder=AVC Coding"]
    keys = ["-movflags", "use_metadata_tags", "-metadata"]
    ffmpeg(*screen, *phone, *keys, "com.android.version=14", to("20260112_101112.mp4", "screen recording"))
    small = ["-f", "lavfi", "-i", "testsrc=size=640x360:rate=30:duration=1", *fast]
    replay = [*phone, *keys, "com.apple.quicktime.author=ReplayKitRecording"]
    ffmpeg(*small, *replay, to("recorded.mov", "screen recording"))
    # The system library of a phone writes its own handlers; a film that the camera app wrote has timed tracks besides.
    apple = [*exact, "-metadata:s:v", "handler_name=Core Media Video", "-metadata:s:v", "encoder=H.264"]
    ffmpeg(*small, *apple, to("shared.mp4", "phone-converted"))
    ffmpeg(*small, *phone, "-metadata", "comment=I cut it with CapCut", to("plain.mp4", "unknown"))
    # A phone's own trimming keeps all that was filmed and writes a list of what to show.
    trimmed = to("trimmed.mp4", "edited")
    ffmpeg("-ss", "3.3", "-t", "3", "-i", GOPRO, "-c", "copy", "-map", "0:v", *phone, trimmed)
    edited = to("edited.mp4", "edited")
    ffmpeg(*small, *phone, edited)
    exiftool("-XMP-xmp:CreatorTool=Adobe Premiere Pro 2024.0 (Windows)", edited)
