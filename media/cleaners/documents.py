"""The cleaners of documents: each is rewritten by a confined child from what is shown; what cannot be is refused.

Classes are not told apart here: a policy that keeps some of them for a copy gets none, which a cleaner may do. Pictures
inside office files go through the cleaner of pictures, like any other picture.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from archive.errors import InputError
from media.cleaners.document_refusals import refuse
from media.cleaners.embedded import clean_embedded
from media.cleaners.photos import PhotoCleaner
from media.cleaners.picture_inspector import PictureInspector
from media.cleaners.port import Cleaned, CleanRequest, Sink
from media.confined.framing import framed, unframed
from media.confined_python import Answer, ConfinedPython
from media.confinement import Confinement
from media.identify import Format
from media.options import MIB, MediaSettings
from media.ranges import RangeSource

TOOL = "Testigo document rewriter"
VERSION = "1"
LARGEST_DOCUMENT = 256 * MIB
_TEXT_LEFT_OUT = "words in place of drawn letters that do not say the same were left out"
_OUTPUT_OCTETS = 2 * LARGEST_DOCUMENT
_MEMORY_OCTETS = 960 * MIB

_OFFICE_MARKS = ("application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument.")
_WENT = re.compile(r"\d{1,9} x [a-z][a-z ,]{3,80} \([a-z]{4,20}\)")
_TEXTS = MappingProxyType(
    {
        "text/plain": "plain",
        "text/csv": "plain",
        "text/markdown": "plain",
        "text/html": "html",
        "image/svg+xml": "svg",
        "text/rtf": "rtf",
        "application/rtf": "rtf",
        "message/rfc822": "mail",
    }
)


def document_kind(form: Format) -> str | None:
    """Tell which reader an office file or a text needs; None where it is neither."""
    if form.mime_type.startswith(_OFFICE_MARKS) and "macroenabled" not in form.mime_type.lower():
        return "office"
    return _TEXTS.get(form.mime_type)


class _InPython:
    """What these cleaners share: one child a run, and its refusal in words."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._python = ConfinedPython(confinement, settings)

    def _run(
        self, module: str, request: CleanRequest, *arguments: str, more: Mapping[str, RangeSource | bytes] | None = None
    ) -> bytes:
        if request.source.size > LARGEST_DOCUMENT:
            raise refuse("too-large")
        answer: Answer = self._python.run(
            module,
            {"file": request.source, **(more or {})},
            arguments,
            deadline=request.deadline,
            output_octets=_OUTPUT_OCTETS,
            memory_octets=_MEMORY_OCTETS,
        )
        if answer.refusal is not None:
            raise refuse(answer.refusal)
        return answer.output


class PdfCleaner(_InPython):
    """Cleans PDF."""

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return format.mime_type == "application/pdf"

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned:
        """Rewrite a PDF. Raises: as `Cleaner.clean`."""
        copy, left_out = unframed(self._run("pdf_cleaner", request))
        sink.write(copy)
        tool = f"{TOOL} ({_TEXT_LEFT_OUT})" if left_out else TOOL
        return Cleaned(tool=tool, version=VERSION, mime_type=request.format.mime_type, words_may_stay=True)


class OfficeCleaner(_InPython):
    """Cleans DOCX, XLSX, PPTX and the OpenDocument formats."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        super().__init__(confinement, settings)
        self._pictures = PhotoCleaner(confinement, settings)
        self._inspector = PictureInspector(confinement, settings)

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return document_kind(format) == "office"

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned:
        """Rewrite an office document, its pictures first. Raises: as `Cleaner.clean`."""
        media = unframed(self._run("office_cleaner", request))
        cleaned = [clean_embedded(self._pictures, self._inspector, content, request) for content in media]
        sink.write(self._run("office_cleaner", request, more={"media": framed(cleaned)}))
        return Cleaned(tool=TOOL, version=VERSION, mime_type=request.format.mime_type, words_may_stay=True)


class TextCleaner(_InPython):
    """Cleans HTML, SVG, RTF and e-mail, and looks at plain texts."""

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return format.mime_type in _TEXTS

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned:
        """Rewrite a text. Raises: as `Cleaner.clean`."""
        traces = "\0".join(trace for trace in request.traces if "\0" not in trace).encode("utf-8", "replace")
        kind = _TEXTS[request.format.mime_type]
        court = ("court",) if request.for_court else ()
        made, went = unframed(self._run("text_cleaner", request, kind, *court, more={"traces": traces}))
        sink.write(made)
        return Cleaned(
            tool=TOOL,
            version=VERSION,
            mime_type=request.format.mime_type,
            words_may_stay=True,
            gone=tuple(line for line in went.decode("utf-8", "replace").splitlines() if _WENT.fullmatch(line)),
        )


class DocumentRefuser:
    """Takes what is known and never cleaned, and says why."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        del confinement, settings  # Every cleaner is made the same way.

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return _why(format.mime_type) is not None

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned:
        """Refuse. Raises: InputError `media/cannot-clean`."""
        del sink  # Nothing is written.
        raise InputError(
            "media/cannot-clean",
            f"This file cannot be cleaned: {_why(request.format.mime_type)} The original is kept as it is.",
        )


_OLD_OFFICE = frozenset(
    {"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint", "application/vnd.ms-outlook"}
)
_ARCHIVES = (
    "zip",
    "x-tar",
    "7z-compressed",
    "vnd.rar",
    "gzip",
    "x-bzip2",
    "x-xz",
    "zstd",
    "x-cpio",
    "java-archive",
    "x-iso9660",
)


def _why(mime_type: str) -> str | None:
    lower = mime_type.lower()
    if lower in _OLD_OFFICE:
        return "old office files keep deleted text where no program can be sure to find it. Save it as DOCX, or as PDF."
    if "macroenabled" in lower:
        return "it is of a kind that holds programs (macros). Save it without them."
    if lower == "application/epub+zip":
        return "an electronic book must name its title and its maker to be one."
    if (
        lower.startswith("application/")
        and lower.removeprefix("application/").startswith(_ARCHIVES)
        or lower.endswith("-zip")
    ):
        return "it is an archive. Take the files out, and have each cleaned by itself."
    if lower in ("multipart/related", "application/warc"):
        return "a saved web page keeps what the browser and the server said to each other."
    return None
