"""Clean a file the way the workbench does, for one audience, and look for what must not be in the copy."""

import io
import zipfile
from collections.abc import Iterable, Iterator

import pikepdf

from archive.settings import Settings
from archive.types import Audience
from commands.workshop import policy_of
from media.cleaning import Verdict, plan_copy
from media.copies import MemoryCopy
from media.ranges import BytesRanges
from media.workbench import Workbench

POLICY = policy_of(Settings())


def cleaned(workbench: Workbench, content: bytes, audience: Audience = Audience.PRESS) -> tuple[Verdict, bytes]:
    """Give the verdict and the copy. Raises: as `Workbench.clean`."""
    source = BytesRanges(content)
    examination = workbench.examine(source)
    copy = MemoryCopy()
    verdict = workbench.clean(source, examination, plan_copy(POLICY, examination.format.kind, audience), copy)
    return verdict, copy.sink.getvalue()


def left_in(content: bytes, texts: Iterable[str]) -> list[str]:
    """Name the texts that stand in a file, raw or unpacked, in UTF-8 or UTF-16."""
    pieces = list(_pieces(content))
    return [
        text
        for text in texts
        if any(
            text.encode(code, "replace") in piece for piece in pieces for code in ("utf-8", "utf-16-le", "utf-16-be")
        )
    ]


def _pieces(content: bytes) -> Iterator[bytes]:
    yield content
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from _pieces(archive.read(name))
    if content.startswith(b"%PDF"):
        with pikepdf.open(io.BytesIO(content)) as pdf:
            for each in pdf.objects:
                if isinstance(each, pikepdf.Stream):
                    yield each.read_raw_bytes()
                    try:
                        yield each.read_bytes()
                    except pikepdf.PdfError:
                        continue
                elif isinstance(each, pikepdf.Object):
                    yield each.unparse(resolved=True)
