"""Content credentials (C2PA) of a file, checked offline in confinement: what was signed, whether it is unchanged.

The only module that knows the C2PA library, whose version is pinned. No list of trusted signers is kept, so a signature
that holds says that the file is as its signer left it, and not who that was.
"""

import importlib.util
import io
import json
import os
import socket
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from archive.errors import ConfigError, InputError, UnavailableError
from archive.types import Finding
from media.confinement import Confinement, Limits, end_process
from media.conversation import Bounds, converse
from media.options import MIB, MediaSettings
from media.ranges import RangeSource, opening, sealed_memory_file
from media.sentences import Message, message
from media.tags import Tag

TOOL = "c2pa-python"
_INSIDE = Path(__file__).with_name("credentials_inside.py")
_PROCESSES = 16
_THE_FILE = 1  # The only one that such a process is given.
_SYSTEM_PYTHONS = (Path("/usr/bin/python3"), Path("/usr/local/bin/python3"))
_MEMORY_MIB = 1024
_BOX = b"jumb"  # Every manifest lies in boxes of this type (ISO/IEC 19566-5).
_NAMED = {
    "assertion.dataHash.mismatch": ("credentials/changed", "its picture or sound"),
    "assertion.bmffHash.mismatch": ("credentials/changed", "its picture or sound"),
    "assertion.boxesHash.mismatch": ("credentials/changed", "its picture or sound"),
    "assertion.hashedURI.mismatch": ("credentials/changed", "a statement in the credentials"),
    "ingredient.hashedURI.mismatch": ("credentials/changed", "the record of what it was made from"),
    "claimSignature.mismatch": ("credentials/bad-signature", ""),
    "signingCredential.expired": ("credentials/expired", ""),
    "claimSignature.outsideValidity": ("credentials/expired", ""),
}
# Of a signer that is not on a list there is no list to be on: it is told as such, and is no failure.
_NO_FAILURE = frozenset({"signingCredential.untrusted", "timeStamp.untrusted"})
_UNTOUCHED = frozenset({"c2pa.created", "c2pa.published"})
_CAMERA_SOURCES = frozenset({"digitalCapture", "computationalCapture"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialClaim:
    """What a proof that came with a file says, and whether it holds. `kind` is `c2pa` or `proofmode`.

    `actions` are what it says was done, each with the kind of source where one is named; `says` are a proof's own
    fields, of time, place and device. Everything but `finding` and `reasons` is the signer's word.
    """

    kind: str
    finding: Finding
    reasons: tuple[Message, ...]
    tool: str
    version: str
    signer: str = ""
    signed_time: str = ""
    generator: str = ""
    actions: tuple[tuple[str, str], ...] = ()
    codes: tuple[str, ...] = ()
    says: tuple[tuple[str, str], ...] = ()

    def value(self) -> dict[str, object]:
        """What a record says of it."""
        return {
            "kind": self.kind,
            "finding": self.finding,
            "reasons": [reason.value() for reason in self.reasons],
            "tool": self.tool,
            "version": self.version,
            "signer": self.signer,
            "signed_time": self.signed_time,
            "generator": self.generator,
            "actions": [{"action": action, "source_type": source} for action, source in self.actions],
            "codes": list(self.codes),
            "says": [{"field": field, "value": value} for field, value in self.says],
        }

    @property
    def edits(self) -> tuple[str, ...]:
        """What it says was done to the file beyond making it."""
        return tuple(dict.fromkeys(action for action, _ in self.actions if action not in _UNTOUCHED))

    @property
    def generated(self) -> bool:
        return any("trainedAlgorithmic" in source for _, source in self.actions)

    @property
    def by_camera(self) -> bool:
        return any(action == "c2pa.created" and source in _CAMERA_SOURCES for action, source in self.actions)


def may_hold_credentials(head: bytes, tags: Sequence[Tag]) -> bool:
    """Tell cheaply whether it is worth starting the library: its boxes were seen, by the tool or in the first bytes."""
    return _BOX in head or any(tag.family == "JUMBF" for tag in tags)


class CredentialReader:
    """Checks one file at a time; each check is a new process, and most files need none.

    The library goes in by sealed memory files, so that nothing of the checkout need be seen inside; it is read from the
    disk at the first file that has credentials. Close it to give the memory back.
    """

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._confinement = confinement
        self._settings = settings
        self._limits = Limits(memory_octets=_MEMORY_MIB * MIB, cpu_seconds=settings.wall_seconds, processes=_PROCESSES)
        self._library: tuple[int, int] | None = None
        self._loading = Lock()

    def close(self) -> None:
        """Give back the memory that holds the library."""
        with self._loading:
            for descriptor in self._library or ():
                os.close(descriptor)
            self._library = None

    def read(self, source: RangeSource, mime_type: str, *, deadline: float) -> CredentialClaim | None:
        """Check the credentials of a file; None where it has none. Raises: what `source` raises."""
        bounds = Bounds(deadline=deadline, output_octets=self._settings.output_mib * MIB)
        try:
            return judge(self._ask(source, mime_type, bounds))
        except (ConfigError, InputError, UnavailableError) as error:
            return _cannot_tell(message("credentials/not-read", reason=error.message), "")

    def _ask(self, source: RangeSource, mime_type: str, bounds: Bounds) -> bytes:
        modules, library = self._open_library()
        python = find_system_python()
        ours, theirs = socket.socketpair()
        script = sealed_memory_file(_INSIDE.read_bytes())
        seen = [f"/proc/self/fd/{each}" for each in (script, modules)]
        with ours:
            try:
                process = self._confinement.start(
                    [python, "-I", "-S", "-B", *seen, str(theirs.fileno()), mime_type],
                    limits=self._limits,
                    inherit=(theirs.fileno(), script, modules, library),
                    environment={"C2PA_LIBRARY_NAME": f"/proc/self/fd/{library}"},
                )
            finally:
                theirs.close()
                os.close(script)
            try:
                told = opening(_THE_FILE, source)
                return converse(
                    process, source=source, ranges=ours, bounds=bounds, number=_THE_FILE, opening=told
                ).output
            finally:
                end_process(process)

    def _open_library(self) -> tuple[int, int]:
        with self._loading:
            if self._library is None:
                found = importlib.util.find_spec("c2pa")
                binaries = [] if found is None or found.origin is None else _binaries(Path(found.origin).parent)
                if not binaries:
                    raise ConfigError(
                        "media/library-missing",
                        "The library that checks content credentials is not installed. The originals are kept. Run "
                        "scripts/setup.",
                    )
                package = binaries[0].parent.parent
                self._library = sealed_memory_file(_zipped(package)), sealed_memory_file(binaries[0].read_bytes())
            return self._library


def find_system_python() -> str:
    """Give a Python that a confined process can run: one of the system's, which the sandbox shows.

    Raises: ConfigError `media/tool-missing`.
    """
    running = Path(sys.executable).resolve()
    for candidate in (running, *_SYSTEM_PYTHONS):
        if candidate.is_relative_to("/usr") and candidate.is_file():
            return str(candidate)
    raise ConfigError(
        "media/tool-missing",
        "The program python3 is not installed below /usr, where confined tools are run from. On Debian: apt install "
        "python3.",
        evidence={"tool": "python3"},
    )


def _binaries(package: Path) -> list[Path]:
    return sorted((package / "libs").glob("libc2pa_c.so"))


def _zipped(package: Path) -> bytes:
    """Put the modules of a package into a ZIP file, from which Python can import them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as bundle:
        for module in sorted(package.glob("*.py")):
            bundle.write(module, f"{package.name}/{module.name}")
    return packed.getvalue()


def judge(answer: bytes) -> CredentialClaim | None:
    """Read what came out of the sandbox; None where the file has no credentials.

    Raises: InputError `media/credentials-unreadable`.
    """
    told = _parsed(answer)
    version = _text(told.get("version"))
    if told.get("absent") is True:
        return None
    if told.get("error"):
        return _cannot_tell(message("credentials/not-read", reason=_text(told.get("error"))), version)
    failures = [_text(each.get("code")) for each in _list(told.get("failures"))]
    real = tuple(dict.fromkeys(code for code in failures if code and code not in _NO_FAILURE))
    state = told.get("state")
    signer, time = _signer(told)
    holds = state in ("Valid", "Trusted") and not real
    reasons = list(_reasons(real)) if not holds else [message("credentials/valid")]
    if holds:
        named = message("credentials/signer-unknown", signer=signer) if signer else None
        reasons.append(named or message("credentials/signer-named-not"))
        if time:
            reasons.append(message("credentials/signed-time", time=time))
    elif not reasons:
        reasons.append(message("credentials/failed", code=_text(state) or "no state"))
    actions = tuple((_text(each.get("action")), _text(each.get("source_type"))) for each in _list(told.get("actions")))
    return CredentialClaim(
        kind="c2pa",
        finding=Finding.MATCHES if holds else Finding.DOES_NOT_MATCH,
        reasons=tuple(dict.fromkeys(reasons)),
        tool=TOOL,
        version=version,
        signer=signer,
        signed_time=time,
        generator=_text(told.get("generator")),
        actions=actions,
        codes=tuple(dict.fromkeys(failures)),
    )


def _reasons(codes: Sequence[str]) -> Iterator[Message]:
    for code in codes:
        id_, part = _NAMED.get(code, ("credentials/failed", ""))
        if id_ == "credentials/failed":
            yield message(id_, code=code)
        else:
            yield message(id_, part=part) if part else message(id_)


def _cannot_tell(reason: Message, version: str) -> CredentialClaim:
    return CredentialClaim(kind="c2pa", finding=Finding.CANNOT_TELL, reasons=(reason,), tool=TOOL, version=version)


def _signer(told: Mapping[str, object]) -> tuple[str, str]:
    found = told.get("signer")
    signer = found if isinstance(found, dict) else {}
    names = dict.fromkeys(filter(None, (_text(signer.get("issuer")), _text(signer.get("common_name")))))
    return ", ".join(names), _text(signer.get("time"))


def _parsed(answer: bytes) -> dict[str, object]:
    try:
        told = json.loads(answer.decode("utf-8", "replace"), parse_float=str)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise InputError(
            "media/credentials-unreadable",
            "The program that checks content credentials gave no answer that can be read. The original is kept.",
        )
    return told


def _text(value: object) -> str:
    return value.encode("utf-8", "replace").decode()[:200] if isinstance(value, str) else ""


def _list(value: object) -> list[Mapping[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
