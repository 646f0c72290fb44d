"""Which operating-system user a command acts for: whoever typed it, also where `sudo` runs it as the archive's owner.

The files of an archive belong to one system user and are closed to all others, so people who share it run
`sudo -u OWNER testigo …`. The person is then taken from the kernel's record of the process that started us, which
nobody but root can forge; the variables that sudo sets are not asked, because whoever calls can set them too.
"""

import os
import pwd
from pathlib import Path


def os_user(parent: Path | None = None) -> str:
    """Return the operating-system user that this process acts for; `parent` is the /proc folder of its parent."""
    user_id = _caller_of_sudo(parent or Path(f"/proc/{os.getppid()}"))
    if user_id is None:
        user_id = os.geteuid()
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"uid-{user_id}"


def _caller_of_sudo(parent: Path) -> int | None:
    """Return who called `sudo`, where the process that started this one is sudo itself; None where it is not."""
    try:
        lines = (parent / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    users = known.get("Uid", "").split()
    # A program of any user may call itself sudo; only the real one runs with root's rights.
    if known.get("Name", "").strip() != "sudo" or len(users) < 2 or users[1] != "0":
        return None
    return int(users[0])
