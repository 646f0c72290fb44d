"""Every cleaner and every inspector that the workbench has; the first cleaner that takes a format cleans it."""

from media.cleaners.document_inspectors import DocumentInspector, PdfInspector
from media.cleaners.documents import DocumentRefuser, OfficeCleaner, PdfCleaner, TextCleaner
from media.cleaners.photos import PhotoCleaner, RawRefuser
from media.cleaners.picture_inspector import PictureInspector
from media.cleaners.port import CleanerFactory, InspectorFactory

CLEANERS: tuple[CleanerFactory, ...] = (
    PhotoCleaner,
    RawRefuser,
    PdfCleaner,
    OfficeCleaner,
    TextCleaner,
    DocumentRefuser,
)

INSPECTORS: tuple[InspectorFactory, ...] = (PictureInspector, PdfInspector, DocumentInspector)
