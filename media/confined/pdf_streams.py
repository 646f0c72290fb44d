"""Take out of a PDF's streams what is not drawn: metadata inside pictures, comments inside page descriptions."""

import re
from collections.abc import Callable

import pikepdf
from pikepdf import Array, Dictionary, Name, Object

from media.confined.child import Refusal
from media.confined.embedded_images import bare_jpeg, bare_jpeg2000

_COMMENT = re.compile(rb"(?:\A|[\r\n])[ \t]*%")
_FOREIGN = (b"Exif\x00\x00", b"http://ns.adobe.com/xap/1.0/", b"<x:xmpmeta", b"Photoshop 3.0\x00", b"<?xpacket")
_STREAM_KEYS = frozenset({"/Filter", "/DecodeParms", "/Length", "/F", "/FFilter", "/FDecodeParms"})


def clean_stream(stream: Object) -> None:
    """Clean one stream in place. Raises: Refusal `external-file`, `damaged-image`, `embedded-metadata`."""
    if "/F" in stream and "/FFilter" in stream or isinstance(stream.get("/F"), Dictionary | pikepdf.String):
        raise Refusal("external-file")
    filters = stream.get("/Filter", Array())
    names = [str(each) for each in filters] if isinstance(filters, Array) else [str(filters)]
    if "/Crypt" in names:
        raise Refusal("encrypted")
    if names and names[-1] in ("/DCTDecode", "/DCT"):
        _write_image(stream, bare_jpeg, Name.DCTDecode)
    elif names and names[-1] == "/JPXDecode":
        _write_image(stream, bare_jpeg2000, Name.JPXDecode)
    elif names and names[-1] in ("/JBIG2Decode", "/CCITTFaxDecode", "/CCF"):
        return
    else:
        content = stream.read_bytes()
        if any(mark in content for mark in _FOREIGN):
            raise Refusal("embedded-metadata")
        if _is_page_description(stream) and _COMMENT.search(content):
            stream.write(pikepdf.unparse_content_stream(pikepdf.parse_content_stream(stream)))


def _is_page_description(stream: Object) -> bool:
    """A page's own contents have no key of their own; forms and patterns say what they are."""
    if stream.get("/Subtype") == Name.Form or "/PatternType" in stream:
        return True
    return not set(stream.keys()) - _STREAM_KEYS


def _write_image(stream: Object, bare: Callable[[bytes], bytes], last: Name) -> None:
    content = stream.read_bytes(pikepdf.StreamDecodeLevel.generalized)
    parameters = stream.get("/DecodeParms")
    made = bare(content)
    stream.write(made, filter=last, decode_parms=parameters if isinstance(parameters, Dictionary) else None)
