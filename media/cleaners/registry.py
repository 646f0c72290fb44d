"""Every cleaner and every inspector that the workbench has; the first cleaner that takes a format cleans it."""

from media.cleaners.photos import PhotoCleaner, RawRefuser
from media.cleaners.picture_inspector import PictureInspector
from media.cleaners.port import CleanerFactory, InspectorFactory

CLEANERS: tuple[CleanerFactory, ...] = (PhotoCleaner, RawRefuser)

INSPECTORS: tuple[InspectorFactory, ...] = (PictureInspector,)
