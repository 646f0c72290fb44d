"""Videos made by the tests with FFmpeg and ExifTool, whose every frame says its own number.

The number stands in the picture as two rows of white and black fields, the second row being the first one inverted, so
that a frame can be known again after any encoding and at any size.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

FIELDS = 10
_FIELD = "floor(X*10/W)"
_BIT = f"mod(floor(N/pow(2,{_FIELD})),2)"
NUMBERED = f"geq=lum='if(lt(Y,H/2),16+219*{_BIT},235-219*{_BIT})':cb=128:cr=128"


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True, timeout=300)


def numbered(size: str, rate: str, seconds: float) -> list[str]:
    """Give the arguments of an input whose frames say their number."""
    drawn = f"color=size=80x48:rate={rate}:duration={seconds},format=yuv420p,{NUMBERED}"
    return ["-f", "lavfi", "-i", f"{drawn},scale={size.replace('x', ':')}:flags=neighbor,setsar=1"]


def tone(seconds: float) -> list[str]:
    return ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}"]


def number_in(luma: bytes, width: int, height: int) -> int | None:
    """Read the number of a frame from its brightness; None where the two rows contradict each other."""
    found = 0
    for bit in range(FIELDS):
        x = int((bit + 0.5) * width / FIELDS)
        upper, lower = luma[height // 4 * width + x], luma[height * 3 // 4 * width + x]
        if abs(upper - lower) < 60:
            return None
        found |= (upper > lower) << bit
    return found


def framemd5(path: Path) -> list[str]:
    """Give the digest of every decoded frame of the first picture that is no cover, and of all samples of the first
    sound, which no viewer divides into frames."""
    read = ["ffmpeg", "-v", "error", "-i", str(path)]
    frames = [*read, "-map", "0:V:0?", "-map", "0:a:0?", "-f", "framemd5", "-"]
    said = subprocess.run(frames, check=False, capture_output=True, text=True, timeout=300).stdout.splitlines()
    sounds = {line.split()[1].rstrip(":") for line in said if line.startswith("#media_type") and "audio" in line}
    lines = [[part.strip() for part in line.split(",")] for line in said if not line.startswith("#")]
    samples = [*read, "-map", "0:a:0", "-c:a", "pcm_s32le", "-f", "md5", "-"]
    heard = subprocess.run(samples, check=False, capture_output=True, text=True, timeout=300).stdout
    return [f"{parts[0]} {parts[-1]}" for parts in lines if parts[0] not in sounds] + heard.split()


def luma_of(path: Path) -> int:
    """Give the brightness in the middle of a picture, of 255."""
    read = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", "scale=in_range=pc:out_range=pc,format=gray"]
    drawn = subprocess.run([*read, "-f", "rawvideo", "-"], check=True, capture_output=True, timeout=60).stdout
    return drawn[len(drawn) // 2]


def exiftool(*arguments: str | Path) -> str:
    command = ["exiftool", "-q", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def iphone_like(folder: Path, *, seconds: float = 4, begin: float | None = 0.5) -> Path:
    """Make a video as a telephone does: HEVC in MOV, turned by 90 degrees, with sound, GPS, make and model, a cover,
    tracks of timed data and of timed text; cut at `begin` by an edit list that hides what came before.
    """
    plain, cover, words = folder / "plain.mov", folder / "cover.jpg", folder / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:03,000\n34.0522 -118.2437 SECRET-TIMED-TEXT\n", encoding="utf-8")
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x64", "-frames:v", "1", cover)
    hevc = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=30", "-tag:v", "hvc1"]
    coded = folder / "coded.mov"
    ffmpeg(
        *numbered("640x360", "30", seconds),
        *tone(seconds),
        *hevc,
        "-c:a",
        "aac",
        "-flags:a",
        "+bitexact",
        "-shortest",
        coded,
    )
    data = Path(__file__).resolve().parents[2] / "demo" / "samples" / "DCIM" / "100GOPRO" / "max-heromode.mp4"
    parts: list[str | Path] = ["-i", coded, "-i", data, "-i", words, "-i", cover]
    chosen = ["-map", "0:v", "-map", "0:a", "-map", "1:d:1", "-map", "2:s", "-map", "3:v"]
    ffmpeg(
        *parts, *chosen, "-c", "copy", "-c:s", "mov_text", "-disposition:v:1", "attached_pic",
        "-metadata:s:v:0", "rotate=90", "-metadata", "creation_time=2026-11-22T10:11:12Z", "-f", "mp4",
        "-brand", "qt  ", plain,
    )  # fmt: skip
    made = folder / "IMG_0042.MOV"
    cut = [] if begin is None else ["-ss", str(begin)]
    ffmpeg(
        *cut, "-i", plain, "-map", "0", "-c", "copy", "-disposition:v:1", "attached_pic", "-f", "mp4",
        "-brand", "qt  ", made,
    )  # fmt: skip
    exiftool(
        "-overwrite_original", "-api", "QuickTimeUTC", "-Keys:GPSCoordinates=34.0522 -118.2437 89",
        "-Keys:Make=Apple", "-Keys:Model=iPhone 15 Pro", "-Keys:Software=17.1", "-Keys:Author=SECRET-OWNER",
        "-UserData:GPSCoordinates=34.0522 -118.2437 89", made,
    )  # fmt: skip
    return made


def tracks_of(path: Path) -> Sequence[str]:
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.replace(",", "").split()


def shown_numbers(path: Path, *, ignore_edits: bool = False) -> list[int | None]:
    """Read the number of every frame that a file shows, or with `ignore_edits` of every frame that it holds.

    A picture that stands upright is turned back first: it comes of `iphone_like`.
    """
    ask = ["ffprobe", "-v", "error", "-select_streams", "V:0", "-show_entries", "stream=width,height", "-of", "csv=p=0"]
    size = subprocess.run([*ask, str(path)], check=True, capture_output=True, text=True).stdout
    width, height = (int(part) for part in size.strip().split(",")[:2])
    turn = ["-vf", "transpose=1"] if width < height else []
    width, height = max(width, height), min(width, height)
    options = ["-ignore_editlist", "1"] if ignore_edits else []
    command = ["ffmpeg", "-v", "error", "-noautorotate", *options, "-i", str(path), "-map", "0:V:0", "-vsync", "0"]
    raw = subprocess.run(
        [*command, *turn, "-pix_fmt", "gray", "-f", "rawvideo", "-"], check=True, capture_output=True
    ).stdout
    frames = [raw[at : at + width * height] for at in range(0, len(raw), width * height)]
    return [number_in(frame, width, height) for frame in frames]
