"""Check an evidence packet or a receipt on any machine: no installation, network, account or trust in the sender.

    python3 verify.py                         check the packet in this folder
    python3 verify.py FOLDER --log-key KEY    and insist on the log key that the archive published
    python3 verify.py --receipt FILE          check a receipt instead

It needs Python 3.8 or newer and nothing else, and it only reads. Each file and each check gets one of three words:

    MATCHES          it is what the log of the archive recorded
    DOES NOT MATCH   it is not; do not rely on it
    CANNOT TELL      what would be needed to say is missing, or of a kind this program does not know

The whole DOES NOT MATCH if anything does not (exit 4); otherwise it is CANNOT TELL if anything is (exit 3); otherwise
it MATCHES (exit 0). "Cannot tell" is never counted as either of the others: a packet without a time-stamp ends with 3,
and the last line says that everything else matches. Exit 2 is wrong use.

What it checks, in the order of this file:

    1  The bag (RFC 8493): every listed file is there with its SHA-256 and SHA-512, and no other file is there.
    2  The checkpoint of the custody log: a C2SP signed note, signed with Ed25519 and ML-DSA-44.
    3  Each entry of the custody log: its place under the checkpoint (RFC 9162), and each opened value (RFC 9901).
    4  The run of each item: its entries are numbered 1, 2, 3 ... up to the release, chained, and none is left out.
    5  The release names this packet and its payload manifest; each exhibit is the file recorded when it was received.
    6  The time-stamps (RFC 3161) on the checkpoint, with their certificates at the time they state.

What it cannot know: whether the log key is the archive's (compare the key it prints with the published one, or give
--log-key), whether you trust the time-stamp authority (its root is printed; or give --timestamp-root), whether a
certificate was revoked, and whether what an exhibit shows is true. A forged packet may carry a forged copy of this
program: take the program from the archive or compare its SHA-256 with the published one.

The cryptography is written out below in plain Python, so that it can be read here; it is used for checking only and
holds no secret. The same checks can be made with other tools; `verify.txt` says how.
"""

# This file must run under Python 3.8, so newer spellings that a linter would prefer are not used.
# ruff: noqa: UP006, UP007, UP017, UP035, UP045, B905

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import stat
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import (
    Any,
    BinaryIO,
    Callable,
    Dict,
    FrozenSet,
    Iterator,
    List,
    NamedTuple,
    NoReturn,
    Optional,
    Sequence,
    TextIO,
    Tuple,
)

MATCHES = "MATCHES"
DIFFERS = "DOES NOT MATCH"
UNCLEAR = "CANNOT TELL"
EXIT_CODES = {MATCHES: 0, UNCLEAR: 3, DIFFERS: 4}

KIB, MIB = 1 << 10, 1 << 20
LARGEST_NOTE = MIB
LARGEST_TOKEN = MIB
LARGEST_JSON = 64 * MIB
LARGEST_MANIFEST = 256 * MIB
MOST_FILES = 2_000_000
DEEPEST_FOLDER = 64


# --- What was found -------------------------------------------------------------------------------


class DoesNotMatch(Exception):
    """The bytes are not what the record says."""


class CannotTell(Exception):
    """What would be needed to judge is missing or unknown."""


class Finding(NamedTuple):
    """One judgement about one subject: a file of the packet, or a check such as "time-stamp freetsa"."""

    verdict: str
    subject: str
    words: str
    about_time: bool = False
    minor: bool = False


class Report:
    """All findings of one run, and the verdict that follows from them."""

    def __init__(self) -> None:
        self.title = "this packet"
        self.claim = (
            "every exhibit and every entry of {} is what the archive's log recorded, and every file is as listed"
        )
        self.findings: List[Finding] = []
        self.notes: List[str] = []
        self.facts: Dict[str, Any] = {}

    def matches(self, subject: str, words: str, minor: bool = False) -> None:
        self.findings.append(Finding(MATCHES, subject, words, minor=minor))

    def differs(self, subject: str, words: str) -> None:
        self.findings.append(Finding(DIFFERS, subject, words))

    def unclear(self, subject: str, words: str, about_time: bool = False) -> None:
        self.findings.append(Finding(UNCLEAR, subject, words, about_time))

    @contextmanager
    def judging(self, subject: str) -> Iterator[None]:
        """Turn what goes wrong inside the block into a finding about `subject`; other checks go on."""
        try:
            yield
        except DoesNotMatch as wrong:
            self.differs(subject, str(wrong))
        except CannotTell as unknown:
            self.unclear(subject, str(unknown))
        except MemoryError:
            self.unclear(subject, "is too large for the memory of this machine")
        except OSError as trouble:
            self.unclear(subject, f"cannot be read ({trouble.strerror or type(trouble).__name__})")
        except Exception as surprise:  # noqa: BLE001 - what confuses one check must not hide what others found
            self.unclear(subject, f"holds something that this program was not written for ({type(surprise).__name__})")

    def of(self, verdict: str) -> List[Finding]:
        return [finding for finding in self.findings if finding.verdict == verdict]

    @property
    def verdict(self) -> str:
        return fold(self.findings)

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]

    def by_subject(self) -> Dict[str, List[Finding]]:
        subjects: Dict[str, List[Finding]] = {}
        for finding in self.findings:
            subjects.setdefault(finding.subject, []).append(finding)
        return subjects

    def sentence(self) -> str:
        """The verdict in one sentence: the last line that is printed."""
        what = self.title
        if self.verdict == DIFFERS:
            wrong = list(dict.fromkeys(finding.subject for finding in self.of(DIFFERS)))
            more = f" and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""
            return f"{DIFFERS}: do not rely on {what} as it stands. What does not match: {wrong[0]}{more}."
        if self.verdict == UNCLEAR:
            if self.findings and all(finding.about_time for finding in self.of(UNCLEAR)):
                return f"{UNCLEAR} when: no time-stamp says so yet. Everything else about {what} matches."
            return f"{UNCLEAR}: nothing about {what} was found to be wrong, but not everything could be checked."
        return f"{MATCHES}: {self.claim.format(what)}."


def fold(findings: Sequence[Finding]) -> str:
    """Anything wrong decides; then anything unclear; nothing looked at is unclear too."""
    verdicts = {finding.verdict for finding in findings}
    return DIFFERS if DIFFERS in verdicts else UNCLEAR if UNCLEAR in verdicts or not verdicts else MATCHES


def visible(text: str, longest: int = 400) -> str:
    """Write text from the packet so that it cannot act on the terminal: no control or invisible characters."""
    shown = []
    for character in text[:longest]:
        hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        shown.append(f"<U+{ord(character):04X}>" if hidden else character)
    return "".join(shown) + ("..." if len(text) > longest else "")


# --- The folder, read without following anything out of it ----------------------------------------


class Folder:
    """The regular files under one folder. Links, devices, pipes and sockets are listed as strange and never opened."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: Dict[str, int] = {}
        self.strange: Dict[str, str] = {}
        self.unreadable: Dict[str, str] = {}
        pending = [("", 0)]
        while pending:
            prefix, depth = pending.pop()
            try:
                entries = sorted(os.scandir(root / prefix), key=lambda entry: entry.name)
            except OSError as trouble:
                self.unreadable[prefix or "."] = trouble.strerror or "unreadable"
                continue
            for entry in entries:
                path = prefix + entry.name
                if self._place(entry, path):
                    if depth >= DEEPEST_FOLDER:
                        self.unreadable[path] = "folders are nested too deeply"
                    else:
                        pending.append((path + "/", depth + 1))
                if len(self.files) + len(self.strange) > MOST_FILES:
                    raise CannotTell(f"holds more than {MOST_FILES:,} files")

    def _place(self, entry: os.DirEntry[str], path: str) -> bool:
        """Note what the entry is; True for a folder to go into."""
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as trouble:
            self.unreadable[path] = trouble.strerror or "unreadable"
            return False
        junction = getattr(status, "st_file_attributes", 0) & 0x400  # a Windows reparse point leads elsewhere too
        if stat.S_ISLNK(status.st_mode) or junction:
            self.strange[path] = "is a link to somewhere else; a packet holds no links, and this one was not followed"
        elif stat.S_ISDIR(status.st_mode):
            return True
        elif stat.S_ISREG(status.st_mode):
            self.files[path] = status.st_size
        else:
            self.strange[path] = "is a device, a pipe or a socket; a packet holds files only, and it was not opened"
        return False

    def open(self, path: str) -> BinaryIO:
        """Open a file found by the walk; one that became a link or a pipe since then is refused."""
        if path not in self.files:
            raise DoesNotMatch("is missing")
        flags = os.O_RDONLY
        for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):
            flags |= getattr(os, name, 0)
        descriptor = os.open(self.root / path, flags)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise DoesNotMatch("changed into something that is not a file while it was read")
        return os.fdopen(descriptor, "rb")

    def has_payload(self) -> bool:
        return (self.root / "data").is_dir()

    def read(self, path: str, largest: int) -> bytes:
        with self.open(path) as source:
            content = source.read(largest + 1)
        if len(content) > largest:
            raise CannotTell(f"is larger than the {largest // KIB:,} KiB that such a file may have here")
        return content

    def digest(
        self, path: str, algorithms: Sequence[str], seen: Optional[Callable[[int], None]] = None
    ) -> Tuple[int, Dict[str, str]]:
        """Size and digests of one file, read once from start to end."""
        try:
            digests = {name: hashlib.new(name) for name in algorithms}
        except ValueError as refused:
            raise CannotTell("needs a digest that this computer's Python refuses to make") from refused
        size = 0
        with self.open(path) as source:
            while True:
                chunk = source.read(MIB)
                if not chunk:
                    break
                size += len(chunk)
                if seen is not None:
                    seen(len(chunk))
                for digest in digests.values():
                    digest.update(chunk)
        return size, {name: digest.hexdigest() for name, digest in digests.items()}


class Progress:
    """How far the reading has come, written over and over on one line of a terminal, if there is one."""

    def __init__(self, terminal: Optional[TextIO]) -> None:
        self.terminal = terminal
        self.total = self.done = 0
        self.shown = -1
        self.stopped = False

    def begin(self, total: int) -> None:
        self.total = total

    def add(self, octets: int) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.done += octets
        percent = 100 * self.done // max(1, self.total)
        if self.terminal is not None and percent != self.shown:
            self.shown = percent
            self.terminal.write(f"\rreading {percent:3d} % of {self.total / MIB:,.0f} MiB")
            self.terminal.flush()

    def end(self) -> None:
        if self.terminal is not None and self.shown >= 0:
            self.terminal.write("\r" + " " * 40 + "\r")
            self.terminal.flush()


# --- 1. The bag (BagIt, RFC 8493) -----------------------------------------------------------------
# The same code judges any bag and a packet. A packet is held to a narrower form (`strict`): version 1.0, SHA-256 and
# SHA-512, nothing to fetch, no tag file unlisted, manifests written in one way only.

DIGEST_SIZES = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
PACKET_DIGESTS = ("sha256", "sha512")
TAG_ENCODINGS = {"UTF-8": "utf-8", "UTF-16": "utf-16", "ISO-8859-1": "iso-8859-1", "US-ASCII": "ascii"}
LEFT_BY_SYSTEMS = re.compile(r"(^|/)(\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini|\.Spotlight-V100|\.Trashes)($|/)")


class Manifest(NamedTuple):
    name: str
    algorithm: str
    listed: Dict[str, str]


class Bag(NamedTuple):
    """What the check of a bag leaves for the checks that follow."""

    sizes: Dict[str, int]
    digests: Dict[str, Dict[str, str]]
    warnings: List[str]


class BagCheck:
    """One check of one bag. Findings go to the report; for a packet, what is a warning elsewhere is one too."""

    def __init__(self, folder: Folder, report: Report, strict: bool, progress: Progress) -> None:
        self.folder, self.report, self.strict, self.progress = folder, report, strict, progress
        self.version = (1, 0)
        self.encoding = "utf-8"
        self.warnings: List[str] = []
        self.broken: Dict[str, List[str]] = {}
        self.digests: Dict[str, Dict[str, str]] = {}
        self.sizes: Dict[str, int] = {}

    def run(self) -> Bag:
        for path, words in sorted(self.folder.strange.items()):
            self.report.differs(path, words)
        for path, words in sorted(self.folder.unreadable.items()):
            self.report.unclear(path, f"cannot be read ({words})")
        with self.report.judging("bagit.txt"):
            self.read_declaration()
        payload = self.read_manifests("manifest-")
        tags = self.read_manifests("tagmanifest-")
        self.read_fetch_list()
        if not payload:
            self.report.differs("manifest-sha512.txt", "is missing: there is no manifest of the payload")
        if not self.folder.has_payload():
            self.report.differs("data", "is missing: there is no payload folder")
        self.check_completeness(payload, tags)
        self.check_same_names()
        self.digest_all(payload + tags)
        self.compare(payload + tags)
        with self.report.judging("payload"):
            self.check_oxum()
        return Bag(self.sizes, self.digests, self.warnings)

    def wrong(self, path: str, words: str) -> None:
        """Keep what is wrong with a file; one finding a file is made at the end."""
        self.broken.setdefault(path, []).append(words)

    def warn(self, path: str, words: str) -> None:
        self.warnings.append(f"{path}: {words}")
        if self.strict:
            self.wrong(path, words)

    def read_declaration(self) -> None:
        content = self.folder.read("bagit.txt", 4 * KIB)
        if self.strict and content != b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n":
            raise DoesNotMatch("is not the two lines that a packet begins with")
        form = rb"BagIt-Version: (\d+)\.(\d+)(?:\r\n|\n|\r)Tag-File-Character-Encoding: ([!-~]+)(?:\r\n|\n|\r)?"
        declared = re.fullmatch(form, content)
        if declared is None:
            raise DoesNotMatch("does not declare a BagIt version and an encoding in two lines")
        self.version = (int(declared[1][:4]), int(declared[2][:4]))
        encoding = declared[3].decode("ascii").upper()
        if encoding not in TAG_ENCODINGS:
            raise CannotTell("names an encoding that this program does not know")
        self.encoding = TAG_ENCODINGS[encoding]

    def read_manifests(self, prefix: str) -> List[Manifest]:
        manifests = []
        for name in sorted(self.folder.files):
            if not (name.startswith(prefix) and name.endswith(".txt")) or "/" in name:
                continue
            algorithm = name[len(prefix) : -len(".txt")]
            with self.report.judging(name):
                if algorithm not in DIGEST_SIZES:
                    raise CannotTell("uses a digest that this program does not know")
                if self.strict and algorithm not in PACKET_DIGESTS:
                    raise DoesNotMatch("is not a manifest that a packet has (SHA-256 and SHA-512)")
                manifests.append(self.read_manifest(name, algorithm))
        if self.strict:
            for algorithm in PACKET_DIGESTS:
                if f"{prefix}{algorithm}.txt" not in self.folder.files:
                    self.report.differs(f"{prefix}{algorithm}.txt", "is missing")
        return manifests

    def read_manifest(self, name: str, algorithm: str) -> Manifest:
        try:
            text = self.folder.read(name, LARGEST_MANIFEST).decode(self.encoding)
        except UnicodeDecodeError as broken:
            raise DoesNotMatch("is not text in the encoding that bagit.txt names") from broken
        listed: Dict[str, str] = {}
        for number, line in enumerate(re.split("\r\n|\n|\r", text), start=1):
            if not line:
                continue
            parts = re.fullmatch(r"([0-9A-Fa-f]+)[ \t]+(\*?)([^\r\n]+)", line)
            if parts is None or len(parts[1]) != DIGEST_SIZES[algorithm]:
                self.wrong(name, f"line {number} is not a digest and a path")
                continue
            if parts[2]:
                self.warn(name, f"line {number} has the asterisk of md5sum tools")
            path = self.unescape(parts[3])
            if path.startswith("./"):
                self.warn(name, f"line {number} begins its path with ./")
                path = path[2:]
            trouble = path_trouble(path)
            if trouble:
                self.wrong(name, f"line {number} names a path that {trouble}; it was not followed")
            elif listed.get(path, parts[1].lower()) != parts[1].lower():
                self.wrong(name, f"line {number} lists {visible(path)} again with another digest")
            else:
                if path in listed and self.version >= (1, 0):
                    self.wrong(name, f"line {number} lists {visible(path)} a second time")
                elif path in listed:
                    self.warn(name, f"line {number} lists {visible(path)} a second time")
                listed[path] = parts[1].lower()
        if self.strict and text != manifest_text(listed):
            self.wrong(name, "is not written as a packet's manifests are (sorted, lower case, two spaces, line feeds)")
        return Manifest(name, algorithm, listed)

    def unescape(self, path: str) -> str:
        path = re.sub("%0D", "\r", re.sub("%0A", "\n", path, flags=re.IGNORECASE), flags=re.IGNORECASE)
        return path.replace("%25", "%") if self.version >= (1, 0) else path

    def read_fetch_list(self) -> None:
        """Nothing is ever fetched. A packet has no such list; in other bags its paths are checked like any path."""
        if "fetch.txt" not in self.folder.files:
            return
        if self.strict:
            self.wrong("fetch.txt", "asks to fetch files from elsewhere; a packet is complete in itself")
            return
        with self.report.judging("fetch.txt"):
            text = self.folder.read("fetch.txt", LARGEST_MANIFEST).decode(self.encoding, "replace")
            for number, line in enumerate(re.split("\r\n|\n|\r", text), start=1):
                parts = re.fullmatch(r"(\S+)[ \t]+(\d+|-)[ \t]+([^\r\n]+)", line)
                if line and parts is None:
                    raise DoesNotMatch(f"line {number} is not an address, a length and a path")
                if parts is not None and (path_trouble(parts[3]) or not parts[3].startswith("data/")):
                    raise DoesNotMatch(f"line {number} names a path outside the payload; it was not followed")

    def check_completeness(self, payload: List[Manifest], tags: List[Manifest]) -> None:
        everywhere = self.version >= (1, 0)
        lists = [manifest.listed for manifest in payload]
        for path in self.folder.files:
            if path.startswith("data/"):
                listing = [path in listed for listed in lists]
                if not any(listing):
                    self.wrong(path, "is not part of this packet: no manifest lists it" + left_behind(path))
                elif everywhere and not all(listing):
                    absent = ", ".join(m.name for m in payload if path not in m.listed)
                    self.wrong(path, f"is not listed in {absent}, though another manifest lists it")
            elif self.strict and not path.startswith("tagmanifest-"):
                absent = ", ".join(m.name for m in tags if path not in m.listed)
                if absent or not tags:
                    self.wrong(
                        path,
                        f"is not part of this packet: {absent or 'no manifest'} does not list it" + left_behind(path),
                    )
        for manifest in payload + tags:
            of_payload = manifest in payload
            for path in manifest.listed:
                if path.startswith("data/") != of_payload:
                    self.wrong(manifest.name, f"lists {visible(path)}, which is not its kind of file")
                elif not of_payload and path.startswith("tagmanifest-"):
                    self.wrong(manifest.name, f"lists {visible(path)}, another manifest of its own kind")
                elif path not in self.folder.files and path not in self.folder.strange:
                    self.wrong(path, f"is missing; {manifest.name} lists it")
            if not of_payload and everywhere:
                for name in (m.name for m in payload if m.name not in manifest.listed):
                    self.wrong(manifest.name, f"does not list {name}")

    def check_same_names(self) -> None:
        """Two names that some computers take for one could hide a file behind another."""
        seen: Dict[str, str] = {}
        for path in list(self.folder.files) + sorted(self.broken):
            folded = unicodedata.normalize("NFC", path).casefold()
            other = seen.setdefault(folded, path)
            if other != path:
                self.warn(path, f"has a name that some computers take for the same as {visible(other)}")

    def digest_all(self, manifests: List[Manifest]) -> None:
        wanted: Dict[str, List[str]] = {}
        for manifest in manifests:
            for path in manifest.listed:
                if path in self.folder.files:
                    wanted.setdefault(path, []).append(manifest.algorithm)

        def digest(path: str) -> None:
            with self.report.judging(path):
                algorithms = sorted(set(wanted[path]))
                self.sizes[path], self.digests[path] = self.folder.digest(path, algorithms, self.progress.add)

        self.progress.begin(sum(self.folder.files[path] for path in wanted))
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as workers:
            try:
                for _ in workers.map(digest, sorted(wanted)):
                    continue
            except KeyboardInterrupt:
                self.progress.stopped = True
                raise
        self.progress.end()

    def compare(self, manifests: List[Manifest]) -> None:
        agreeing: Dict[str, List[str]] = {}
        disagreeing: Dict[str, List[str]] = {}
        for manifest in manifests:
            for path, listed in manifest.listed.items():
                if path in self.digests:
                    same = self.digests[path][manifest.algorithm] == listed
                    (agreeing if same else disagreeing).setdefault(path, []).append(manifest.name)
        for path, names in disagreeing.items():
            words = f"is not the file listed in {' and '.join(names)}: its bytes were changed"
            if path in agreeing:
                other = " and ".join(agreeing[path])
                words = (
                    f"is the file listed in {other} but not the one in {' and '.join(names)}: a manifest was changed"
                )
            self.wrong(path, words)
        for path in sorted(self.broken):
            self.report.differs(path, "; ".join(self.broken[path][:5]))
        for path in sorted(agreeing):
            if path not in self.broken:
                names = sorted(self.digests[path])
                words = f"{self.sizes[path]:,} bytes; {' and '.join(name.upper() for name in names)} as listed"
                self.report.matches(path, words, minor=True)

    def check_oxum(self) -> None:
        for name in ("bag-info.txt", "package-info.txt"):
            if name not in self.folder.files:
                continue
            text = self.folder.read(name, MIB).decode(self.encoding, "replace")
            # Split by hand: a pattern that steps over blanks on both sides takes minutes for a long line of them.
            fields = [line.partition(":") for line in text.replace("\r", "\n").split("\n")]
            stated = [
                value.strip(" \t")
                for label, colon, value in fields
                if colon and label.rstrip(" \t").lower() == "payload-oxum"
            ]
            payload = [size for path, size in self.folder.files.items() if path.startswith("data/")]
            if stated and stated != [f"{sum(payload)}.{len(payload)}"]:
                words = f"holds {sum(payload):,} bytes in {len(payload):,} files"
                raise DoesNotMatch(f"{words}; {name} states another size")
            if self.strict and not stated:
                raise DoesNotMatch(f"{name} does not state its size (Payload-Oxum)")


def check_bag(folder: Folder, report: Report, strict: bool, progress: Optional[Progress] = None) -> Bag:
    """Judge a bag. `strict` holds it to the form of a packet; else 0.93 to 1.0 are judged by their own rules."""
    return BagCheck(folder, report, strict, progress or Progress(None)).run()


def path_trouble(path: str) -> Optional[str]:
    """Say what is wrong with a path in a manifest: it must stay inside the bag on every kind of computer."""
    if path.startswith(("/", "~")) or re.match("[A-Za-z]:", path):
        return "begins outside the packet"
    if "\\" in path:
        return "holds a backslash"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "climbs or has empty parts"
    if "\x00" in path:
        return "holds a zero byte"
    return None


def left_behind(path: str) -> str:
    return " (some systems leave such files; delete it and check again)" if LEFT_BY_SYSTEMS.search(path) else ""


def manifest_text(listed: Dict[str, str]) -> str:
    """Write a manifest in the one form that a packet's manifests have."""
    lines = []
    for path in sorted(listed, key=lambda text: text.encode("utf-8", "surrogatepass")):
        escaped = path.replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D")
        lines.append(f"{listed[path]}  {escaped}\n")
    return "".join(lines)


# --- Strict JSON ----------------------------------------------------------------------------------
# One value, no member twice, whole numbers only. RFC 8785 gives each value exactly one spelling, so what was signed
# cannot be read in two ways.


def read_json(text: str) -> Any:
    def members(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
        read = dict(pairs)
        if len(read) != len(pairs):
            raise DoesNotMatch("holds JSON with a member twice")
        return read

    def integer(digits: str) -> int:
        if len(digits) > 17 or abs(int(digits)) > 2**53 - 1:
            raise DoesNotMatch("holds a number that is too large")
        return int(digits)

    def refuse(_: str) -> NoReturn:
        raise DoesNotMatch("holds a number that is not whole")

    try:
        return json.loads(text, object_pairs_hook=members, parse_int=integer, parse_float=refuse, parse_constant=refuse)
    except ValueError as broken:
        raise DoesNotMatch("is not JSON") from broken
    except RecursionError as broken:
        raise DoesNotMatch("is nested more deeply than anything in a packet") from broken


def canonical_json(value: Any) -> bytes:
    """RFC 8785 for the values that occur here: members sorted by UTF-16 units, no space, only needed escapes."""

    def ordered(part: Any) -> Any:
        if isinstance(part, dict):
            keys = sorted(part, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
            return {key: ordered(part[key]) for key in keys}
        return [ordered(member) for member in part] if isinstance(part, list) else part

    try:
        return json.dumps(ordered(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError as broken:
        raise DoesNotMatch("holds half of a character") from broken
    except RecursionError as broken:
        raise DoesNotMatch("is nested more deeply than anything in a packet") from broken


def read_canonical_json(content: bytes) -> Any:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as broken:
        raise DoesNotMatch("is not UTF-8 text") from broken
    value = read_json(text)
    if canonical_json(value) != content:
        raise DoesNotMatch("is not written in canonical form (RFC 8785)")
    return value


def member(record: Any, name: str, kind: type) -> Any:
    """Take a member of the stated kind out of a JSON object; true and false are not numbers."""
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise DoesNotMatch(f"has no member {name} of the right kind")
    return value


def from_base64(text: str, what: str) -> bytes:
    try:
        decoded = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error) as broken:
        raise DoesNotMatch(f"has {what} that is not base64") from broken
    if base64.b64encode(decoded).decode() != text:
        raise DoesNotMatch(f"has {what} in a second spelling of base64")
    return decoded


def from_base64url(text: str, what: str) -> bytes:
    if re.fullmatch("[A-Za-z0-9_-]*", text) is None or len(text) % 4 == 1:
        raise DoesNotMatch(f"has {what} that is not base64url")
    decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_base64url(decoded) != text:
        raise DoesNotMatch(f"has {what} in a second spelling of base64url")
    return decoded


def to_base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


# --- The Merkle tree (RFC 9162, section 2.1) ------------------------------------------------------


def leaf_digest(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_digest(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """RFC 9162, 2.1.3.2: climb from the leaf to the root; `proof` holds the sibling at each step."""
    if index >= size:
        raise DoesNotMatch("stands beyond the end of the log that the checkpoint signs")
    node, last, reached = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise DoesNotMatch("has a proof that is too long")
        if node & 1 or node == last:
            reached = node_digest(sibling, reached)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            reached = node_digest(reached, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or reached != root or len(root) != 32:
        raise DoesNotMatch("is not the entry at its place in the log that the checkpoint signs")


def verify_consistency(older: int, old_root: bytes, newer: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162, 2.1.4.2: the log of size `newer` begins with the log of size `older`, unchanged."""
    wrong = DoesNotMatch(
        "is not an earlier state of this log: the log was changed in between, or the proof is for others"
    )
    if older == newer and older > 0 and not proof and old_root == new_root:
        return
    if not 0 < older < newer:
        raise wrong
    path = list(proof)
    if older & (older - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise wrong
    node, last = older - 1, newer - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_reached = new_reached = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise wrong
        if node & 1 or node == last:
            old_reached, new_reached = node_digest(sibling, old_reached), node_digest(sibling, new_reached)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new_reached = node_digest(new_reached, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or old_reached != old_root or new_reached != new_root:
        raise wrong


# --- Ed25519 (RFC 8032, 5.1.7, strict) ------------------------------------------------------------
# Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z on -x^2 + y^2 = 1 + d x^2 y^2 modulo 2^255 - 19.

ED_P = 2**255 - 19
ED_L = 2**252 + 27742317777372353535851937790883648493
ED_D = -121665 * pow(121666, -1, ED_P) % ED_P
ED_ZERO = (0, 1, 1, 0)
EdPoint = Tuple[int, int, int, int]


def ed_add(one: EdPoint, two: EdPoint) -> EdPoint:
    a = (one[1] - one[0]) * (two[1] - two[0]) % ED_P
    b = (one[1] + one[0]) * (two[1] + two[0]) % ED_P
    c = 2 * one[3] * two[3] * ED_D % ED_P
    d = 2 * one[2] * two[2] % ED_P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % ED_P, g * h % ED_P, f * g % ED_P, e * h % ED_P


def ed_multiply(scalar: int, point: EdPoint) -> EdPoint:
    result = ED_ZERO
    while scalar:
        if scalar & 1:
            result = ed_add(result, point)
        point, scalar = ed_add(point, point), scalar >> 1
    return result


def ed_decode(encoded: bytes) -> EdPoint:
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= ED_P:
        raise DoesNotMatch("holds a point in a second spelling")
    square = (y * y - 1) * pow(ED_D * y * y + 1, -1, ED_P) % ED_P
    x = pow(square, (ED_P + 3) // 8, ED_P)
    if (x * x - square) % ED_P:
        x = x * pow(2, (ED_P - 1) // 4, ED_P) % ED_P
    if (x * x - square) % ED_P or (x == 0 and sign):
        raise DoesNotMatch("holds a point that is not on the curve")
    x = ED_P - x if x & 1 != sign else x
    return x, y, 1, x * y % ED_P


def ed_encode(point: EdPoint) -> bytes:
    inverse = pow(point[2], -1, ED_P)
    x, y = point[0] * inverse % ED_P, point[1] * inverse % ED_P
    return (y | (x & 1) << 255).to_bytes(32, "little")


ED_BASE = ed_decode((4 * pow(5, -1, ED_P) % ED_P).to_bytes(32, "little"))


def verify_ed25519(key: bytes, message: bytes, signature: bytes) -> None:
    if len(key) != 32 or len(signature) != 64:
        raise DoesNotMatch("has an Ed25519 key or signature of the wrong length")
    public = ed_decode(key)
    if ed_encode(ed_multiply(8, public)) == ed_encode(ED_ZERO):
        raise DoesNotMatch("has an Ed25519 key under which any text would pass")
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= ED_L:
        raise DoesNotMatch("has an Ed25519 signature in a second spelling")
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ED_L
    minus_public = (ED_P - public[0], public[1], 1, ED_P - public[3])
    if ed_encode(ed_add(ed_multiply(scalar, ED_BASE), ed_multiply(challenge, minus_public))) != signature[:32]:
        raise DoesNotMatch("has an Ed25519 signature that is not by this key over this text")


# --- ML-DSA-44 (FIPS 204, algorithm 8), a signature that quantum computers do not break -----------
# A polynomial is a list of 256 numbers modulo q. Names follow FIPS 204.

Q, D_BITS, GAMMA1, GAMMA2, TAU, BETA, OMEGA = 8380417, 13, 1 << 17, 95232, 39, 78, 80
ZETAS = [pow(1753, int(f"{number:08b}"[::-1], 2), Q) for number in range(256)]
Polynomial = List[int]


def ntt(polynomial: Polynomial) -> Polynomial:
    w, k, length = list(polynomial), 0, 128
    while length:
        for start in range(0, 256, 2 * length):
            k += 1
            for j in range(start, start + length):
                t = ZETAS[k] * w[j + length] % Q
                w[j + length], w[j] = (w[j] - t) % Q, (w[j] + t) % Q
        length >>= 1
    return w


def inverse_ntt(polynomial: Polynomial) -> Polynomial:
    w, k, length = list(polynomial), 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            k -= 1
            for j in range(start, start + length):
                t = w[j]
                w[j], w[j + length] = (t + w[j + length]) % Q, -ZETAS[k] * (t - w[j + length]) % Q
        length <<= 1
    return [number * 8347681 % Q for number in w]


def unpack_bits(content: bytes, width: int) -> List[int]:
    number, mask = int.from_bytes(content, "little"), (1 << width) - 1
    return [number >> place & mask for place in range(0, 8 * len(content), width)]


def expand_matrix_entry(rho: bytes, row: int, column: int) -> Polynomial:
    """ExpandA: an even choice of 256 numbers below q from SHAKE128."""
    stream, accepted = hashlib.shake_128(rho + bytes([column, row])).digest(3 * 512), []
    for at in range(0, len(stream), 3):
        number = stream[at] | stream[at + 1] << 8 | (stream[at + 2] & 127) << 16
        if number < Q:
            accepted.append(number)
    return accepted[:256]


def sample_in_ball(commitment: bytes) -> Polynomial:
    """The challenge: 39 places of 256 hold 1 or -1, the others 0."""
    stream, challenge, at = hashlib.shake_256(commitment).digest(1024), [0] * 256, 8
    signs = int.from_bytes(stream[:8], "little")
    for place in range(256 - TAU, 256):
        while stream[at] > place:
            at += 1
        challenge[place], challenge[stream[at]] = challenge[stream[at]], 1 - 2 * (signs & 1)
        at, signs = at + 1, signs >> 1
    return challenge


def unpack_hint(content: bytes) -> List[List[int]]:
    hint, first = [[0] * 256 for _ in range(4)], 0
    for row in range(4):
        end = content[OMEGA + row]
        if not first <= end <= OMEGA:
            raise DoesNotMatch("has a malformed ML-DSA-44 signature")
        for at in range(first, end):
            if at > first and content[at] <= content[at - 1]:
                raise DoesNotMatch("has a malformed ML-DSA-44 signature")
            hint[row][content[at]] = 1
        first = end
    if any(content[first:OMEGA]):
        raise DoesNotMatch("has a malformed ML-DSA-44 signature")
    return hint


def use_hint(hint: int, number: int) -> int:
    low = number % (2 * GAMMA2)
    low = low - 2 * GAMMA2 if low > GAMMA2 else low
    high = (number - low) // (2 * GAMMA2)
    if number - low == Q - 1:
        high, low = 0, low - 1
    if hint:
        high += 1 if low > 0 else -1
    return high % 44


def verify_ml_dsa_44(key: bytes, message: bytes, signature: bytes) -> None:
    if len(key) != 1312 or len(signature) != 2420:
        raise DoesNotMatch("has an ML-DSA-44 key or signature of the wrong length")
    rho, commitment = key[:32], signature[:32]
    t1 = [unpack_bits(key[at : at + 320], 10) for at in range(32, 1312, 320)]
    z = [[GAMMA1 - n for n in unpack_bits(signature[at : at + 576], 18)] for at in range(32, 2336, 576)]
    hint = unpack_hint(signature[2336:])
    if any(abs(number) >= GAMMA1 - BETA for polynomial in z for number in polynomial):
        raise DoesNotMatch("has an ML-DSA-44 signature that is out of bounds")
    representative = hashlib.shake_256(hashlib.shake_256(key).digest(64) + b"\x00\x00" + message).digest(64)
    c = ntt(sample_in_ball(commitment))
    z_hat = [ntt(polynomial) for polynomial in z]
    encoded = b""
    for row in range(4):
        total = [-c_n * t_n for c_n, t_n in zip(c, ntt([n << D_BITS for n in t1[row]]))]
        for column in range(4):
            total = [s + a * n for s, a, n in zip(total, expand_matrix_entry(rho, row, column), z_hat[column])]
        high = [use_hint(h, n) for h, n in zip(hint[row], inverse_ntt([s % Q for s in total]))]
        encoded += sum(number << 6 * place for place, number in enumerate(high)).to_bytes(192, "little")
    if hashlib.shake_256(representative + encoded).digest(32) != commitment:
        raise DoesNotMatch("has an ML-DSA-44 signature that is not by this key over this checkpoint")


# --- 2. The checkpoint (C2SP signed-note, tlog-checkpoint, tlog-cosignature) ----------------------

ED25519_LINE, ML_DSA_44_LINE = 0x01, 0x06
MOST_SIGNATURES = 100


class VerifierKey(NamedTuple):
    """A public key of a log, as `name+id+base64`."""

    text: str
    name: str
    key_id: bytes
    kind: int
    key: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of name, line feed, kind and key; its first eight characters are the id."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key).hexdigest()


class Note(NamedTuple):
    """Text and signature lines of a signed note, not yet trusted."""

    text: bytes
    signatures: List[Tuple[str, bytes, bytes]]


class Checkpoint(NamedTuple):
    """The state of a log that its key has signed."""

    content: bytes
    origin: str
    size: int
    root: bytes
    ed25519_keys: List[VerifierKey]
    ml_dsa_keys: List[VerifierKey]


def has_spaces(name: str) -> bool:
    return not name or "+" in name or any(character.isspace() for character in name)


def read_verifier_key(text: str) -> VerifierKey:
    parts = text.split("+", 2)
    if len(parts) != 3 or has_spaces(parts[0]) or re.fullmatch("[0-9a-f]{8}", parts[1]) is None:
        raise DoesNotMatch("holds a log key that is not written name+id+key")
    name, material = parts[0], from_base64(parts[2], "a log key")
    if hashlib.sha256(name.encode("utf-8", "surrogatepass") + b"\n" + material).digest()[:4].hex() != parts[1]:
        raise DoesNotMatch("holds a log key that does not fit its name and id")
    kind, key = material[0], material[1:]
    if kind not in (ED25519_LINE, ML_DSA_44_LINE):
        raise CannotTell(f"holds a log key of a kind that this program does not know ({kind})")
    if len(key) != (32 if kind == ED25519_LINE else 1312):
        raise DoesNotMatch("holds a log key of the wrong length")
    return VerifierKey(text, name, bytes.fromhex(parts[1]), kind, key)


def read_note(content: bytes) -> Note:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as broken:
        raise DoesNotMatch("is not UTF-8 text") from broken
    split = text.rfind("\n\n")
    if split < 0 or not text.endswith("\n") or re.search("[\x00-\x09\x0b-\x1f]", text):
        raise DoesNotMatch("is not a signed note")
    lines = text[split + 2 : -1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise DoesNotMatch(f"has more than {MOST_SIGNATURES} signatures")
    signatures = []
    for line in lines:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or has_spaces(parts[1]):
            raise DoesNotMatch("has a line among its signatures that is none")
        signature = from_base64(parts[2], "a signature")
        if len(signature) < 5:
            raise DoesNotMatch("has a signature that is cut short")
        signatures.append((parts[1], signature[:4], signature[4:]))
    return Note(text[: split + 1].encode("utf-8"), signatures)


def open_note(content: bytes, keys: Sequence[VerifierKey]) -> Tuple[bytes, List[VerifierKey]]:
    """Return the text and who signed it. Unknown keys are passed over; a wrong line by a known key refuses all."""
    note, signed = read_note(content), []
    for name, key_id, signature in note.signatures:
        for key in dict.fromkeys(keys):
            if (key.name, key.key_id) != (name, key_id) or key in signed:
                continue
            if key.kind == ED25519_LINE:
                verify_ed25519(key.key, note.text, signature)
            else:
                verify_ml_dsa_44(key.key, cosigned_message(key.name, note.text, signature[:8]), signature[8:])
            signed.append(key)
    if not signed:
        raise DoesNotMatch("is not signed by any of the log keys")
    return note.text, signed


def cosigned_message(name: str, text: bytes, moment: bytes) -> bytes:
    """What an ML-DSA-44 line signs: label, signer, time, log, and the tree from 0 to its size (tlog-cosignature)."""
    origin, size, root = read_checkpoint_text(text)
    signer, log = name.encode(), origin.encode()
    if len(signer) > 255 or len(log) > 255:
        raise DoesNotMatch("names a signer or a log at too great length")
    message = b"subtree/v1\n\x00" + bytes([len(signer)]) + signer + moment + bytes([len(log)]) + log
    return message + (0).to_bytes(8, "big") + size.to_bytes(8, "big") + root


def read_checkpoint_text(text: bytes) -> Tuple[str, int, bytes]:
    lines = text.decode("utf-8").split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise DoesNotMatch("is not a checkpoint: origin, size and root are expected")
    if re.fullmatch("0|[1-9][0-9]{0,15}", lines[1]) is None:
        raise DoesNotMatch("states no size of the log")
    root = from_base64(lines[2], "a root")
    if len(root) != 32:
        raise DoesNotMatch("has a root of the wrong length")
    return lines[0], int(lines[1]), root


def open_checkpoint(content: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Check a checkpoint. The Ed25519 line must be there; so must the ML-DSA-44 line if a key for it is listed."""
    text, signed = open_note(content, keys)
    origin, size, root = read_checkpoint_text(text)
    ed25519 = [key for key in signed if key.kind == ED25519_LINE and key.name == origin]
    ml_dsa = [key for key in signed if key.kind == ML_DSA_44_LINE and key.name == origin]
    if not ed25519:
        raise DoesNotMatch("has no Ed25519 signature by a key of this log")
    if not ml_dsa and any(key.kind == ML_DSA_44_LINE and key.name == origin for key in keys):
        raise DoesNotMatch("lacks the ML-DSA-44 signature, though a key for it is listed")
    return Checkpoint(content, origin, size, root, ed25519, ml_dsa)


def read_verifier_keys(content: bytes) -> List[VerifierKey]:
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as broken:
        raise DoesNotMatch("is not UTF-8 text") from broken
    keys = []
    for line in lines[: MOST_SIGNATURES + 1]:
        try:
            keys += [read_verifier_key(line)] if line else []
        except CannotTell:
            continue  # a key of a kind unknown here is passed over, as C2SP signed-note asks; the known ones decide
    if not keys or len(lines) > MOST_SIGNATURES + 1:
        raise DoesNotMatch("does not hold between 1 and 100 log keys, one a line")
    return keys


def read_proof(content: bytes) -> Tuple[int, List[bytes], bytes]:
    """A C2SP tlog-proof: index, siblings, and the checkpoint it is for."""
    head, split, checkpoint = content.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as broken:
        raise DoesNotMatch("is not a proof") from broken
    if lines[:1] != ["c2sp.org/tlog-proof@v1"] or not split:
        raise DoesNotMatch("is not a C2SP log proof")
    rest = lines[2:] if len(lines) > 1 and lines[1].startswith("extra ") else lines[1:]
    index = re.fullmatch("index (0|[1-9][0-9]{0,15})", rest[0]) if rest else None
    if index is None or len(rest) > 65:
        raise DoesNotMatch("is not a C2SP log proof")
    return int(index[1]), read_siblings(rest[1:]), checkpoint


def read_siblings(lines: Sequence[str]) -> List[bytes]:
    siblings = [from_base64(line, "a digest") for line in lines]
    if any(len(sibling) != 32 for sibling in siblings):
        raise DoesNotMatch("has a digest of the wrong length")
    return siblings


# --- 3. Entries of the custody log, and the values opened in them (RFC 9901, 4.2) -----------------


class Opened(NamedTuple):
    name: str
    value: Any


class Entry(NamedTuple):
    """One entry: what is open in it, how many values stay closed, and those that were opened for this reader."""

    seq: int
    event: str
    outcome: str
    digest: bytes
    opened: List[Opened]
    closed: int

    def values(self, name: str, item: Optional[str] = None) -> List[Any]:
        named = [opened.value for opened in self.opened if opened.name == name]
        return named if item is None else [v for v in named if isinstance(v, dict) and v.get("item") == item]

    def items(self) -> FrozenSet[str]:
        """The items of which this entry opens a value."""
        values = [opened.value for opened in self.opened if isinstance(opened.value, dict)]
        return frozenset(value["item"] for value in values if isinstance(value.get("item"), str))

    @property
    def recorded_time(self) -> str:
        times = [time for time in self.values("recorded_time") if isinstance(time, str)]
        return times[0] if len(times) == 1 else ""


def read_entry(leaf: str, disclosures: Sequence[Any]) -> Entry:
    try:
        content = leaf.encode("utf-8")
    except UnicodeEncodeError as broken:
        raise DoesNotMatch("holds half of a character") from broken
    fields = read_canonical_json(content)
    if not isinstance(fields, dict) or set(fields) != {"_sd", "_sd_alg", "event", "outcome", "seq", "v"}:
        raise DoesNotMatch("is not an entry: it has other members")
    commitments, seq = member(fields, "_sd", list), member(fields, "seq", int)
    if member(fields, "v", int) != 1 or member(fields, "_sd_alg", str) != "sha-256" or seq < 0:
        raise DoesNotMatch("is not an entry of version 1")
    if not all(isinstance(text, str) and len(from_base64url(text, "a commitment")) == 32 for text in commitments):
        raise DoesNotMatch("has a commitment of the wrong form")
    if commitments != sorted(set(commitments)):
        raise DoesNotMatch("has commitments twice or out of order")
    event, outcome = member(fields, "event", str), member(fields, "outcome", str)
    if outcome not in ("success", "failure", "warning"):
        raise DoesNotMatch("has an unknown outcome")
    opened: Dict[str, Opened] = {}
    for disclosure in disclosures:
        if not isinstance(disclosure, str) or disclosure in opened:
            raise DoesNotMatch("has a value opened twice or in the wrong form")
        opened[disclosure] = open_value(disclosure, frozenset(commitments))
    return Entry(seq, event, outcome, leaf_digest(content), list(opened.values()), len(commitments) - len(opened))


def open_value(disclosure: str, commitments: FrozenSet[str]) -> Opened:
    """Open one value: it is what the entry committed to, and nothing else gives that digest."""
    content = from_base64url(disclosure, "an opened value")
    if to_base64url(hashlib.sha256(disclosure.encode("ascii")).digest()) not in commitments:
        raise DoesNotMatch("opens a value that the entry did not commit to")
    parts = read_canonical_json(content)
    if not isinstance(parts, list) or len(parts) != 3 or not isinstance(parts[0], str) or not isinstance(parts[1], str):
        raise DoesNotMatch("opens a value that is not salt, name and value")
    if len(from_base64url(parts[0], "a salt")) != 16:
        raise DoesNotMatch("opens a value with a salt of the wrong length")
    return Opened(parts[1], parts[2])


# --- DER, the encoding of certificates and time-stamps (X.690) ------------------------------------

INTEGER, BIT_STRING, OCTET_STRING, NULL, OID, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x05, 0x06, 0x30, 0x31
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
MOST_ELEMENTS = 10_000


class Der(NamedTuple):
    """One element: its tag, its content, and all of it as it stood."""

    tag: int
    body: bytes
    raw: bytes

    def children(self) -> List[Der]:
        return read_der(self.body)

    def expect(self, tag: int, what: str) -> Der:
        if self.tag != tag:
            raise DoesNotMatch(f"has a malformed {what}")
        return self

    def integer(self) -> int:
        body = self.expect(INTEGER, "number").body
        minimal = len(body) == 1 or (
            len(body) > 1 and not (body[0] == 0 and body[1] < 128) and not (body[0] == 255 and body[1] > 127)
        )
        if not minimal or len(body) > 2049:
            raise DoesNotMatch("has a malformed number")
        return int.from_bytes(body, "big", signed=True)

    def oid(self) -> str:
        body = self.expect(OID, "object identifier").body
        if not 0 < len(body) <= 64 or body[-1] > 127:
            raise DoesNotMatch("has a malformed object identifier")
        arcs, arc = [], 0
        for octet in body:
            if arc == 0 and octet == 0x80:
                raise DoesNotMatch("has a malformed object identifier")
            arc = arc << 7 | octet & 127
            if octet < 128:
                arcs.append(arc)
                arc = 0
        first = min(arcs[0] // 40, 2)
        return ".".join(str(number) for number in [first, arcs[0] - 40 * first] + arcs[1:])

    def bits(self) -> bytes:
        """The octets of a bit string that has no unused bits."""
        body = self.expect(BIT_STRING, "bit string").body
        if not body or body[0] != 0:
            raise DoesNotMatch("has a malformed bit string")
        return body[1:]

    def moment(self) -> datetime:
        form = {UTC_TIME: rb"(\d\d)(\d{10})()Z", GENERALIZED_TIME: rb"(\d{4})(\d{10})(\.\d*[1-9])?Z"}.get(self.tag)
        parts = re.fullmatch(form, self.body) if form else None
        if parts is None:
            raise DoesNotMatch("has a malformed time")
        year = int(parts[1])
        if self.tag == UTC_TIME:
            year += 2000 if year < 50 else 1900
        fraction = int((parts[3] or b".0")[1:7].ljust(6, b"0"))
        rest = [int(parts[2][at : at + 2]) for at in range(0, 10, 2)]
        try:
            return datetime(year, rest[0], rest[1], rest[2], rest[3], rest[4], fraction, tzinfo=timezone.utc)
        except ValueError as broken:
            raise DoesNotMatch("has a malformed time") from broken


def read_der(content: bytes) -> List[Der]:
    """Read the elements side by side in `content`: definite lengths in the shortest form, nothing left over."""
    elements: List[Der] = []
    at = 0
    while at < len(content):
        start, tag = at, content[at]
        if tag & 31 == 31 or at + 2 > len(content) or len(elements) > MOST_ELEMENTS:
            raise DoesNotMatch("is not well-formed DER")
        length, at = content[at + 1], at + 2
        if length >= 128:
            octets = length & 127
            length = int.from_bytes(content[at : at + octets], "big")
            if not 1 <= octets <= 4 or length < 128 or content[at : at + 1] == b"\x00":
                raise DoesNotMatch("is not well-formed DER")
            at += octets
        if at + length > len(content):
            raise DoesNotMatch("is not well-formed DER: it is cut short")
        elements.append(Der(tag, content[at : at + length], content[start : at + length]))
        at += length
    return elements


def read_one_der(content: bytes, tag: int, what: str) -> Der:
    elements = read_der(content)
    if len(elements) != 1:
        raise DoesNotMatch(f"is not one {what}")
    return elements[0].expect(tag, what)


class Fields:
    """The members of a DER sequence, taken one after the other."""

    def __init__(self, element: Der, what: str) -> None:
        self.rest, self.what = element.expect(SEQUENCE, what).children(), what

    def take(self, tag: int) -> Der:
        found = self.take_if(tag)
        if found is None:
            raise DoesNotMatch(f"has a malformed {self.what}")
        return found

    def take_if(self, tag: int) -> Optional[Der]:
        return self.rest.pop(0) if self.rest and self.rest[0].tag == tag else None

    def any(self) -> Der:
        if not self.rest:
            raise DoesNotMatch(f"has a malformed {self.what}")
        return self.rest.pop(0)

    def end(self) -> None:
        if self.rest:
            raise DoesNotMatch(f"has a malformed {self.what}")


# --- Signatures by certificates: RSA (RFC 8017), ECDSA (FIPS 186-5), Ed25519 ----------------------

DIGEST_OIDS = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
RSA_OIDS = {"1.2.840.113549.1.1.11": "sha256", "1.2.840.113549.1.1.12": "sha384", "1.2.840.113549.1.1.13": "sha512"}
ECDSA_OIDS = {"1.2.840.10045.4.3.2": "sha256", "1.2.840.10045.4.3.3": "sha384", "1.2.840.10045.4.3.4": "sha512"}
RSA_KEY, RSA_PSS, MGF1, EC_KEY, ED25519 = (
    "1.2.840.113549.1.1.1",
    "1.2.840.113549.1.1.10",
    "1.2.840.113549.1.1.8",
    "1.2.840.10045.2.1",
    "1.3.101.112",
)
DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


class Curve(NamedTuple):
    """y^2 = x^3 - 3x + b modulo p, with base point (x, y) of order n."""

    p: int
    b: int
    x: int
    y: int
    n: int


CURVES = {
    "1.2.840.10045.3.1.7": Curve(  # P-256
        0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    "1.3.132.0.34": Curve(  # P-384
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
        0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
    "1.3.132.0.35": Curve(  # P-521
        2**521 - 1,
        0x0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
        0x00C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3DBAA14B5E77EFE75928FE1DC127A2FFA8DE3348B3C1856A429BF97E7E31C2E5BD66,
        0x011839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E662C97EE72995EF42640C550B9013FAD0761353C7086A272C24088BE94769FD16650,
        0x01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409,
    ),
}
CurvePoint = Optional[Tuple[int, int]]


def curve_add(curve: Curve, one: CurvePoint, two: CurvePoint) -> CurvePoint:
    """Add two points; None is the point at infinity."""
    if one is None or two is None:
        return two if one is None else one
    if one[0] == two[0]:
        if (one[1] + two[1]) % curve.p == 0:
            return None
        slope = 3 * (one[0] * one[0] - 1) * pow(2 * one[1], -1, curve.p) % curve.p
    else:
        slope = (two[1] - one[1]) * pow(two[0] - one[0], -1, curve.p) % curve.p
    x = (slope * slope - one[0] - two[0]) % curve.p
    return x, (slope * (one[0] - x) - one[1]) % curve.p


def verify_ecdsa(curve: Curve, key: bytes, digest: bytes, signature: bytes) -> None:
    wrong = DoesNotMatch("has an ECDSA signature that is not by its certificate")
    width = (curve.p.bit_length() + 7) // 8
    if len(key) != 1 + 2 * width or key[0] != 4:
        raise CannotTell("has an elliptic curve key in a form that this program does not know")
    public = (int.from_bytes(key[1 : 1 + width], "big"), int.from_bytes(key[1 + width :], "big"))
    x, y = public
    if x >= curve.p or y >= curve.p or (y * y - x * x * x + 3 * x - curve.b) % curve.p:
        raise DoesNotMatch("has a key that is not on its curve")
    fields = Fields(read_one_der(signature, SEQUENCE, "signature"), "signature")
    r, s = fields.take(INTEGER).integer(), fields.take(INTEGER).integer()
    fields.end()
    if not (0 < r < curve.n and 0 < s < curve.n):
        raise wrong
    number = int.from_bytes(digest, "big") >> max(0, 8 * len(digest) - curve.n.bit_length())
    inverse = pow(s, -1, curve.n)
    of_base, of_key = number * inverse % curve.n, r * inverse % curve.n
    base = (curve.x, curve.y)
    both, reached = curve_add(curve, base, public), None  # type: Tuple[CurvePoint, CurvePoint]
    for bit in range(curve.n.bit_length() - 1, -1, -1):
        reached = curve_add(curve, reached, reached)
        step = (None, base, public, both)[of_base >> bit & 1 | (of_key >> bit & 1) << 1]
        reached = curve_add(curve, reached, step)
    if reached is None or reached[0] % curve.n != r:
        raise wrong


def rsa_recover(key: bytes, signature: bytes) -> Tuple[int, bytes]:
    """Bits of the modulus, and the encoded message in full length."""
    fields = Fields(read_one_der(key, SEQUENCE, "RSA key"), "RSA key")
    modulus, exponent = fields.take(INTEGER).integer(), fields.take(INTEGER).integer()
    fields.end()
    if modulus < 2**2047 or exponent < 3 or exponent >= 2**32 or not modulus & 1 or not exponent & 1:
        raise CannotTell("has an RSA key of a size that this program does not trust")
    width = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != width or number >= modulus:
        raise DoesNotMatch("has an RSA signature of the wrong length")
    return modulus.bit_length(), pow(number, exponent, modulus).to_bytes(width, "big")


def verify_rsa(key: bytes, name: str, digest: bytes, signature: bytes) -> None:
    """RFC 8017, 8.2.2: build the only encoding that may come out, and compare."""
    encoded = rsa_recover(key, signature)[1]
    ending = b"\x00" + DIGEST_INFO[name] + digest
    if encoded != b"\x00\x01" + b"\xff" * (len(encoded) - 2 - len(ending)) + ending:
        raise DoesNotMatch("has an RSA signature that is not by its certificate")


def verify_rsa_pss(key: bytes, name: str, salt_length: int, digest: bytes, signature: bytes) -> None:
    """RFC 8017, 8.1.2 and 9.1.2, with MGF1 over the same digest."""
    wrong = DoesNotMatch("has an RSA signature that is not by its certificate")
    bits, encoded = rsa_recover(key, signature)
    encoded = encoded[-((bits + 6) // 8) :]
    split = len(encoded) - len(digest) - 1
    if split < salt_length + 1 or encoded[-1] != 0xBC:
        raise wrong
    hidden, seal = encoded[:split], encoded[split:-1]
    stream = b"".join(
        hashlib.new(name, seal + at.to_bytes(4, "big")).digest() for at in range(split // len(digest) + 1)
    )
    block = bytes(one ^ two for one, two in zip(hidden, stream))
    unused = 8 * len(encoded) - (bits - 1)
    if hidden[0] >> (8 - unused):
        raise wrong
    block = bytes([block[0] & 0xFF >> unused]) + block[1:]
    padding, salt = block[: split - salt_length], block[split - salt_length :]
    if (
        padding != b"\x00" * (len(padding) - 1) + b"\x01"
        or hashlib.new(name, b"\x00" * 8 + digest + salt).digest() != seal
    ):
        raise wrong


def read_pss(parameters: Optional[Der]) -> Tuple[str, int]:
    """Digest and salt length of RSASSA-PSS; only SHA-2 with MGF1 over the same digest is known here."""
    unknown = CannotTell("is signed with a form of RSA-PSS that this program does not know")
    if parameters is None or parameters.tag != SEQUENCE:
        raise unknown
    members = {element.tag: element.children() for element in parameters.children()}
    if set(members) - {0xA0, 0xA1, 0xA2} or not {0xA0, 0xA1, 0xA2} <= set(members):
        raise unknown
    if any(len(inside) != 1 for inside in members.values()):
        raise unknown
    digest = read_algorithm(members[0xA0][0])[0]
    mask, inner = read_algorithm(members[0xA1][0])
    if mask != MGF1 or inner is None or read_algorithm(inner)[0] != digest or digest not in DIGEST_OIDS:
        raise unknown
    return DIGEST_OIDS[digest], members[0xA2][0].integer()


def read_algorithm(element: Der) -> Tuple[str, Optional[Der]]:
    fields = Fields(element, "algorithm")
    name, parameters = fields.take(OID).oid(), fields.rest[0] if fields.rest else None
    return name, parameters


def verify_signature(key: PublicKey, algorithm: Der, content: bytes, signature: bytes, digest_name: str = "") -> None:
    """Check a signature by a certificate's key. `digest_name` is for CMS, which may name the digest apart."""
    name, parameters = read_algorithm(algorithm)
    if name in RSA_OIDS or (name == RSA_KEY and digest_name):
        digest = RSA_OIDS.get(name, digest_name)
        expect_key(key, RSA_KEY)
        verify_rsa(key.content, digest, hashlib.new(digest, content).digest(), signature)
    elif name == RSA_PSS:
        digest, salt_length = read_pss(parameters)
        expect_key(key, RSA_KEY, RSA_PSS)
        verify_rsa_pss(key.content, digest, salt_length, hashlib.new(digest, content).digest(), signature)
    elif name in ECDSA_OIDS:
        expect_key(key, EC_KEY)
        if key.curve not in CURVES:
            raise CannotTell("uses an elliptic curve that this program does not know")
        verify_ecdsa(CURVES[key.curve], key.content, hashlib.new(ECDSA_OIDS[name], content).digest(), signature)
    elif name == ED25519:
        expect_key(key, ED25519)
        verify_ed25519(key.content, content, signature)
    else:
        raise CannotTell(f"is signed with an algorithm that this program does not know ({name})")


def expect_key(key: PublicKey, *kinds: str) -> None:
    if key.kind not in kinds:
        raise DoesNotMatch("has a signature of another kind than the key of its certificate")


# --- Certificates (RFC 5280), as far as a time-stamp needs them -----------------------------------

BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_USAGE, SUBJECT_KEY_ID = "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.14"
UNDERSTOOD_EXTENSIONS = {
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    EXTENDED_USAGE,
    SUBJECT_KEY_ID,
    "2.5.29.32",
    "2.5.29.35",
    "2.5.29.17",
}
TIME_STAMPING, ANY_USAGE = "1.3.6.1.5.5.7.3.8", "2.5.29.37.0"
LONGEST_CHAIN, MOST_CHAIN_CHECKS, MOST_CERTIFICATES = 8, 40, 32


class PublicKey(NamedTuple):
    kind: str
    curve: str
    content: bytes


class Certificate(NamedTuple):
    """What a certificate states. Nothing in it is trusted before a chain of signatures leads to a root."""

    raw: bytes
    signed_part: bytes
    serial: int
    issuer: bytes
    subject: Der
    not_before: datetime
    not_after: datetime
    key: PublicKey
    extensions: Dict[str, Tuple[bool, bytes]]
    algorithm: Der
    signature: bytes

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def name(self) -> str:
        """The common name of the subject, or else its organisation, made safe to show."""
        names: Dict[str, str] = {}
        try:
            for group in self.subject.children():
                for pair in group.children():
                    kind, value = (pair.children() + [pair, pair])[:2]
                    names.setdefault(kind.oid(), value.body.decode("utf-8", "replace"))
        except DoesNotMatch:
            names.clear()  # a name in another form is no reason to refuse; the serial number stands in for it
        return visible(names.get("2.5.4.3") or names.get("2.5.4.10") or f"serial {self.serial:x}", 80)


def read_certificate(content: bytes) -> Certificate:
    outer = Fields(read_one_der(content, SEQUENCE, "certificate"), "certificate")
    signed, algorithm, signature = outer.take(SEQUENCE), outer.take(SEQUENCE), outer.take(BIT_STRING).bits()
    outer.end()
    fields = Fields(signed, "certificate")
    fields.take_if(0xA0)
    serial, inner_algorithm, issuer = fields.take(INTEGER).integer(), fields.take(SEQUENCE), fields.take(SEQUENCE)
    validity = Fields(fields.take(SEQUENCE), "validity")
    not_before, not_after = validity.any().moment(), validity.any().moment()
    subject, key = fields.take(SEQUENCE), read_public_key(fields.take(SEQUENCE))
    fields.take_if(0x81)
    fields.take_if(0x82)
    extensions = read_extensions(fields.take_if(0xA3))
    fields.end()
    if inner_algorithm.raw != algorithm.raw:
        raise DoesNotMatch("has a certificate that names two algorithms")
    return Certificate(
        content, signed.raw, serial, issuer.raw, subject, not_before, not_after, key, extensions, algorithm, signature
    )


def read_public_key(element: Der) -> PublicKey:
    fields = Fields(element, "public key")
    kind, parameters = read_algorithm(fields.take(SEQUENCE))
    content = fields.take(BIT_STRING).bits()
    curve = parameters.oid() if kind == EC_KEY and parameters is not None and parameters.tag == OID else ""
    return PublicKey(kind, curve, content)


def read_extensions(wrapper: Optional[Der]) -> Dict[str, Tuple[bool, bytes]]:
    found: Dict[str, Tuple[bool, bytes]] = {}
    for element in read_one_der(wrapper.body, SEQUENCE, "list of extensions").children() if wrapper else []:
        fields = Fields(element, "extension")
        name, critical = fields.take(OID).oid(), fields.take_if(0x01)
        if name in found:
            raise DoesNotMatch("has a certificate with an extension twice")
        found[name] = (critical is not None and critical.body != b"\x00", fields.take(OCTET_STRING).body)
    return found


def read_pem(text: bytes) -> List[Certificate]:
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----", text)
    if not blocks or len(blocks) > MOST_CERTIFICATES:
        raise DoesNotMatch("does not hold between 1 and 32 certificates")
    return [read_certificate(from_base64(b"".join(block.split()).decode(), "a certificate")) for block in blocks]


def extended_usages(certificate: Certificate) -> Optional[List[str]]:
    if EXTENDED_USAGE not in certificate.extensions:
        return None
    return [
        usage.oid() for usage in read_one_der(certificate.extensions[EXTENDED_USAGE][1], SEQUENCE, "usage").children()
    ]


def key_usage(certificate: Certificate) -> Optional[int]:
    """The first octet of the key usage bits: 0x80 digitalSignature, 0x40 nonRepudiation, 0x04 keyCertSign."""
    if KEY_USAGE not in certificate.extensions:
        return None
    body = read_one_der(certificate.extensions[KEY_USAGE][1], BIT_STRING, "key usage").body
    return body[1] if len(body) > 1 else 0


def check_extensions(certificate: Certificate, moment: datetime) -> None:
    for name, (critical, _) in certificate.extensions.items():
        if critical and name not in UNDERSTOOD_EXTENSIONS:
            raise CannotTell(f"has a certificate with a critical extension that this program does not know ({name})")
    if not certificate.not_before <= moment <= certificate.not_after:
        raise DoesNotMatch(f'has a certificate ("{certificate.name}") that was not valid at the time it states')


def check_stamper(certificate: Certificate, moment: datetime) -> None:
    """The signer may sign time-stamps, and nothing else (RFC 3161, 2.3)."""
    check_extensions(certificate, moment)
    usage = key_usage(certificate)
    if extended_usages(certificate) != [TIME_STAMPING] or not certificate.extensions[EXTENDED_USAGE][0]:
        raise DoesNotMatch("is signed by a certificate that is not for time-stamps alone")
    if usage is not None and not usage & 0xC0:
        raise DoesNotMatch("is signed by a certificate that may not sign")


def check_issuer(certificate: Certificate, moment: datetime, below: int) -> None:
    """The certificate may issue others; `below` is the number of issuers between it and the signer."""
    check_extensions(certificate, moment)
    constraints = certificate.extensions.get(BASIC_CONSTRAINTS)
    parts = read_one_der(constraints[1], SEQUENCE, "constraints").children() if constraints else []
    if not parts or parts[0].tag != 0x01 or parts[0].body != b"\xff":
        raise DoesNotMatch(f'has a certificate issued by one that may issue none ("{certificate.name}")')
    if len(parts) > 1 and parts[1].integer() < below:
        raise DoesNotMatch("has a chain of certificates longer than one of them allows")
    usage, extended = key_usage(certificate), extended_usages(certificate)
    if usage is not None and not usage & 0x04:
        raise DoesNotMatch(f'has a certificate issued by one that may issue none ("{certificate.name}")')
    if extended is not None and TIME_STAMPING not in extended and ANY_USAGE not in extended:
        raise DoesNotMatch(f'has a certificate whose issuer is not for time-stamps ("{certificate.name}")')


def is_self_signed(certificate: Certificate) -> bool:
    if certificate.issuer != certificate.subject.raw:
        return False
    try:
        verify_signature(certificate.key, certificate.algorithm, certificate.signed_part, certificate.signature)
    except (DoesNotMatch, CannotTell):
        return False
    return True


def find_root(
    signer: Certificate, others: Sequence[Certificate], roots: Sequence[Certificate], moment: datetime
) -> Certificate:
    """Follow signatures from the signer to one of the roots, each certificate valid at `moment`. Returns that root."""
    problems: List[Exception] = []
    checks = [0]

    def climb(certificate: Certificate, path: List[bytes]) -> Optional[Certificate]:
        for root in roots:
            if root.raw == certificate.raw:
                return root
        for issuer in list(roots) + list(others):
            if issuer.subject.raw != certificate.issuer or issuer.raw in path or len(path) >= LONGEST_CHAIN:
                continue
            checks[0] += 1
            if checks[0] > MOST_CHAIN_CHECKS:
                raise CannotTell("has more certificates than this program follows")
            try:
                verify_signature(issuer.key, certificate.algorithm, certificate.signed_part, certificate.signature)
                check_issuer(issuer, moment, len(path) - 1)
            except (DoesNotMatch, CannotTell) as problem:
                problems.append(problem)
                continue
            found = climb(issuer, path + [issuer.raw])
            if found is not None:
                return found
        return None

    found = climb(signer, [signer.raw])
    if found is None:
        unknown = [problem for problem in problems if isinstance(problem, CannotTell)]
        raise (unknown or problems or [DoesNotMatch("has certificates that do not lead to the root")])[0]
    return found


# --- 6. Time-stamps (RFC 3161, RFC 5652, RFC 5816) ------------------------------------------------

SIGNED_DATA, TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"


class Token(NamedTuple):
    """A time-stamp token, read but not yet trusted."""

    info: bytes
    imprint_algorithm: str
    imprint: bytes
    moment: datetime
    certificates: List[Certificate]
    signer_info: Der


class Stamp(NamedTuple):
    """What a verified time-stamp says."""

    moment: datetime
    authority: str
    root: Certificate


def read_token(content: bytes) -> Token:
    """Read a TimeStampResp, or the bare token in it."""
    outer = Fields(read_one_der(content, SEQUENCE, "time-stamp"), "time-stamp")
    if outer.rest and outer.rest[0].tag == SEQUENCE:
        if Fields(outer.take(SEQUENCE), "status").take(INTEGER).integer() not in (0, 1):
            raise DoesNotMatch("is a refusal by the authority, not a time-stamp")
        outer = Fields(outer.take(SEQUENCE), "time-stamp")
    if outer.take(OID).oid() != SIGNED_DATA:
        raise DoesNotMatch("is not signed data")
    signed = Fields(read_one_der(outer.take(0xA0).body, SEQUENCE, "signed data"), "signed data")
    signed.take(INTEGER)
    signed.take(SET)
    wrapped = Fields(signed.take(SEQUENCE), "content")
    if wrapped.take(OID).oid() != TST_INFO:
        raise DoesNotMatch("is signed data but not a time-stamp")
    info = read_one_der(wrapped.take(0xA0).body, OCTET_STRING, "content").body
    bag = signed.take_if(0xA0)
    signed.take_if(0xA1)
    signers = signed.take(SET).children()
    signed.end()
    elements = bag.children() if bag else []
    if len(signers) != 1 or len(elements) > MOST_CERTIFICATES:
        raise DoesNotMatch("does not have exactly one signer")
    certificates = [read_certificate(element.raw) for element in elements if element.tag == SEQUENCE]
    fields = Fields(read_one_der(info, SEQUENCE, "time-stamp content"), "time-stamp content")
    if fields.take(INTEGER).integer() != 1:
        raise CannotTell("is of a version that this program does not know")
    fields.take(OID)
    imprint = Fields(fields.take(SEQUENCE), "imprint")
    algorithm = read_algorithm(imprint.take(SEQUENCE))[0]
    digest = imprint.take(OCTET_STRING).body
    fields.take(INTEGER)
    return Token(info, algorithm, digest, fields.take(GENERALIZED_TIME).moment(), certificates, signers[0])


def verify_token(content: bytes, stamped: bytes, chain: Sequence[Certificate], roots: Sequence[Certificate]) -> Stamp:
    """Prove that the authority saw `stamped` at the time it states, and that its chain leads to one of `roots`."""
    token = read_token(content)
    if token.imprint_algorithm not in DIGEST_OIDS:
        raise CannotTell("uses a digest that this program does not know")
    if hashlib.new(DIGEST_OIDS[token.imprint_algorithm], stamped).digest() != token.imprint:
        raise DoesNotMatch("is a time-stamp of something else, not of this checkpoint")
    others = token.certificates + list(chain) + list(roots)
    signer = verify_signer_info(token, others)
    check_stamper(signer, token.moment)
    return Stamp(token.moment, signer.name, find_root(signer, others, roots, token.moment))


def verify_signer_info(token: Token, candidates: Sequence[Certificate]) -> Certificate:
    """RFC 5652, 5.4: the signature is over attributes that bind the content and the signer's certificate."""
    fields = Fields(token.signer_info, "signer")
    fields.take(INTEGER)
    named, digest_oid = fields.any(), read_algorithm(fields.take(SEQUENCE))[0]
    attributes, algorithm = fields.take(0xA0), fields.take(SEQUENCE)
    signature = fields.take(OCTET_STRING).body
    signer = find_signer(named, candidates)
    if digest_oid not in DIGEST_OIDS:
        raise CannotTell("is signed over a digest that this program does not know")
    values = read_attributes(attributes)
    if CONTENT_TYPE not in values or values[CONTENT_TYPE].oid() != TST_INFO:
        raise DoesNotMatch("is signed as something other than a time-stamp")
    digest = hashlib.new(DIGEST_OIDS[digest_oid], token.info).digest()
    if MESSAGE_DIGEST not in values or values[MESSAGE_DIGEST].expect(OCTET_STRING, "digest").body != digest:
        raise DoesNotMatch("has content that its signature does not cover")
    check_signing_certificate(values, signer)
    verify_signature(signer.key, algorithm, b"\x31" + attributes.raw[1:], signature, DIGEST_OIDS[digest_oid])
    return signer


def find_signer(named: Der, candidates: Sequence[Certificate]) -> Certificate:
    for certificate in candidates:
        if named.tag == SEQUENCE:
            issuer, serial = (named.children() + [named, named])[:2]
            if issuer.raw == certificate.issuer and serial.tag == INTEGER and serial.integer() == certificate.serial:
                return certificate
        elif named.tag == 0x80:
            key_id = certificate.extensions.get(SUBJECT_KEY_ID)
            if key_id is not None and read_one_der(key_id[1], OCTET_STRING, "key id").body == named.body:
                return certificate
    raise CannotTell("does not come with the certificate of its signer")


def read_attributes(attributes: Der) -> Dict[str, Der]:
    values: Dict[str, Der] = {}
    for element in attributes.children():
        fields = Fields(element, "attribute")
        name, members = fields.take(OID).oid(), fields.take(SET).children()
        if name in values or len(members) != 1:
            raise DoesNotMatch("has a signed attribute twice")
        values[name] = members[0]
    return values


def check_signing_certificate(values: Dict[str, Der], signer: Certificate) -> None:
    """RFC 5816: the signature names its certificate by digest, so that no other for the same key can stand in."""
    name = SIGNING_CERTIFICATE_V2 if SIGNING_CERTIFICATE_V2 in values else SIGNING_CERTIFICATE
    if name not in values:
        raise DoesNotMatch("does not name the certificate of its signer (ESSCertID)")
    listed = Fields(values[name], "signer's certificate").take(SEQUENCE).children()
    if not listed:
        raise DoesNotMatch("does not name the certificate of its signer (ESSCertID)")
    fields, algorithm = Fields(listed[0], "signer's certificate"), "sha1"
    if name == SIGNING_CERTIFICATE_V2:
        stated = fields.take_if(SEQUENCE)
        algorithm = DIGEST_OIDS.get(read_algorithm(stated)[0], "") if stated else "sha256"
    if not algorithm:
        raise CannotTell("names its certificate by a digest that this program does not know")
    if hashlib.new(algorithm, signer.raw).digest() != fields.take(OCTET_STRING).body:
        raise DoesNotMatch("was signed under another certificate than the one it comes with (ESSCertID)")


# --- 4. and 5. The packet: its list of exhibits, its log, the run of each item, the release -------

PACKET_FILE, LOG_FILE, CHECKPOINT_FILE, KEYS_FILE = (
    "metadata/packet.json",
    "metadata/custody-log.jsonl",
    "metadata/checkpoint",
    "metadata/verifier-keys",
)
EXPLANATIONS = (
    "not signed        read-me-first.html, verify.txt, verify.py, bag-info.txt; they explain and prove nothing"
)
TAG_FILES = re.compile(
    r"bagit\.txt|bag-info\.txt|manifest-sha(256|512)\.txt|read-me-first\.html|verify\.(txt|py)|"
    r"metadata/(packet\.json|custody-log\.jsonl|checkpoint|verifier-keys)|"
    r"metadata/proofs/[0-9]+\.tlog-proof|metadata/timestamps/[^/]+\.(tsr|pem)"
)
UUID_FORM = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Options(NamedTuple):
    """What the reader brings along from elsewhere and so trusts apart from the packet."""

    log_keys: Sequence[VerifierKey] = ()
    roots: Sequence[Certificate] = ()
    older_checkpoint: Optional[bytes] = None
    consistency: Optional[bytes] = None
    terminal: Optional[TextIO] = None


class Exhibit(NamedTuple):
    item: str
    number: str
    path: str
    sha256: str
    size: int


class Packet(NamedTuple):
    number: str
    packet_id: str
    kind: str
    origin: str
    release: int
    exhibits: List[Exhibit]


class Step(NamedTuple):
    """One entry as it stands in the run of one item."""

    number: int
    previous: Optional[str]
    entry: Entry


def verify_packet(root: Path, options: Options) -> Report:
    """Make every check on the packet in a folder. Never raises for what the folder holds; it is all in the report."""
    report = Report()
    with report.judging("the folder"):
        check_packet(Folder(root), options, report)
    return report


def check_packet(folder: Folder, options: Options, report: Report) -> None:
    """Make every check on the packet whose files `folder` reads, wherever they lie."""
    if "bagit.txt" not in folder.files and PACKET_FILE not in folder.files:
        raise DoesNotMatch("this folder is not a packet: it has neither bagit.txt nor metadata/packet.json")
    bag = check_bag(folder, report, True, Progress(options.terminal))
    check_tag_files(bag, report)
    checkpoint = check_checkpoint(folder, options, report)
    packet = None
    with report.judging(PACKET_FILE):
        packet = read_packet(folder.read(PACKET_FILE, LARGEST_JSON))
        report.title = f"packet {packet.number}"
        if checkpoint is not None and packet.origin != checkpoint.origin:
            raise DoesNotMatch("names another log than the one the checkpoint is of")
    entries, unread = check_log(folder, checkpoint, packet, report)
    if packet is not None:
        naming: Dict[str, List[Entry]] = {exhibit.item: [] for exhibit in packet.exhibits}
        for entry in entries:
            for item in entry.items():
                naming[item].append(entry)
        for exhibit in packet.exhibits:
            check_run(exhibit, naming[exhibit.item], packet.release, unread, report)
        check_release(packet, entries, folder, report)
        check_exhibits(packet, naming, checkpoint, bag, report)
    check_timestamps(folder, checkpoint, entries, options, report)
    report.notes += [
        "revocation        of certificates was not looked up: this program works offline",
        EXPLANATIONS,
    ]


def check_tag_files(bag: Bag, report: Report) -> None:
    """The release names the payload alone, so anyone could list another file beside it: only a packet's own may be."""
    for path in sorted(bag.digests):
        if not path.startswith("data/") and TAG_FILES.fullmatch(path) is None:
            report.differs(path, "is none of the files that a packet has, and nothing that was signed speaks of it")


def check_checkpoint(folder: Folder, options: Options, report: Report) -> Optional[Checkpoint]:
    listed: List[VerifierKey] = []
    with report.judging(KEYS_FILE):
        listed = read_verifier_keys(folder.read(KEYS_FILE, LARGEST_NOTE))
    with report.judging(CHECKPOINT_FILE):
        return judge_checkpoint(folder.read(CHECKPOINT_FILE, LARGEST_NOTE), listed, options, report)
    return None


def judge_checkpoint(content: bytes, listed: List[VerifierKey], options: Options, report: Report) -> Checkpoint:
    """Check the signatures, the reader's own key and older checkpoint; note which key has to be compared."""
    given = list(options.log_keys)
    checkpoint = open_checkpoint(content, given + [key for key in listed if key not in given])
    signed = checkpoint.ed25519_keys + checkpoint.ml_dsa_keys
    if any(key not in signed for key in given):
        raise DoesNotMatch("is not signed by the log key that you gave: this is another log, or a forged one")
    kinds = "Ed25519 and ML-DSA-44" if checkpoint.ml_dsa_keys else "Ed25519 alone"
    report.matches(
        CHECKPOINT_FILE, f"signed by the log {checkpoint.origin} with {kinds}, at {checkpoint.size:,} entries"
    )
    report.facts["log"] = {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "keys": [{"key": key.text, "fingerprint": key.fingerprint, "given": key in given} for key in signed],
    }
    for key in signed:
        if key in given:
            report.notes.append(f"log key           the one you gave: {key.name}+{key.key_id.hex()}")
        else:
            report.notes.append(f"log key           {key.text if key.kind == ED25519_LINE else 'for ML-DSA-44'}")
            report.notes.append(f"  fingerprint     {key.fingerprint}")
    if not given:
        report.notes.append(
            "  COMPARE         these with what the archive published: whoever made this also put its keys in"
        )
    if options.older_checkpoint is not None:
        with report.judging("your older checkpoint"):
            check_older(checkpoint, signed, options, report)
    return checkpoint


def check_older(checkpoint: Checkpoint, keys: List[VerifierKey], options: Options, report: Report) -> None:
    older = open_checkpoint(options.older_checkpoint or b"", keys)
    if older.origin != checkpoint.origin:
        raise DoesNotMatch("is of another log")
    if older.size != checkpoint.size and options.consistency is None:
        raise CannotTell(
            "is of another size; ask the archive for the consistency proof (testigo checkpoint prove) and give it with "
            "--consistency"
        )
    proof = read_siblings((options.consistency or b"").decode("ascii", "replace").split())
    if older.size == 0:
        raise CannotTell("is of an empty log and so proves nothing")
    first, second = sorted((older, checkpoint), key=lambda state: state.size)
    verify_consistency(first.size, first.root, second.size, second.root, proof)
    report.matches(
        "your older checkpoint", f"its {older.size:,} entries and those of this log agree; none was changed in between"
    )


def read_packet(content: bytes) -> Packet:
    fields = read_canonical_json(content)
    if member(fields, "v", int) != 1:
        raise CannotTell("is of a version that this program does not know")
    if set(fields) != {"v", "packet", "packet_id", "type", "origin", "release", "items"}:
        raise DoesNotMatch("has other members than a packet has")
    exhibits = [read_exhibit(record) for record in member(fields, "items", list)]
    for values in zip(*[(exhibit.item, exhibit.number, exhibit.path) for exhibit in exhibits]):
        if len(set(values)) != len(values):
            raise DoesNotMatch("lists an item, a number or a file twice")
    if not exhibits:
        raise DoesNotMatch("lists no exhibit")
    texts = [member(fields, name, str) for name in ("packet", "packet_id", "type", "origin")]
    return Packet(texts[0], texts[1], texts[2], texts[3], member(fields, "release", int), exhibits)


def read_exhibit(record: Any) -> Exhibit:
    item, number, path, sha256 = (member(record, name, str) for name in ("item", "number", "path", "sha256"))
    exhibit = Exhibit(item, number, path, sha256, member(record, "size", int))
    if (
        set(record) != set(Exhibit._fields)
        or UUID_FORM.fullmatch(item) is None
        or re.fullmatch("[0-9a-f]{64}", sha256) is None
    ):
        raise DoesNotMatch("lists an exhibit in another form")
    name = re.fullmatch(r"data/exhibits/([A-Za-z0-9-]+)(\.[A-Za-z0-9]+)?", path)
    if name is None or name[1] != number:
        raise DoesNotMatch("lists an exhibit whose file does not bear its number")
    return exhibit


def check_log(
    folder: Folder, checkpoint: Optional[Checkpoint], packet: Optional[Packet], report: Report
) -> Tuple[List[Entry], bool]:
    """Check every line; a wrong one is named. Returns the good entries, and whether a line was bad."""
    entries: List[Entry] = []
    problems = 0
    items = frozenset(exhibit.item for exhibit in packet.exhibits) if packet is not None else None
    with report.judging(LOG_FILE), folder.open(LOG_FILE) as log:
        for number, line in enumerate(iter(lambda: log.readline(LARGEST_JSON), b""), start=1):
            before = len(report.findings)
            with report.judging(LOG_FILE):
                entries.append(check_line(line, folder, checkpoint, items, entries))
            if len(report.findings) > before:
                problems += 1
                finding = report.findings[-1]
                report.findings[-1] = finding._replace(words=f"line {number} {finding.words}")
            if problems >= 100:
                raise DoesNotMatch("has more than 100 lines that do not match; the rest was not read")
    proofs = {f"metadata/proofs/{entry.seq}.tlog-proof" for entry in entries}
    for path in sorted(folder.files):
        if path.startswith("metadata/proofs/") and path not in proofs and not problems:
            report.differs(path, "is a proof for an entry that is not in the log of this packet: a line was left out")
    if entries and not problems and checkpoint is not None:
        closed = sum(entry.closed for entry in entries)
        report.matches(
            LOG_FILE,
            f"{len(entries):,} entries, each at its place under the checkpoint, each opened value as committed",
        )
        report.notes.append(
            f"closed values     {closed:,} in these entries; the log commits to them, but they are not for this reader"
        )
    return entries, problems > 0


def check_line(
    line: bytes, folder: Folder, checkpoint: Optional[Checkpoint], items: Optional[FrozenSet[str]], before: List[Entry]
) -> Entry:
    if not line.endswith(b"\n"):
        raise DoesNotMatch("is cut short, or longer than any line may be")
    record = read_canonical_json(line[:-1])
    leaf, disclosures = member(record, "leaf", str), member(record, "disclosures", list)
    if set(record) != {"leaf", "disclosures"}:
        raise DoesNotMatch("has other members than leaf and disclosures")
    entry = read_entry(leaf, disclosures)
    if before and entry.seq <= before[-1].seq:
        raise DoesNotMatch(
            f"holds entry {entry.seq} of the log after entry {before[-1].seq}: the lines are out of order"
        )
    proof_file = f"metadata/proofs/{entry.seq}.tlog-proof"
    if proof_file not in folder.files:
        raise DoesNotMatch(f"holds entry {entry.seq} of the log without a proof of its place ({proof_file} is missing)")
    index, siblings, proved = read_proof(folder.read(proof_file, LARGEST_NOTE))
    if index != entry.seq:
        raise DoesNotMatch(f"states entry {entry.seq}, but its proof is for entry {index}")
    if checkpoint is not None:
        if proved != checkpoint.content:
            raise DoesNotMatch(f"has a proof under another checkpoint than that of this packet ({proof_file})")
        verify_inclusion(entry.digest, index, checkpoint.size, siblings, checkpoint.root)
    if items is not None and entry.items() - items:
        raise DoesNotMatch("opens a value of an item that is not in this packet")
    if items is not None and not entry.values("run"):
        raise DoesNotMatch("names none of the items of this packet")
    return entry


def check_run(exhibit: Exhibit, entries: List[Entry], release: int, unread: bool, report: Report) -> None:
    """Count 1, 2, 3 ... to the release. What is not there is named, even when whoever built the packet left it out."""
    subject, steps = exhibit.number, []
    with report.judging(subject):
        for entry in entries:
            links = entry.values("run", exhibit.item)
            if len(links) > 1:
                raise DoesNotMatch(f"entry {entry.seq} of the log numbers it twice")
            for link in links:
                previous = link.get("previous")
                if set(link) != {"item", "number", "previous"} or not (previous is None or isinstance(previous, str)):
                    raise DoesNotMatch(f"entry {entry.seq} of the log numbers it in another form")
                steps.append(Step(member(link, "number", int), previous, entry))
        found, reached, last = len(report.findings), 0, None  # type: Tuple[int, int, Optional[Step]]
        hint = " (a line of the log could not be read)" if unread else ""
        for step in sorted(steps, key=lambda step: (step.number, step.entry.seq)):
            if step.number > reached + 1:
                missing = (
                    f"entry number {reached + 1}"
                    if step.number == reached + 2
                    else f"entries number {reached + 1} to {step.number - 1}"
                )
                report.differs(
                    subject, f"{missing} of its log {'is' if step.number == reached + 2 else 'are'} missing{hint}"
                )
            elif step.number <= reached:
                report.differs(subject, f"entry number {step.number} of its log is there twice")
            elif step.previous != (last.entry.digest.hex() if last is not None else None):
                report.differs(subject, f"entry number {step.number} of its log does not follow the entry before it")
            elif last is not None and step.entry.seq <= last.entry.seq:
                report.differs(subject, f"entry number {step.number} of its log stands before the one it follows")
            reached, last = step.number, step
        if last is None:
            raise DoesNotMatch(f"no entry of its log is here{hint}")
        if last.entry.seq != release:
            raise DoesNotMatch(
                f"its log does not end with this packet's release: entries after number {reached} are missing{hint}"
            )
        if len(report.findings) == found:
            numbers = f"its log has {reached} entries, numbered 1 to {reached}; none is missing"
            report.matches(
                subject, f"{numbers}; the last one releases it" if reached > 1 else "its log has one entry: its release"
            )


def check_release(packet: Packet, entries: List[Entry], folder: Folder, report: Report) -> None:
    subject = "release"
    with report.judging(subject):
        found = [entry for entry in entries if entry.seq == packet.release]
        if not found:
            raise DoesNotMatch(f"entry {packet.release} of the log, which releases this packet, is missing")
        if entries[-1] is not found[0]:
            raise DoesNotMatch("the log of this packet goes on after the entry that releases it")
        entry, stated = found[0], found[0].values("packet")
        if (entry.event, entry.outcome) != ("dissemination", "success"):
            raise DoesNotMatch(
                f"entry {entry.seq} of the log does not release anything; it records: {entry.event}, {entry.outcome}"
            )
        if len(stated) != 1:
            raise DoesNotMatch(f"entry {entry.seq} of the log does not open which packet it releases")
        for name, expected in (("number", packet.number), ("id", packet.packet_id), ("type", packet.kind)):
            if member(stated[0], name, str) != expected:
                raise DoesNotMatch(
                    f"entry {entry.seq} of the log releases another packet than this one (its {name} differs)"
                )
        digest = folder.digest("manifest-sha512.txt", ["sha512"])[1]["sha512"]
        if member(stated[0], "payload_manifest_sha512", str) != digest:
            raise DoesNotMatch("the log released another payload: manifest-sha512.txt is not the one it names")
        when = f" on {entry.recorded_time}" if entry.recorded_time else ""
        recipient, basis = (member(stated[0], name, str) for name in ("recipient", "legal_basis"))
        report.notes.append(f"released to       {recipient}")
        report.notes.append(f"on the basis of   {basis}")
        report.notes.append("  COMPARE         as the log says; the pages beside it are not signed")
        report.facts["release"] = {"entry": entry.seq, "recipient": recipient, "legal_basis": basis}
        report.matches(
            subject,
            f"entry {entry.seq} of the log releases this payload as {packet.number}{when} (by the archive's clock)",
        )


def check_exhibits(
    packet: Packet, naming: Dict[str, List[Entry]], checkpoint: Optional[Checkpoint], bag: Bag, report: Report
) -> None:
    for exhibit in packet.exhibits:
        with report.judging(exhibit.path):
            if exhibit.path not in bag.digests:
                raise DoesNotMatch(f"is missing or not listed: there is no exhibit {exhibit.number}")
            if (bag.digests[exhibit.path].get("sha256"), bag.sizes[exhibit.path]) != (exhibit.sha256, exhibit.size):
                raise DoesNotMatch(f"is not the file that metadata/packet.json states for {exhibit.number}")
            if checkpoint is None:
                raise CannotTell("could not be compared with the log, whose checkpoint could not be checked")
            check_fixity(exhibit, naming[exhibit.item], report)
    listed = {exhibit.path for exhibit in packet.exhibits}
    for path in sorted(bag.digests):
        if path.startswith("data/exhibits/") and path not in listed:
            report.differs(path, "stands among the exhibits, but is none of those that metadata/packet.json lists")


def check_fixity(exhibit: Exhibit, entries: List[Entry], report: Report) -> None:
    """The exhibit is the file whose SHA-256 and size were recorded when it was received."""
    received = [
        (fixity, entry.recorded_time)
        for entry in entries
        if entry.event == "ingestion"
        for fixity in entry.values("fixity", exhibit.item)
        if fixity.get("stage") == "receipt"
    ]
    if len(received) != 1:
        raise DoesNotMatch(f"has no single record in the log of what was received as {exhibit.number}")
    fixity, when = received[0]
    if (member(fixity, "sha256", str), member(fixity, "size", int)) != (exhibit.sha256, exhibit.size):
        raise DoesNotMatch(
            f"is not the file that was received as {exhibit.number}: the log recorded another SHA-256 or size"
        )
    cleaned = [handed_in(entry, exhibit.item, exhibit.sha256) for entry in entries if entry.event == "ingestion"]
    words = "as cleaned when it was received" if any(cleaned) else "as received"
    report.matches(
        exhibit.path, f"{exhibit.size:,} bytes, {words} {when or 'at a time that was not opened'}{''.join(cleaned)}"
    )
    report.facts.setdefault("exhibits", []).append({**exhibit._asdict(), "received": when})


def handed_in(entry: Entry, item: str, sha256: str) -> str:
    """Say what was handed in, where the archive kept only a copy that it had cleaned of metadata; else nothing."""
    for value in entry.values("intake", item):
        if member(member(value, "stored", dict), "sha256", str) != sha256:
            raise DoesNotMatch("is another copy than the one that the log says was cleaned at intake")
        digest = member(member(value, "handed_in", dict), "sha256", str)
        return f"; metadata was taken out at intake, and what was handed in had SHA-256 {digest}"
    return ""


def check_timestamps(
    folder: Folder, checkpoint: Optional[Checkpoint], entries: List[Entry], options: Options, report: Report
) -> None:
    tokens = []
    for path in sorted(folder.files):
        if path.startswith("metadata/timestamps/") and path.endswith(".tsr"):
            with report.judging(path):
                chain_file = path[: -len(".tsr")] + ".pem"
                chain = folder.read(chain_file, LARGEST_TOKEN) if chain_file in folder.files else b""
                tokens.append((path, folder.read(path, LARGEST_TOKEN), chain))
    judge_timestamps(tokens, checkpoint, [entry.recorded_time for entry in entries], options, report)


def judge_timestamps(
    tokens: List[Tuple[str, bytes, bytes]],
    checkpoint: Optional[Checkpoint],
    recorded: List[str],
    options: Options,
    report: Report,
) -> None:
    """Check each token. A token of a root that the reader did not name counts for nothing unless another one does."""
    if not tokens:
        report.unclear(
            "time-stamp", "pending: no authority outside the archive says yet when this log existed", about_time=True
        )
        return
    if checkpoint is None:
        report.unclear("time-stamp", "cannot be judged: the checkpoint it should be of could not be checked")
        return
    strangers, trusted = [], 0
    for subject, content, pem in tokens:
        try:
            chain = read_pem(pem) if pem else []
            own_roots = [certificate for certificate in chain if is_self_signed(certificate)]
            stamp, stranger = verify_under(content, checkpoint.content, chain, own_roots, options.roots)
        except DoesNotMatch as wrong:
            report.differs(subject, f"{wrong}")
        except CannotTell as unknown:
            report.unclear(subject, f"{unknown}", about_time=True)
        except ValueError as refused:
            report.unclear(subject, f"cannot be checked by this computer's Python ({refused})", about_time=True)
        except Exception as surprise:  # noqa: BLE001 - a token made to confuse must not hide what other checks found
            words = f"holds something that this program was not written for ({type(surprise).__name__})"
            report.unclear(subject, words, about_time=True)
        else:
            trusted += not stranger
            if stranger:
                strangers.append((subject, stamp))
            else:
                record_stamp(subject, stamp, recorded, options, report)
    for subject, stamp in strangers:
        words = f'leads to the root "{stamp.root.name}" (SHA-256 {stamp.root.fingerprint}), not to the one you gave'
        if trusted:
            report.unclear(subject, words, about_time=True)
        else:
            report.differs(subject, words)


def verify_under(
    content: bytes, stamped: bytes, chain: List[Certificate], own_roots: List[Certificate], given: Sequence[Certificate]
) -> Tuple[Stamp, bool]:
    """Verify under the reader's roots, or else under the root beside the token; True means only the latter worked."""
    if given:
        try:
            return verify_token(content, stamped, chain, given), False
        except (DoesNotMatch, CannotTell):
            if not own_roots:
                raise
    if not own_roots:
        raise CannotTell("comes without the root certificate of its authority; give it with --timestamp-root")
    return verify_token(content, stamped, chain, own_roots), bool(given)


def record_stamp(subject: str, stamp: Stamp, recorded: List[str], options: Options, report: Report) -> None:
    moment = stamp.moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    report.matches(subject, f'"{stamp.authority}" saw this checkpoint on {moment}: the log existed by then')
    report.facts.setdefault("timestamps", []).append(
        {
            "file": subject,
            "time": stamp.moment.isoformat(),
            "authority": stamp.authority,
            "root_sha256": stamp.root.fingerprint,
        }
    )
    whose = "the one you gave" if options.roots else "it came along: whether you trust it is your decision"
    report.notes.append(f'time-stamp root   "{stamp.root.name}"; {whose}')
    report.notes.append(f"  fingerprint     {stamp.root.fingerprint}")
    if any(when > stamp.moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for when in recorded):
        report.notes.append("  CLOCKS          an entry bears a later time than this: the archive's clock was ahead")


# --- A receipt, checked alone ---------------------------------------------------------------------


def verify_receipt(content: bytes, options: Options) -> Report:
    """Check a receipt (JSON) that the archive gave to someone who brought evidence."""
    report = Report()
    report.title, report.claim = "this receipt", "{} states what the archive's log recorded"
    with report.judging("receipt"):
        try:
            receipt = read_json(content.decode("utf-8"))
        except UnicodeDecodeError as broken:
            raise DoesNotMatch("is not UTF-8 text") from broken
        if canonical_json(receipt) != content:
            raise DoesNotMatch("is not written as the archive writes it")
        version = member(receipt, "v", int)
        if version not in (1, 2, 3):
            raise CannotTell("is of a version that this program does not know")
        expected = {"v", "receipt", "received_time", "items", "checkpoint", "verifier_keys", "timestamps"}
        if set(receipt) != expected.union(*[{"use"}, {"signed"}][: version - 1]):
            raise DoesNotMatch("has other members than a receipt has")
        report.title = f"receipt {member(receipt, 'receipt', str)}"
        keys = read_verifier_keys("\n".join(text_list(receipt, "verifier_keys")).encode("utf-8", "replace"))
        note = member(receipt, "checkpoint", str).encode("utf-8", "replace")
        checkpoint = judge_checkpoint(note, keys, options, report)
        times = []
        for place, item in enumerate(member(receipt, "items", list), start=1):
            with report.judging(f"item {place}"):
                times.append(check_receipt_item(item, checkpoint, report))
        if not receipt["items"]:
            raise DoesNotMatch("lists no item")
        tokens = [
            (
                f"time-stamp {member(stamp, 'authority', str)}",
                from_base64(member(stamp, "token", str), "a time-stamp"),
                member(stamp, "chain", str).encode("utf-8", "replace"),
            )
            for stamp in member(receipt, "timestamps", list)
        ]
        judge_timestamps(tokens, checkpoint, times, options, report)
        with report.judging("the receipt as a whole"):
            judge_receipt_head(receipt, version, checkpoint, report)
        report.notes.append("your file         compare its SHA-256 with the one above")
    return report


def judge_receipt_head(receipt: Any, version: int, checkpoint: Checkpoint, report: Report) -> None:
    """The keys that signed the log's state signed the receipt too: its number, its time, the use, the list of items."""
    if version < 3:
        raise CannotTell(
            f"is of an older form: its number, its time ({member(receipt, 'received_time', str)}), the use, the items' "
            "numbers, and that none is missing are not signed and only this file's word"
        )
    note = read_note(member(receipt, "signed", str).encode("utf-8", "replace"))
    unsigned = canonical_json({name: value for name, value in receipt.items() if name != "signed"})
    if note.text != f"testigo-receipt/3\nsha256 {hashlib.sha256(unsigned).hexdigest()}\n".encode():
        raise DoesNotMatch("is not what the archive signed: its number, time, use or list of items was altered")
    keys = read_verifier_keys("\n".join(text_list(receipt, "verifier_keys")).encode("utf-8", "replace"))
    lines = [(name, key_id) for name, key_id, _ in note.signatures]
    signed = {(key.name, key.key) for key in checkpoint.ed25519_keys + checkpoint.ml_dsa_keys}
    if not signed <= {(key.name, key.key) for key in keys} or lines != [(key.name, key.key_id) for key in keys]:
        raise DoesNotMatch("is not signed by each key that signed the log's state, and by no other")
    for key, (_, _, signature) in zip(keys, note.signatures):
        verify = verify_ed25519 if key.kind == ED25519_LINE else verify_ml_dsa_44
        verify(key.key, note.text, signature)
    report.matches("the receipt as a whole", f"as the log's key signed it; received {receipt['received_time']}")


def text_list(record: Any, name: str) -> List[str]:
    texts = member(record, name, list)
    if not all(isinstance(text, str) for text in texts):
        raise DoesNotMatch(f"has a member {name} of the wrong kind")
    return list(texts)


def check_receipt_item(item: Any, checkpoint: Checkpoint, report: Report) -> str:
    """The entry opens what was received and when, and nothing else; it stands in the log under the checkpoint."""
    if not isinstance(item, dict) or set(item) != {"number", "leaf", "index", "disclosures", "proof", "sha256", "size"}:
        raise DoesNotMatch("has other members than an item of a receipt has")
    entry = read_entry(member(item, "leaf", str), text_list(item, "disclosures"))
    if entry.seq != member(item, "index", int):
        raise DoesNotMatch("states another place in the log than its entry")
    verify_inclusion(entry.digest, entry.seq, checkpoint.size, read_siblings(text_list(item, "proof")), checkpoint.root)
    names = sorted(opened.name for opened in entry.opened)
    if names not in (["fixity", "recorded_time", "run"], ["fixity", "intake", "recorded_time", "run"]):
        raise DoesNotMatch("does not open what was received, its place and its time, and nothing else")
    if entry.event not in ("ingestion", "duplicate receipt"):
        raise DoesNotMatch(f"is an entry of another kind ({entry.event})")
    fixity, run = entry.values("fixity")[0], entry.values("run")[0]
    if member(fixity, "stage", str) != "receipt" or member(fixity, "item", str) != member(run, "item", str):
        raise DoesNotMatch("does not open what was received")
    if (member(fixity, "sha256", str), member(fixity, "size", int)) != (
        member(item, "sha256", str),
        member(item, "size", int),
    ):
        raise DoesNotMatch("states another SHA-256 or size than its entry in the log")
    when = entry.recorded_time
    report.matches(
        member(item, "number", str),
        f"{item['size']:,} bytes, entry {entry.seq} of the log, {when}; SHA-256 {item['sha256']}"
        + handed_in(entry, member(run, "item", str), item["sha256"]),
    )
    return when


# --- Telling it -----------------------------------------------------------------------------------

MOST_SHOWN = 40


def lines_of(report: Report, everything: bool) -> Iterator[str]:
    """What a person reads: what is wrong first, then what matches, then what to compare; the verdict last."""
    subjects = report.by_subject()
    bad = {subject: found for subject, found in subjects.items() if fold(found) == DIFFERS}
    bad.update((subject, found) for subject, found in subjects.items() if fold(found) == UNCLEAR)
    good = {subject: found[-1:] for subject, found in subjects.items() if fold(found) == MATCHES}
    main = {subject: found for subject, found in good.items() if everything or not found[0].minor}
    most = len(subjects) if everything else MOST_SHOWN
    shown = [*list(bad.items())[:most], *list(main.items())[:most]]
    width = min(60, max([len(visible(subject)) for subject, _ in shown] + [0]))
    for subject, found in shown:
        verdict = fold(found)
        words = [finding.words for finding in found if finding.verdict == verdict]
        yield f"{verdict:<14}  {visible(subject):<{width}}  {visible(words[0])}"
        for more in words[1:] if everything else words[1:6]:
            yield f"{'':<14}  {'':<{width}}  {visible(more)}"
    if len(bad) + len(main) > len(shown):
        yield f"... and {len(bad) + len(main) - len(shown):,} more; --all shows them"
    if len(good) > len(main):
        yield f"{MATCHES:<14}  {len(good) - len(main):,} other files, each with the digests that the packet lists"
    yield ""
    for note in report.notes:
        yield visible(note)
    yield ""
    yield visible(report.sentence())


def as_json(report: Report) -> str:
    return json.dumps(
        {
            "v": 1,
            "verdict": report.verdict,
            "exit": report.exit_code,
            "sentence": report.sentence(),
            "subjects": {subject: fold(findings) for subject, findings in report.by_subject().items()},
            "findings": [{"verdict": f.verdict, "subject": f.subject, "words": f.words} for f in report.findings],
            "notes": report.notes,
            **report.facts,
        },
        indent=1,
    )


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="verify.py", description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="the packet; if not given, this folder or this program's own"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON, for programs")
    parser.add_argument("--all", action="store_true", help="print a line for every file")
    parser.add_argument(
        "--log-key",
        action="append",
        default=[],
        metavar="KEY",
        help="insist on this published log key (name+id+base64)",
    )
    parser.add_argument(
        "--timestamp-root",
        action="append",
        default=[],
        metavar="PEM",
        help="trust only this root certificate for time-stamps; may be given again",
    )
    parser.add_argument("--receipt", metavar="FILE", help="check this receipt instead of a packet")
    parser.add_argument(
        "--older-checkpoint", metavar="FILE", help="a checkpoint of the same log that you kept from earlier"
    )
    parser.add_argument("--consistency", metavar="FILE", help="the proof between the two: base64 digests, one a line")
    return parser.parse_args(arguments)


class WrongUse(Exception):
    """What was given on the command line cannot be used."""


def given_file(path: Optional[str], what: str, largest: int = LARGEST_JSON) -> Optional[bytes]:
    if path is None:
        return None
    try:
        with Path(path).open("rb") as source:
            content = source.read(largest + 1)
    except OSError as trouble:
        raise WrongUse(f"the {what} cannot be read: {trouble.strerror}") from trouble
    if len(content) > largest:
        raise WrongUse(f"the {what} is too large")
    return content


def read_options(arguments: argparse.Namespace) -> Options:
    try:
        keys = [read_verifier_key(text.strip()) for text in arguments.log_key]
    except (DoesNotMatch, CannotTell) as broken:
        raise WrongUse(f"--log-key {broken}") from broken
    roots: List[Certificate] = []
    for path in arguments.timestamp_root:
        try:
            roots += read_pem(given_file(path, "root certificate", LARGEST_TOKEN) or b"")
        except (DoesNotMatch, CannotTell) as broken:
            raise WrongUse(f"--timestamp-root {broken}") from broken
    older = given_file(arguments.older_checkpoint, "older checkpoint", LARGEST_NOTE)
    proof = given_file(arguments.consistency, "consistency proof", LARGEST_NOTE)
    terminal = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
    return Options(keys, roots, older, proof, terminal)


def verify(arguments: argparse.Namespace) -> Report:
    options = read_options(arguments)
    receipt = given_file(arguments.receipt, "receipt")
    if receipt is not None:
        return verify_receipt(receipt, options)
    folder = Path(arguments.folder or chosen_folder())
    if not folder.is_dir():
        raise WrongUse("there is no such folder")
    return verify_packet(folder, options)


def chosen_folder() -> Path:
    """Where no folder was named: this one, or the one that this program lies in if only that looks like a packet."""
    here, home = Path(), Path(__file__).resolve().parent
    marks = ("bagit.txt", "metadata/packet.json")
    if not any((here / mark).exists() for mark in marks) and any((home / mark).exists() for mark in marks):
        return home
    return here


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one check and print it. Returns the exit code: 0 matches, 4 does not match, 3 cannot tell, 2 wrong use."""
    arguments = read_arguments(sys.argv[1:] if argv is None else argv)
    try:
        report = verify(arguments)
    except WrongUse as wrong:
        print(f"verify.py: {visible(str(wrong))}; try --help", file=sys.stderr)
        return 2
    except Exception as surprise:  # noqa: BLE001 - the door: a packet made to confuse this program must not look like a pass
        report = Report()
        report.unclear(
            "the folder", f"this program met something that it was not written for ({type(surprise).__name__})"
        )
    text = as_json(report) if arguments.json else "\n".join(lines_of(report, arguments.all))
    if sys.stdout is None:
        return unwritten(report, "it is closed")
    try:
        print(text.encode("ascii", "backslashreplace").decode() if needs_ascii() else text, flush=True)
    except OSError as trouble:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(trouble, BrokenPipeError):  # there, whoever read the output has seen enough
            return unwritten(report, str(trouble.strerror))
    return report.exit_code


def unwritten(report: Report, why: str) -> int:
    """Say that nobody could read the result: a pass that was not read is none."""
    if sys.stderr is not None:
        print(f"verify.py: the result cannot be written to where it was sent ({why})", file=sys.stderr)
    return report.exit_code or 3


def needs_ascii() -> bool:
    """Whether the terminal could fail to write a name from the packet."""
    return (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"


if __name__ == "__main__":
    if sys.version_info < (3, 8):  # noqa: UP036 - it travels to machines of all ages
        sys.exit("verify.py needs Python 3.8 or newer")
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
