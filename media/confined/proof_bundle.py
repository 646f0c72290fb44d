"""Inside the sandbox: what a ZIP file holds of a ProofMode proof, and the digest of each other file in it.

Gives JSON `{"parts":{name: base64},"files":[{"name","sha256"}]}`. Nothing is unpacked to anywhere; a part of a proof is
small, and the whole is bounded, so that a bomb is refused.
"""

import base64
import hashlib
import io
import json
import zipfile

from media.confined.child import Inputs, Refusal, answer

_SMALL = 1 << 16
_MOST_MEMBERS = 400
_MOST_OCTETS = 1 << 31
_PIECE = 1 << 20
_ENDINGS = (".proof.json", ".proof.csv", ".asc")


def main(arguments: list[str]) -> int:
    """Read the bundle that is named."""
    return answer(arguments, read_bundle)


def read_bundle(inputs: Inputs, _arguments: list[str]) -> bytes:
    """Read the small parts whole and digest the rest."""
    try:
        with zipfile.ZipFile(io.BytesIO(inputs["bundle"])) as bundle:
            return json.dumps(_read(bundle)).encode("ascii")
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError):
        raise Refusal("damaged") from None


def _read(bundle: zipfile.ZipFile) -> dict[str, object]:
    members = [each for each in bundle.infolist() if not each.is_dir()]
    if len(members) > _MOST_MEMBERS:
        raise Refusal("too-complex")
    parts: dict[str, str] = {}
    files: list[dict[str, str]] = []
    left = _MOST_OCTETS
    for member in members:
        name = member.filename.rpartition("/")[2]
        small = name.lower().endswith(_ENDINGS)
        digest, kept = hashlib.sha256(), bytearray()
        with bundle.open(member) as stream:
            while piece := stream.read(_PIECE):
                left -= len(piece)
                if left < 0 or (small and len(kept) + len(piece) > _SMALL):
                    raise Refusal("too-complex")
                digest.update(piece)
                kept += piece if small else b""
        if small:
            parts[name] = base64.b64encode(bytes(kept)).decode("ascii")
        else:
            files.append({"name": name, "sha256": digest.hexdigest()})
    return {"parts": parts, "files": files}
