"""Pictures rebuilt from what they need to be shown: everything else is gone, and what a decoder gives is the same.

Pillow and libheif, which share no code with the archive, make the pictures and look at the copies.
"""

import io
import struct
import zlib
from collections.abc import Callable

import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from archive.errors import InputError
from media.pictures import gif, heif, jp2, jpeg, jxl, png, tiff, webp
from media.pictures.container_walks import walk_heif, walk_jp2, walk_tiff
from media.pictures.exif import Shown, block_for, shown_by
from media.pictures.icc import BadProfileError, colour_tags, telling_words, without_words
from media.pictures.walks import walk_gif, walk_jpeg, walk_png, walk_webp
from tests.media.cleaned_corpus import colour_profile, seen

SECRET = b"Maria Lopez, 6th and Alvarado"
TRAILER = b"\x00\x00\x00\x18ftypmp42" + SECRET + b"a short film that a motion photo hides"
pillow_heif.register_heif_opener()


def picture(mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (48, 32))
    for x in range(48):
        for y in range(32):
            image.putpixel((x, y), (x * 5, y * 7, (x * y) % 251, 255 - y)[: len(mode)] if mode != "L" else x + y)
    return image


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F], exif[0x013B] = "Secretphone", SECRET.decode()
    exif.get_ifd(0x8769)[0x9003] = "2026:11:24 10:11:12"
    exif.get_ifd(0x8825)[2] = (34.0, 3.0, 27.5)
    return exif


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def png_with_secrets() -> bytes:
    told = PngInfo()
    told.add_text("Author", SECRET.decode())
    told.add_itxt("XML:com.adobe.xmp", f"<x>{SECRET.decode()}</x>", zip=True)
    told.add(b"prVt", SECRET)
    return saved(picture("RGBA"), "PNG", pnginfo=told, exif=exif_of(6), icc_profile=srgb()) + TRAILER


def tiff_with_secrets() -> bytes:
    fields = ImageFileDirectory_v2()
    fields[315], fields[271], fields[65000] = SECRET.decode(), "Secretphone", SECRET.decode()
    return saved(picture(), "TIFF", tiffinfo=fields, compression="tiff_lzw") + TRAILER


MADE: dict[str, tuple[Callable[[], bytes], Callable[..., bytes], Callable[..., object]]] = {
    "jpeg": (
        lambda: saved(picture(), "JPEG", exif=exif_of(8), comment=SECRET, icc_profile=srgb(), xmp=SECRET) + TRAILER,
        jpeg.rebuild,
        walk_jpeg,
    ),
    "jpeg-progressive": (lambda: saved(picture(), "JPEG", progressive=True, exif=exif_of(3)), jpeg.rebuild, walk_jpeg),
    "jpeg-cmyk": (lambda: saved(picture().convert("CMYK"), "JPEG", comment=SECRET), jpeg.rebuild, walk_jpeg),
    "mpo": (lambda: saved(picture(), "MPO", save_all=True, append_images=[picture()]), jpeg.rebuild, walk_jpeg),
    "png": (png_with_secrets, png.rebuild, walk_png),
    "apng": (
        lambda: (
            saved(picture(), "PNG", save_all=True, append_images=[picture().rotate(90)], duration=[80, 120]) + TRAILER
        ),
        png.rebuild,
        walk_png,
    ),
    "gif": (
        lambda: (
            saved(
                picture("L"),
                "GIF",
                save_all=True,
                append_images=[picture("L").rotate(180)],
                duration=90,
                loop=3,
                comment=SECRET,
            )
            + TRAILER
        ),
        gif.rebuild,
        walk_gif,
    ),
    "webp": (
        lambda: (
            saved(picture("RGBA"), "WEBP", lossless=True, exif=exif_of(6), xmp=SECRET, icc_profile=srgb()) + TRAILER
        ),
        webp.rebuild,
        walk_webp,
    ),
    "webp-animated": (
        lambda: saved(picture(), "WEBP", save_all=True, append_images=[picture().rotate(90)], duration=70, xmp=SECRET),
        webp.rebuild,
        walk_webp,
    ),
    "tiff": (tiff_with_secrets, tiff.rebuild, walk_tiff),
    "tiff-pages": (
        lambda: saved(picture("L"), "TIFF", save_all=True, append_images=[picture("L").rotate(90)]),
        tiff.rebuild,
        walk_tiff,
    ),
    "heic": (
        lambda: saved(picture(), "HEIF", exif=exif_of(1).tobytes(), xmp=SECRET, quality=-1),
        heif.rebuild,
        walk_heif,
    ),
    "heic-alpha": (lambda: saved(picture("RGBA"), "HEIF", xmp=SECRET, quality=90), heif.rebuild, walk_heif),
    "avif": (
        lambda: saved(picture(), "AVIF", exif=exif_of(1).tobytes(), xmp=SECRET, icc_profile=srgb()),
        heif.rebuild,
        walk_heif,
    ),
    "jp2": (lambda: saved(picture(), "JPEG2000", comment=SECRET.decode()), jp2.rebuild, walk_jp2),
}


@pytest.mark.parametrize("name", MADE)
def test_a_rebuilt_picture_is_seen_the_same_and_says_nothing(name: str) -> None:
    make, rebuild, walk = MADE[name]
    original = make()
    copy = rebuild(original, ())
    before = seen(original)
    assert before, "Pillow made it, so Pillow can read it"
    # Of an MPO the second picture goes, which viewers show as a depth or a preview.
    assert seen(copy) == (before[:1] if name == "mpo" else before)
    assert SECRET not in copy and b"Secretphone" not in copy and b"2026:11:24" not in copy
    profile = colour_profile(original)
    assert (colour_profile(copy) is None) == (profile is None)
    if profile is not None:
        assert colour_tags(colour_profile(copy) or b"") == colour_tags(profile)
    assert list(walk(copy, False)) == []  # type: ignore[call-overload]  # a walk of pictures
    assert rebuild(copy, ()) == copy, "cleaning what is clean changes nothing"


@pytest.mark.parametrize("name", [each for each in MADE if each not in ("jpeg-progressive", "tiff-pages")])
def test_a_walk_sees_what_a_rebuild_takes_out(name: str) -> None:
    make, _, walk = MADE[name]
    assert list(walk(make(), False)) != []  # type: ignore[call-overload]  # as above


@pytest.mark.parametrize("name", ["jpeg", "png", "gif", "webp", "tiff"])
def test_a_walk_sees_one_byte_too_many(name: str) -> None:
    make, rebuild, walk = MADE[name]
    assert list(walk(rebuild(make(), ()) + b"x", False)) != []  # type: ignore[call-overload]  # as above


@pytest.mark.parametrize("name", MADE)
@settings(max_examples=30, deadline=None)
@given(place=st.integers(0, 5000), octet=st.integers(0, 255), cut=st.integers(0, 5000))
def test_a_damaged_picture_is_refused_or_rebuilt_and_never_more(name: str, place: int, octet: int, cut: int) -> None:
    make, rebuild, walk = MADE[name]
    content = bytearray(_cached(name, make))
    content[place % len(content)] = octet
    broken = bytes(content[: len(content) - cut % len(content)])
    try:
        rebuilt = rebuild(broken, ())
    except (InputError, BadProfileError, IndexError, ValueError, struct.error, zlib.error):
        return  # The cleaner turns each of these into a refusal (`media/cleaners/photos.py`).
    # Nothing is left that a second time would take away, unless the walk sees it, which refuses the picture then.
    assert rebuild(rebuilt, ()) == rebuilt or list(walk(rebuilt, False))  # type: ignore[call-overload]  # as above


_MADE_ONCE: dict[str, bytes] = {}


def _cached(name: str, make: Callable[[], bytes]) -> bytes:
    return _MADE_ONCE.setdefault(name, make())


# ── how a picture is shown ───────────────────────────────────────────────────────────────────────────────────────────


@given(orientation=st.integers(1, 8), adobe_rgb=st.booleans())
def test_what_an_exif_block_says_of_showing_comes_back(orientation: int, adobe_rgb: bool) -> None:
    shown = Shown(orientation=orientation, adobe_rgb=adobe_rgb)
    assert shown_by(block_for(shown)) == shown
    if orientation != 1:
        assert Image.Exif is not None
        read = Image.Exif()
        read.load(b"Exif\0\0" + block_for(shown))
        assert read[0x0112] == orientation


@given(block=st.binary(max_size=200))
def test_any_block_says_how_a_picture_is_shown_or_that_it_lies_plainly(block: bytes) -> None:
    for start in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        assert 1 <= shown_by(start + block).orientation <= 8


# ── colour profiles ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_common_profile_stays_octet_for_octet() -> None:
    profile = srgb()
    assert list(telling_words(profile)) == []
    assert without_words(profile, ()) == profile


def test_a_profile_with_a_name_in_it_keeps_its_colours_and_loses_its_words() -> None:
    profile = srgb().replace("sRGB built-in".encode("utf-16-be"), "Marias iMac 7".encode("utf-16-be"))
    assert list(telling_words(profile))
    plain = without_words(profile, ())
    assert "Marias".encode("utf-16-be") not in plain
    assert colour_tags(plain) == colour_tags(profile)
    # LittleCMS, which made it, opens it and converts the same colours to the same.
    lab = ImageCms.createProfile("LAB")
    convert = [
        ImageCms.applyTransform(
            picture(), ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(each)), lab, "RGB", "LAB")
        )
        for each in (profile, plain)
    ]
    assert convert[0] is not None and convert[1] is not None
    assert convert[0].tobytes() == convert[1].tobytes()


def test_a_profile_that_holds_a_value_that_is_to_go_loses_its_words() -> None:
    profile = srgb()
    assert without_words(profile, ("built-in",)) != profile


def test_a_bare_code_stream_has_no_end_that_could_be_checked() -> None:
    with pytest.raises(InputError) as caught:
        jxl.rebuild(b"\xff\x0a" + bytes(40), ())
    assert caught.value.code == "media/cannot-clean"


def test_colours_and_codes_that_the_picture_does_not_need_go_and_are_named() -> None:
    """A palette of a picture without one, one clear colour too many, conditions of arithmetic codes among others."""
    plain, words = saved(picture(), "PNG"), SECRET[:27]
    at = plain.index(b"IDAT") - 4
    for name in (b"PLTE", b"tRNS"):
        chunk = struct.pack(">I", len(words)) + name + words + struct.pack(">I", zlib.crc32(name + words))
        told = plain[:at] + chunk + plain[at:]
        assert any(name.decode() in word for word in walk_png(told, told=False))
        copy = png.rebuild(told, ())
        assert words not in copy and Image.open(io.BytesIO(copy)).tobytes() == picture().tobytes()
    photo = saved(picture(), "JPEG")
    told = photo[:20] + struct.pack(">BBH", 0xFF, 0xCC, 28) + words[:26] + photo[20:]
    assert "tables of another coding than the picture's" in list(walk_jpeg(told, told=False))
    assert jpeg.rebuild(told, ()) == jpeg.rebuild(photo, ())


def test_a_picture_drawn_by_a_palette_keeps_its_colours_and_what_is_clear() -> None:
    drawn = picture().quantize(16)
    plain = saved(drawn, "PNG", transparency=3)
    copy = png.rebuild(plain, ())
    assert not list(walk_png(copy, told=False))
    assert (b"PLTE" in copy, b"tRNS" in copy) == (True, True)
    first, second = (Image.open(io.BytesIO(each)).convert("RGBA") for each in (plain, copy))
    assert first.tobytes() == second.tobytes()
