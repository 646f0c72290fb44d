"""The inspectors of documents: programs and code that had no part in making a copy read it, confined.

PDF: `qpdf --check` and its plain listing of objects, and Poppler's `pdfinfo` and `pdfdetach`; the cleaner is pikepdf,
whose own parser is qpdf's, which is why Poppler's word is asked for as well. The others:
`media/confined/document_reader.py`.
"""

import os
import re
from collections.abc import Iterable, Iterator

from archive.errors import UnavailableError
from media.cleaners.documents import LARGEST_DOCUMENT, document_kind
from media.confined_python import ConfinedPython
from media.confinement import Confinement, Limits, end_process, find_tool
from media.conversation import Bounds, converse
from media.identify import Format
from media.metadata_classes import MetadataClass
from media.options import MIB, MediaSettings
from media.ranges import RangeSource, sealed_memory_file

_PHRASE = re.compile(r"[a-z][a-z ,]{3,80}")
_PROCESSES = 8
_TOLD = frozenset({"Title", "Subject", "Keywords", "Author", "Creator", "Producer", "CreationDate", "ModDate"})
_MUST_BE_NO = frozenset({"Custom Metadata", "Metadata Stream", "UserProperties", "JavaScript", "Encrypted", "Suspects"})
_KEYS = re.compile(
    rb"/(?:Metadata|PieceInfo|EmbeddedFiles?|JavaScript|OpenAction|LastModified|Thumb|RichMedia|Collection|XFA|DSS|"
    rb"PtData|GPTS|OCProperties|StructTreeRoot|AF)(?=[\s/<\[(])"
)
_STREAM = re.compile(rb"\nstream\n.*?\nendstream", re.S)


class PdfInspector:
    """Reads PDF."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._confinement = confinement
        self._limits = Limits(
            memory_octets=settings.memory_mib * MIB, cpu_seconds=settings.wall_seconds, processes=_PROCESSES
        )

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return format.mime_type == "application/pdf"

    def inspect(
        self,
        copy: RangeSource,
        format: Format,  # noqa: A002  # the field's own word
        keep: frozenset[MetadataClass],
        deadline: float,
    ) -> Iterable[str]:
        """Name what should not be there. Raises: as `Inspector.inspect`."""
        del format, keep  # A cleaned PDF keeps no class at all.
        return tuple(self._findings(copy, deadline))

    def _findings(self, copy: RangeSource, deadline: float) -> Iterator[str]:
        if self._ask(copy, deadline, "qpdf", "--check")[0] != 0:
            yield "damage that qpdf finds"
        status, listing = self._ask(copy, deadline, "qpdf", "--qdf", "--stream-data=preserve", after=("-",))
        if status != 0 or _KEYS.search(_STREAM.sub(b"", listing)):
            yield "keys of a PDF that are not shown"
        status, told = self._ask(copy, deadline, "pdfinfo")
        if status != 0:
            yield "a PDF that Poppler cannot read"
        for line in told.decode("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name in _TOLD or (name in _MUST_BE_NO and value.strip() != "no"):
                yield f"what a PDF tells of itself ({name})"
        if not self._ask(copy, deadline, "pdfdetach", "-list")[1].startswith(b"0 embedded files"):
            yield "attached files"

    def _ask(
        self, copy: RangeSource, deadline: float, tool: str, *options: str, after: tuple[str, ...] = ()
    ) -> tuple[int, bytes]:
        descriptor = sealed_memory_file(copy)
        try:
            process = self._confinement.start(
                [find_tool(tool), *options, f"/proc/self/fd/{descriptor}", *after],
                limits=self._limits,
                inherit=(descriptor,),
            )
        finally:
            os.close(descriptor)
        try:
            bounds = Bounds(deadline=deadline, output_octets=4 * LARGEST_DOCUMENT)
            reply = converse(process, source=None, ranges=None, bounds=bounds)
            return process.wait(10), reply.output
        finally:
            end_process(process)


class DocumentInspector:
    """Reads office files and texts."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._python = ConfinedPython(confinement, settings, packages=())

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return document_kind(format) is not None

    def inspect(
        self,
        copy: RangeSource,
        format: Format,  # noqa: A002  # the field's own word
        keep: frozenset[MetadataClass],
        deadline: float,
    ) -> Iterable[str]:
        """Name what should not be there. Raises: as `Inspector.inspect`."""
        del keep  # A cleaned document keeps no class at all.
        kind = document_kind(format)
        if kind is None:
            raise ValueError("an inspector is asked for what it takes")
        if kind == "plain":
            return ()  # Every byte of it is what is shown; the cleaner refuses what is not text.
        try:
            answer = self._python.run("document_reader", {"file": copy}, (kind,), deadline=deadline, output_octets=MIB)
        except UnavailableError as error:
            return (f"what its reader stumbled over ({error.code})",)
        said = answer.output.decode("utf-8", "replace").splitlines()
        if answer.refusal is not None or any(not _PHRASE.fullmatch(line) for line in said):
            return ("what its reader could not make sense of",)
        return tuple(said)
