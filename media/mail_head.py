"""Which headers an e-mail has, and which of them its copies keep. No I/O.

The five that a letter shows to its reader (who wrote to whom, when, about what) are its content and stay for every
audience, as its words do; all others belong to its way and to the programs on it, and go.
"""

import re
from collections.abc import Sequence

from media.confined.mail_lines import SHOWN_HEADERS

_MAIL = "message/rfc822"
_HEADER = re.compile(r"^([!-9;-~]{1,60}):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_MOST = 200


def headers(mime_type: str, head: bytes) -> Sequence[tuple[str, str, bool]]:
    """Give name and text of each header, and whether it stays in a copy; none of what is no e-mail."""
    if mime_type != _MAIL:
        return ()
    text = head.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("utf-8", "replace")
    shown = {name.lower() for name in SHOWN_HEADERS}
    told: list[tuple[str, str, bool]] = []
    for name, value in _HEADER.findall(text)[:_MOST]:
        stays = name.lower() in shown
        told.append((name, " ".join(value.split()), stays))
        shown -= {name.lower()}  # A mail with a second of these is refused.
    return tuple(told)
