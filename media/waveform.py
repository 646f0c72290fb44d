"""The peaks of a sound, for drawing it: a sink that is given samples and keeps two numbers of every hundredth second.

The form is that of the BBC's `audiowaveform`, version 2, in JSON, which browsers' players read.
"""

import json
from array import array

SAMPLE_RATE = 8000
SAMPLES_PER_PEAK = 80


class PeakSink:
    """Takes signed 16-bit samples of one channel, in this machine's order of octets, and never keeps them."""

    def __init__(self) -> None:
        self._peaks: list[int] = []
        self._rest = b""
        self._written = 0

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        self._written += len(data)
        piece = self._rest + bytes(data)
        whole = len(piece) // (2 * SAMPLES_PER_PEAK) * 2 * SAMPLES_PER_PEAK
        samples, self._rest = array("h", piece[:whole]), piece[whole:]
        for start in range(0, len(samples), SAMPLES_PER_PEAK):
            some = samples[start : start + SAMPLES_PER_PEAK]
            self._peaks += (min(some) >> 8, max(some) >> 8)
        return len(data)

    def seek(self, _offset: int, _whence: int = 0, /) -> int:
        raise OSError("samples come in order")

    def tell(self) -> int:
        return self._written

    def to_json(self) -> bytes:
        """Write the peaks of all that came."""
        told = {
            "version": 2,
            "channels": 1,
            "sample_rate": SAMPLE_RATE,
            "samples_per_pixel": SAMPLES_PER_PEAK,
            "bits": 8,
            "length": len(self._peaks) // 2,
            "data": self._peaks,
        }
        return json.dumps(told, separators=(",", ":")).encode("ascii")
