"""Make small copies of a picture: turned as it is to be seen, in the colours of every screen, saying nothing else."""

import io
import json

import pillow_heif
from PIL import Image, ImageCms, ImageOps

from media.confined.child import Inputs, Refusal, answer

_MOST_POINTS = 250_000_000
_QUALITY = 82


def main(arguments: list[str]) -> int:
    """Answer as a child."""
    return answer(arguments, work)


def work(inputs: Inputs, sides: list[str]) -> bytes:
    """Give a JPEG for each longest side asked for, largest first; before them a line that says their sizes."""
    pillow_heif.register_heif_opener(decode_threads=1)  # More would need more processes than a tool may have.
    Image.MAX_IMAGE_PIXELS = _MOST_POINTS
    wanted = sorted((int(side) for side in sides), reverse=True)
    try:
        with Image.open(io.BytesIO(bytes(inputs["file"]))) as opened:
            if opened.width * opened.height > _MOST_POINTS:
                raise Refusal("too-many-points")
            opened.draft("RGB", (wanted[0], wanted[0]))
            # Scaled before its colours are converted, which costs as much for every point.
            opened.load()
            profile = opened.info.get("icc_profile")
            picture = _flat(ImageOps.exif_transpose(opened))
    except Image.DecompressionBombError:
        raise Refusal("too-many-points") from None
    except (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, AttributeError):
        raise Refusal("not-shown") from None  # Whatever a damaged picture does to its decoder.
    picture.thumbnail((wanted[0], wanted[0]), Image.Resampling.LANCZOS)
    picture = _in_srgb(picture, profile)
    made, told = [], []
    for side in wanted:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        content = io.BytesIO()
        picture.save(content, "JPEG", quality=_QUALITY, optimize=True)
        made.append(content.getvalue())
        told.append({"side": side, "octets": len(made[-1]), "width": picture.width, "height": picture.height})
    return json.dumps(told).encode("ascii") + b"\n" + b"".join(made)


def _flat(picture: Image.Image) -> Image.Image:
    """Give eight bits a colour and no transparency; what can be seen through lies on white."""
    if picture.mode.startswith(("I", "F")):
        low, most = _whole_range(picture)
        scaled = picture.convert("F").point(lambda value: (value - low) * (255 / (most - low)))
        return scaled.convert("L").convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        solid = picture.convert("RGBA")
        white = Image.new("RGBA", solid.size, "white")
        return Image.alpha_composite(white, solid).convert("RGB")
    return picture if picture.mode in ("RGB", "CMYK", "L") else picture.convert("RGB")


def _whole_range(picture: Image.Image) -> tuple[float, float]:
    """Give what is black and what is white by how the picture is coded, and only where that is not known by its points.

    Stretched from its darkest point to its lightest, an even grey is shown as black, a dim picture as a bright one.
    """
    low, high = (float(each) for each in picture.getextrema())  # type: ignore[arg-type]  # one band has two numbers
    if low >= 0:
        for white in (1.0, 255.0, 65_535.0) if picture.mode == "F" else (65_535.0,):
            if high <= white:
                return 0.0, white
    return low, max(high, low + 1)


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
            if converted is not None:
                return _bare(converted)
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # A profile that cannot be used, or of another kind of colour: the picture is shown without it.
    return _bare(picture.convert("RGB"))


def _bare(picture: Image.Image) -> Image.Image:
    """Leave behind all that the picture carries beside its points."""
    bare = Image.new("RGB", picture.size)
    bare.paste(picture)
    return bare
