"""Checking a finished packet as a stranger would: by the verifier inside it, knowing nothing of this archive.

The only help it gets is the archive's own log keys, so that a packet that matches some other log is refused too. What
may be missing is a time-stamp; that is said on the packet and here, and everything else must match.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from archive.age.seekable import SeekableReader
from archive.errors import IntegrityError
from custody.signed_note import VerifierKey
from export import packet_verifier
from export.packet_verifier import DIFFERS, MATCHES, UNCLEAR, DoesNotMatch, Folder, Options, Report

_ABOUT_TIME = ("time-stamp", "metadata/timestamps/")


def check_folder(folder: Path, keys: Sequence[VerifierKey]) -> None:
    """Run the packet's own `verify.py` in a Python that sees nothing of this project.

    Raises: IntegrityError `export/packet-differs`, with every finding.
    """
    command = [sys.executable, "-I", "-S", "verify.py", "--json"]
    for key in keys:
        command += ["--log-key", str(key)]
    done = subprocess.run(  # noqa: S603 - our own interpreter on the verifier that was just written; no shell
        command, cwd=folder, env={"LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    try:
        findings = [(one["verdict"], one["subject"], one["words"]) for one in json.loads(done.stdout)["findings"]]
    except (ValueError, KeyError, TypeError) as error:
        raise _differs(
            (("the verifier did not answer", str(done.returncode), done.stderr[-2000:].decode()),)
        ) from error
    _judge(findings)


def check_sealed(open_anew: Callable[[], SeekableReader], keys: Sequence[VerifierKey]) -> None:
    """Make the same checks through the seal, without a file in clear. Raises: as `check_folder`."""
    given = [packet_verifier.read_verifier_key(str(key)) for key in keys]
    report = verify_sealed(open_anew, Options(log_keys=given))
    _judge([(one.verdict, one.subject, one.words) for one in report.findings])


def verify_sealed(open_anew: Callable[[], SeekableReader], options: Options) -> Report:
    """Make every check of the verifier on a sealed packet that `open_anew` opens; all is in the report."""
    report = Report()
    with report.judging("the sealed file"):
        packet_verifier.check_packet(SealedFolder(open_anew), options, report)
    return report


def _judge(findings: Sequence[tuple[str, str, str]]) -> None:
    wrong = [found for found in findings if found[0] == DIFFERS]
    wrong += [found for found in findings if found[0] == UNCLEAR and not found[1].startswith(_ABOUT_TIME)]
    if wrong or not any(verdict == MATCHES for verdict, _, _ in findings):
        raise _differs(wrong)


def _differs(findings: Sequence[tuple[str, str, str]]) -> IntegrityError:
    return IntegrityError(
        "export/packet-differs",
        "The finished packet did not pass the check that its receiver will make, and was removed. The log says so. "
        "Run `testigo verify`; build again only when it finds nothing.",
        evidence={"findings": tuple(findings[:20])},
    )


class SealedFolder(Folder):
    """The files of a packet inside a sealed tar file. Anything but plain files under one folder is strange."""

    def __init__(self, open_anew: Callable[[], SeekableReader]) -> None:
        self._open_anew = open_anew
        self._places: dict[str, int] = {}
        self.files, self.strange, self.unreadable = {}, {}, {}
        try:
            with tarfile.open(fileobj=io.BufferedReader(open_anew()), mode="r:") as tar:
                for member in tar:
                    self._add(member)
        except tarfile.TarError as error:
            raise DoesNotMatch("does not hold a tar file") from error

    def _add(self, member: tarfile.TarInfo) -> None:
        top, _, path = member.name.partition("/")
        if path in self.files or path in self.strange:
            raise DoesNotMatch("holds two files of one name")
        if member.isreg() and path and top:
            self.files[path] = member.size
            self._places[path] = member.offset_data
        elif not member.isdir():
            self.strange[path or member.name] = "is a link, a device or a pipe; a packet holds files only"

    def has_payload(self) -> bool:
        return any(path.startswith("data/") for path in self.files)

    def open(self, path: str) -> BinaryIO:
        if path not in self.files:
            raise DoesNotMatch("is missing")
        return io.BufferedReader(_Part(self._open_anew(), self._places[path], self.files[path]), 1 << 20)


class _Part(io.RawIOBase):
    """The octets of one member."""

    def __init__(self, reader: SeekableReader, start: int, size: int) -> None:
        self._reader = reader
        self._left = size
        reader.seek(start, os.SEEK_SET)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        out = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # typeshed's Buffer has no runtime name in 3.11
        count = self._reader.readinto(out[: self._left])
        self._left -= count
        return count
