"""How many octets of a GIF's codes its picture takes; what follows them no viewer reads. No I/O.

Standard: GIF89a, appendix F. Only the lengths of what codes stand for are followed, not the samples.
"""

_MOST_CODES = 4096


def octets_of_codes(codes: bytes | bytearray, least: int, samples: int) -> int:
    """Give where the code that ends the picture lies, or that with which it is full; all, where neither comes."""
    if not 1 <= least <= 11:
        return len(codes)
    clear = 1 << least
    lengths = [1] * clear + [0, 0]
    width, last, bits, held, place, made = least + 1, 0, 0, 0, 0, 0
    while made < samples:
        while bits < width:
            if place == len(codes):
                return place
            held |= codes[place] << bits
            bits, place = bits + 8, place + 1
        code = held & (1 << width) - 1
        held, bits = held >> width, bits - width
        if code == clear:
            del lengths[clear + 2 :]
            width, last = least + 1, 0
            continue
        if code == clear + 1:
            return place
        if code > len(lengths) or (code == len(lengths) and not last):
            return len(codes)  # Damaged: a viewer decides for itself, and the picture is left as it is.
        if last and len(lengths) < _MOST_CODES:
            lengths.append(last + 1)
        last = lengths[code] if code < len(lengths) else last + 1
        made += last
        if len(lengths) == 1 << width and width < 12:
            width += 1
    return _with_the_end(codes, clear + 1, width, held, bits, place)


def _with_the_end(codes: bytes | bytearray, end: int, width: int, held: int, bits: int, place: int) -> int:
    """The picture is full; the code that says so, or one more that clears, may still follow."""
    while bits < width and place < len(codes):
        held |= codes[place] << bits
        bits, place = bits + 8, place + 1
    return place if held & (1 << width) - 1 == end or bits < width else max(0, place - bits // 8)
