"""Make pictures of a PDF's pages and give its text. Scripts, links and forms in it are not run."""

import ctypes
import io
import json

import pypdfium2
from pypdfium2 import PdfiumError

from media.confined.child import Inputs, Refusal, answer

_LONGEST_SIDE = 1600
_DOTS_AN_INCH = 110
_MOST_TEXT = 4_000_000


def main(arguments: list[str]) -> int:
    """Answer as a child."""
    return answer(arguments, work)


def work(inputs: Inputs, arguments: list[str]) -> bytes:
    """Give the text and the first pages, at most as many as asked for; before them a line that says their sizes."""
    most = int(arguments[0])
    try:
        document = pypdfium2.PdfDocument(bytes(inputs["file"]))
    except PdfiumError as error:
        raise Refusal("encrypted" if "assword" in str(error) else "not-shown") from None
    made: list[bytes] = []
    told: list[dict[str, object]] = []
    words: list[str] = []
    for number in range(min(len(document), most)):
        try:
            page = document[number]
            width, height = page.get_size()
            scale = min(_DOTS_AN_INCH / 72, _LONGEST_SIDE / max(width, height, 1))
            picture = page.render(scale=scale).to_pil().convert("RGB")
            words.append(page.get_textpage().get_text_bounded())
        except (PdfiumError, ValueError, MemoryError, OSError, ctypes.ArgumentError):
            continue  # A damaged page; the others may be whole, and which is missing can be seen from the numbers.
        content = io.BytesIO()
        picture.save(content, "JPEG", quality=80)
        made.append(content.getvalue())
        told.append({"page": number + 1, "octets": len(made[-1]), "width": picture.width, "height": picture.height})
    if not made:
        raise Refusal("not-shown")
    text = "\f".join(words)[:_MOST_TEXT].encode("utf-8", "replace")
    head = {"pages": len(document), "text": len(text), "shown": told}
    return json.dumps(head).encode("ascii") + b"\n" + text + b"".join(made)
