"""Take out of RTF what is not shown. No I/O.

Standard: Rich Text Format specification 1.9.1. A group whose first control word is on no list of what is shown goes,
if it is marked as one that a reader may skip (`\\*`); so does every identifier of an editing session.
"""

import re
from collections.abc import Iterator

from media.confined.child import Refusal

_TOKEN = re.compile(
    rb"(?P<open>\{)|(?P<close>\})"
    rb"|\\(?P<word>[A-Za-z]{1,32})(?P<number>-?\d{1,10})?(?P<end> ?)"
    rb"|\\(?P<sign>'[0-9A-Fa-f]{2}|[^A-Za-z])"
    rb"|(?P<text>[^\\{}]+)",
    re.S,
)
_GONE = frozenset(
    "info annotation atnid atnauthor atntime atnref atnparent atnicn atnstamp atndate atrfstart atrfend nextfile "
    "template userprops xmlnstbl rsidtbl revtbl generator company manager operator datastore themedata "
    "colorschememapping latentstyles docvar passwordhash protusertbl mmath blipuid filetbl".split()
)
_SHOWN_MARKED = frozenset(
    "listtable listoverridetable list listoverride fldinst bkmkstart bkmkend panose falt cs ts ds pnseclvl pn ftnsep "
    "ftnsepc aftnsep aftnsepc footnote shpinst pgdsctbl background tblstyle defchp defpap wgrffmtfilter hyphen".split()
)
_REFUSED = {
    "pict": "embedded-object",
    "object": "embedded-object",
    "objdata": "embedded-object",
    "shppict": "embedded-object",
    "v": "hidden-data",
    "deleted": "tracked-changes",
    "revised": "tracked-changes",
}
_SESSION = re.compile(
    r"(insrsid|charrsid|pararsid|styrsid|sectrsid|tblrsid|delrsid|rsidroot|rsid|listid|listtemplateid)"
)
_KEPT_IDENTIFIERS = frozenset({"listid", "listtemplateid"})
_KEPT_FIELDS = (b"HYPERLINK", b"PAGE", b"NUMPAGES", b"TOC", b"REF", b"PAGEREF", b"SEQ")
_GOES_TO = re.compile(rb"HYPERLINK\s++(?!\\)\"?+(?!(?:https?|mailto|tel):)\S", re.I)
"""A link out of the document that is not open to all."""
_BINARY = "bin"
_DEEPEST = 500


def clean_rich_text(content: bytes) -> bytes:
    """Give the document without what is not shown. Raises: Refusal."""
    if not content.startswith(b"{\\rtf"):
        raise Refusal("damaged")
    out: list[bytes] = []
    depth, skipping = 0, 0
    tokens = list(_tokens(content))
    for place, token in enumerate(tokens):
        if token.group("open"):
            depth += 1
            if not skipping and depth > 1 and _goes(tokens, place):
                skipping = depth
        if not skipping:
            out.append(_kept(token))
        if token.group("close"):
            if depth == skipping:
                skipping = 0
            depth -= 1
            if depth == 0:
                return b"".join(out)
        if depth > _DEEPEST:
            raise Refusal("too-complex")
    raise Refusal("damaged")


def _tokens(content: bytes) -> Iterator[re.Match[bytes]]:
    place = 0
    while place < len(content):
        token = _TOKEN.match(content, place)
        if token is None:
            raise Refusal("damaged")
        yield token
        place = token.end()


def _goes(tokens: list[re.Match[bytes]], place: int) -> bool:
    """Tell whether the group that opens here goes, by its first control words."""
    marked = False
    for token in tokens[place + 1 : place + 4]:
        if token.group("sign") == b"*":
            marked = True
        elif token.group("word"):
            word = token.group("word").decode()
            if word == "fldinst" and not _field_stays(tokens, place):
                return True
            return word in _GONE or (marked and word not in _SHOWN_MARKED)
        elif (token.group("text") or b"").strip():
            return False
    return False


def _field_stays(tokens: list[re.Match[bytes]], place: int) -> bool:
    told = b"".join(token.group("text") or token.group("sign") or b"" for token in tokens[place : place + 40])
    words = told.removeprefix(b"*").split()
    return bool(words) and words[0].upper() in _KEPT_FIELDS and not _GOES_TO.match(told.removeprefix(b"*").strip())


def _kept(token: re.Match[bytes]) -> bytes:
    if not token.group("word"):
        return token.group(0)
    word, number = token.group("word").decode(), token.group("number")
    if word in _REFUSED and number != b"0":
        raise Refusal(_REFUSED[word])
    if word == _BINARY:
        raise Refusal("embedded-object")
    if _SESSION.fullmatch(word) and word not in _KEPT_IDENTIFIERS:
        # What follows must not run together with what came before.
        return token.group("end") or b""
    return token.group(0)
