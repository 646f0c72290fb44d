"""Every cleaner and every inspector that the workbench has; the first that takes a format cleans it."""

from media.cleaners.port import CleanerFactory, InspectorFactory

CLEANERS: tuple[CleanerFactory, ...] = ()

INSPECTORS: tuple[InspectorFactory, ...] = ()
