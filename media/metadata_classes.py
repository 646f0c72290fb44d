"""The classes of metadata that a policy speaks of. No I/O.

Every field that a tool tells belongs to exactly one class; what belongs to none is `UNCLASSED`, which a policy keeps
for the vault and counsel and strips for whoever is outside.
"""

from enum import StrEnum


class MetadataClass(StrEnum):
    """What a field of a file's metadata is about."""

    LOCATION = "location"
    TIME = "time"
    DEVICE_MODEL = "device_model"
    IDENTITY = "identity"
    """Serial numbers of devices and lenses, owners, artists, accounts, names of phones."""
    SOFTWARE = "software"
    """Programs, encoders, edit history."""
    ORIGINAL_NAME = "original_name"
    THUMBNAIL = "thumbnail"
    """Embedded thumbnails, previews, cover art, live-photo clips."""
    TRIMMED = "trimmed"
    """Edit lists and samples that they hide."""
    TRACKS = "tracks"
    """Extra and timed tracks, subtitles, chapters."""
    CREDENTIALS = "credentials"
    """Content credentials (C2PA) and other proofs."""
    MAKER = "maker"
    """Maker notes, face regions, depth maps."""
    DOCUMENT = "document"
    """Authors, revisions, attachments, comments and hidden parts of documents."""
    TRANSPORT = "transport"
    """What an upload or a mail's way added: addresses, user agents, headers."""
    RENDERING = "rendering"
    """What a file needs to be shown or heard as it was: size, orientation, colour profile, sample rate. Always kept."""
    STRUCTURE = "structure"
    """What follows from the bytes themselves: type, offsets, compression, durations. Says nothing of its own."""
    UNCLASSED = "unclassed"
