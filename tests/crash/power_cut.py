"""A power cut, as near as it can be had without one: the file system on a loop device is stopped in the middle, without
writing out its log, and mounted again. What was not synced is gone, names and octets alike.

A folder on tmpfs or on the machine's own disk would prove nothing: whatever is killed there, the kernel has it all.
"""

import fcntl
import os
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

from archive.durable import sync_file_system
from tests.crash.laboratory import Bench, Report, Subject, pace_of, started, wait_for_instant

_SHUTDOWN = 0x8004587D  # XFS_IOC_GOINGDOWN, which ext4 answers, too
_WITHOUT_LOG = struct.pack("I", 2)  # XFS_FSOP_GOING_FLAGS_NOLOGFLUSH: what `xfs_io -x -c shutdown` asks for
_IMAGE_OCTETS = 400 * 1024 * 1024  # XFS refuses anything under 300 MiB


class FileSystem(StrEnum):
    """Where the archive lies when the power goes."""

    EXT4 = "ext4"
    XFS = "xfs"


_MAKE = {FileSystem.EXT4: ("mkfs.ext4", "-q", "-F"), FileSystem.XFS: ("mkfs.xfs", "-q", "-f")}


def unavailable(kind: FileSystem) -> str | None:
    """Return why no power can be cut here, or None."""
    if os.geteuid() != 0:
        return "power cuts need root"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices here"
    if shutil.which(_MAKE[kind][0]) is None:
        return f"{_MAKE[kind][0]} is not installed"
    return None


class Disk:
    """A file system of its own in an image file, which can be cut off and mounted again."""

    def __init__(self, kind: FileSystem, folder: Path) -> None:
        self.kind = kind
        self.mount_point = folder / "disk"
        self._image = folder / "image"
        self.mount_point.mkdir()
        with self._image.open("wb") as image:
            image.truncate(_IMAGE_OCTETS)
        subprocess.run([*_MAKE[kind], str(self._image)], check=True)

    def mount(self) -> None:
        # `-o loop` takes a free loop device and gives it back by itself at the unmount.
        subprocess.run(["mount", "-t", self.kind, "-o", "loop", str(self._image), str(self.mount_point)], check=True)

    def sync(self) -> None:
        fd = os.open(self.mount_point, os.O_RDONLY)
        try:
            sync_file_system(fd)
        finally:
            os.close(fd)

    def cut(self) -> None:
        """Stop the file system now. Everything that is not on the disk is lost; every later write fails."""
        fd = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, _WITHOUT_LOG)
        finally:
            os.close(fd)

    def unmount(self) -> None:
        """Wait until the killed program has let go of its files, and unmount, wholly.

        A sandbox that is being set up elsewhere on this machine has a copy of every mount for a moment; while it has,
        the same image would only be mounted a second time, as dead as before.
        Raises: AssertionError if something still holds the files or the image; nothing would be proved.
        """
        said = ""
        for _ in range(600):
            if self._is_mounted():
                done = subprocess.run(["umount", str(self.mount_point)], check=False, capture_output=True, text=True)
                said = done.stderr.strip()
            elif not subprocess.run(["losetup", "-j", str(self._image)], check=True, capture_output=True).stdout:
                return
            time.sleep(0.05)
        raise AssertionError(f"{said or 'the image is still in use'} {_holders(self.mount_point)}")

    def _is_mounted(self) -> bool:
        """Ask the kernel's list; the mount point itself answers nothing after a cut."""
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        return any(line.split()[1] == str(self.mount_point) for line in mounts)

    def destroy(self) -> None:
        if self._is_mounted():
            subprocess.run(["umount", "-l", str(self.mount_point)], check=True)
        self._image.unlink(missing_ok=True)


def _holders(mount_point: Path) -> list[str]:
    """Name the processes that have something open below the mount point."""
    found = set()
    for link in [*Path("/proc").glob("[0-9]*/fd/*"), *Path("/proc").glob("[0-9]*/cwd")]:
        with suppress(OSError):
            if link.readlink().is_relative_to(mount_point):
                process = Path("/proc", link.parts[2])
                found.add(
                    f"{link.parts[2]} {(process / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()[:120]}"
                )
    return sorted(found)


@contextmanager
def disk(kind: FileSystem, folder: Path) -> Iterator[Disk]:
    """Make and mount a disk; whatever happens in the block, it is unmounted and gone after it."""
    made = Disk(kind, folder)
    try:
        made.mount()
        yield made
    finally:
        made.destroy()


def run(
    subject: Subject,
    folder: Path,
    *,
    kind: FileSystem,
    tries: int,
    seed: int,
    wrapper: Sequence[str] = (),
    go_on_every: int = 4,
) -> Report:
    """Cut the power `tries` times, half of them right after an acknowledgement, and check the subject after each.

    `wrapper` goes before the subject's line: `("eatmydata",)` makes every sync a lie and is the negative control.
    """
    chance = random.Random(seed)  # noqa: S311 - chosen instants must be repeatable
    report = Report(tool=f"{' '.join([*wrapper, 'power cut'])} on {kind}", subject=subject.name, seed=seed)
    begun = time.monotonic()
    with disk(kind, folder) as under_test:
        bench = Bench(subject, under_test.mount_point / "home", folder / "template")
        pace = pace_of(bench)
        for attempt in range(tries):
            bench.fresh()
            under_test.sync()
            with started(subject, [*wrapper, *bench.line()]) as running:
                instant = wait_for_instant(running, pace, attempt, chance)
                under_test.cut()
                running.kill()
                # What came between the cut and the kill counts as well: nothing may be acknowledged without power.
                outcome = running.end()
            under_test.unmount()
            under_test.mount()
            wrong = list(subject.check(bench.home, outcome.acknowledged))
            if attempt % go_on_every == 0 and not wrapper:
                wrong += bench.go_on(outcome.acknowledged)
            report.add(f"cut {instant}", outcome, wrong)
            report.after_acknowledgement += attempt % 2 == 0
    report.seconds = time.monotonic() - begun
    return report
