"""Runs inside the sandbox: reads one file's content credentials with the C2PA library and prints them as JSON.

It is started with Python's own interpreter, isolated, and knows nothing of the archive: the file comes by ranges over
the inherited socket (`ranges.py`), the library by inherited memory files. Nothing is fetched: no manifest from a
server, no revocation answer, and the sandbox has no network to fetch it by.
"""

import io
import json
import socket
import struct
import sys
from typing import Any

_OPENING = struct.Struct(">QQII")
_REQUEST = struct.Struct(">QQI")
_LARGEST_RANGE = 1 << 20
_BUFFER = 1 << 17
_SETTINGS = {
    "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}
_FAILURES_SHOWN = 40


class RangeFile(io.RawIOBase):
    """The file that the archive holds, read from any place by asking for ranges."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._number, self._size, before, after = _OPENING.unpack(self._take(_OPENING.size))
        self._take(before + after)
        self._position = 0

    def _take(self, length: int) -> bytes:
        taken = bytearray()
        while len(taken) < length:
            piece = self._connection.recv(min(length - len(taken), _BUFFER))
            if not piece:
                raise EOFError("the archive has closed the file")
            taken += piece
        return bytes(taken)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        length: int = min(len(buffer), _LARGEST_RANGE, max(0, self._size - self._position))
        if length:
            self._connection.sendall(_REQUEST.pack(self._number, self._position, length))
            buffer[:length] = self._take(length)
            self._position += length
        return length


def read_credentials(file: Any, mime_type: str) -> dict[str, object]:
    """Give what the library says: its state and findings, and what the newest manifest says of itself."""
    import c2pa  # type: ignore[import-untyped]  # the library ships no types.  Only here, once its modules are on the path.

    told: dict[str, object] = {"version": c2pa.sdk_version()}
    try:
        reader = c2pa.Reader(mime_type, file, context=c2pa.Context.from_dict(_SETTINGS))
    except c2pa.C2paError as error:
        kind = type(error).__name__.removeprefix("_C2pa")
        return told | {"absent": kind == "ManifestNotFound", "error": kind, "said": str(error)[:400]}
    store = json.loads(reader.json())
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    told["state"] = reader.get_validation_state()
    told["failures"] = _failures(store)[:_FAILURES_SHOWN]
    told["signer"] = active.get("signature_info") or {}
    told["generator"] = active.get("claim_generator") or active.get("claim_generator_info") or ""
    told["title"] = active.get("title") or ""
    told["ingredients"] = len(active.get("ingredients") or [])
    told["actions"] = _actions(active)
    return told


def _failures(store: dict[str, Any]) -> list[dict[str, str]]:
    found = [each for each in store.get("validation_status") or [] if isinstance(each, dict)]
    return [{"code": str(each.get("code", "")), "url": str(each.get("url", ""))[-120:]} for each in found]


def _actions(manifest: dict[str, Any]) -> list[dict[str, str]]:
    actions: list[dict[str, str]] = []
    for assertion in manifest.get("assertions") or []:
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in (assertion.get("data") or {}).get("actions") or []:
                source = str(action.get("digitalSourceType") or "").rpartition("/")[2]
                actions.append({"action": str(action.get("action", ""))[:80], "source_type": source[:80]})
    return actions[:_FAILURES_SHOWN]


def main() -> None:
    """Read what the arguments name: the library's modules, the socket, the type."""
    modules, descriptor, mime_type = sys.argv[1:4]
    sys.path.insert(0, modules)
    with socket.socket(fileno=int(descriptor)) as connection:
        file = io.BufferedReader(RangeFile(connection), _BUFFER)
        answer = json.dumps(read_credentials(file, mime_type))
    sys.stdout.write(answer)


if __name__ == "__main__":
    main()
