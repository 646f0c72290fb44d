"""Read and write the ZIP files that office documents are, in memory, with limits. No I/O.

A name from inside never becomes a path: members live in a mapping. What no member holds (bytes before, between and
after them, comments, extra fields, times, permissions) is not read, so it cannot be written.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping

from media.confined.child import Refusal

MEMBERS = 10_000
UNPACKED_OCTETS = 256 << 20
_ENCRYPTED_FLAG = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_NOBODYS = 0o600 << 16


def read_members(content: bytes) -> dict[str, bytes]:
    """Give the members by name, without folders.

    Raises: Refusal `damaged`, `encrypted`, `too-large`.
    """
    members: dict[str, bytes] = {}
    left = UNPACKED_OCTETS
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            known = archive.infolist()
            if len(known) > MEMBERS or sum(each.file_size for each in known) > UNPACKED_OCTETS:
                raise Refusal("too-large")
            for each in known:
                if each.filename.endswith("/"):
                    continue
                if each.flag_bits & _ENCRYPTED_FLAG:
                    raise Refusal("encrypted")
                if each.filename in members:
                    raise Refusal("damaged")
                with archive.open(each) as stream:
                    octets = stream.read(left + 1)
                left -= len(octets)
                if left < 0:
                    raise Refusal("too-large")
                members[each.filename] = octets
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError):
        raise Refusal("damaged") from None
    return members


def write_members(members: Mapping[str, bytes], first: str) -> bytes:
    """Give a ZIP of the members: `first` first, the others by name, all of the same time and from the same system."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members, key=lambda each: (each != first, each)):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = _UNIX
            entry.external_attr = _NOBODYS
            entry.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(entry, members[name])
    return made.getvalue()
