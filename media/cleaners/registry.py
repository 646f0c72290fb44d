"""Every cleaner and every inspector that the workbench has; the first cleaner that takes a format cleans it."""

from media.cleaners.aiff import AiffCleaner, AiffInspector
from media.cleaners.audio_video import AudioVideoCleaner
from media.cleaners.av_inspector import AudioVideoInspector
from media.cleaners.document_inspectors import DocumentInspector, PdfInspector
from media.cleaners.documents import DocumentRefuser, OfficeCleaner, PdfCleaner, TextCleaner
from media.cleaners.mp3 import Mp3Cleaner
from media.cleaners.photos import PhotoCleaner, RawRefuser
from media.cleaners.picture_inspector import PictureInspector
from media.cleaners.port import CleanerFactory, InspectorFactory

CLEANERS: tuple[CleanerFactory, ...] = (
    PhotoCleaner,
    RawRefuser,
    AudioVideoCleaner,
    Mp3Cleaner,
    AiffCleaner,
    PdfCleaner,
    OfficeCleaner,
    TextCleaner,
    DocumentRefuser,
)

INSPECTORS: tuple[InspectorFactory, ...] = (
    PictureInspector,
    AudioVideoInspector,
    AiffInspector,
    PdfInspector,
    DocumentInspector,
)
