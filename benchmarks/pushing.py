"""Pushes history into a running Prometheus by its remote-write endpoint, with nothing but the standard library.

1. One instance's samples are packed once; another instance's are the same bytes under a name of equal length.
2. A block that `snappy` did not shrink is a valid block: one literal with its length before it.
"""

import http.client
import struct
import urllib.parse

from alerting.history import Writer
from alerting.sim import STEP
from poolscope import _contract as c
from poolscope.alerts import recording

RECORDED_EACH = 30
PATH = "/api/v1/write"
HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(tag: int, body: bytes) -> bytes:
    return bytes([tag << 3 | 2]) + varint(len(body)) + body


class Packed(Writer):
    """Collects samples by series, as the wire wants them. Opt-in metrics are off, as they are by default."""

    def __init__(self) -> None:
        super().__init__()
        self.series: dict[tuple[str, ...], tuple[bytes, bytearray]] = {}

    def put(self, metric: c.Metric, labels: dict[str, str], value: float, at: float, suffix: str = "") -> None:
        if not metric.opt_in:
            self.level(metric.prometheus_name + suffix, labels, value, at)

    def add(self, metric: c.Metric, labels: dict[str, str], more: float, at: float, suffix: str = "") -> None:
        """Count, and write what the recording rule makes of it: with one origin a pool there is nothing to sum."""
        super().add(metric, labels, more, at, suffix)
        if not metric.opt_in and round(at) % RECORDED_EACH < STEP:
            away = recording.dropped(metric)
            self.level(
                recording.recorded_rate(metric.prometheus_name + suffix),
                {k: v for k, v in labels.items() if c.prometheus_label(k) not in away},
                more / STEP,
                at,
            )

    def level(self, name: str, labels: dict[str, str], value: float, at: float) -> None:
        """Write one sample of a series."""
        key = (name, *labels.values())
        if key not in self.series:
            every = {c.prometheus_label(k): v for k, v in labels.items() if v} | {"__name__": name}
            pairs = (field(1, k.encode()) + field(2, v.encode()) for k, v in sorted(every.items()))
            self.series[key] = b"".join(field(1, pair) for pair in pairs), bytearray()
        sample = b"\x09" + struct.pack("<d", value) + b"\x10" + varint(round(at * 1000))
        self.series[key][1].extend(field(2, sample))

    def taken(self) -> bytes:
        """Give what was collected since the last time as one write request; totals go on."""
        body = b"".join(field(1, labels + samples) for labels, samples in self.series.values())
        self.series.clear()
        return body


class Endpoint:
    """One connection to a Prometheus that was started with --web.enable-remote-write-receiver."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=300)

    def push(self, body: bytes) -> None:
        literal = b"\xfc" + (len(body) - 1).to_bytes(4, "little")
        self.connection.request("POST", PATH, varint(len(body)) + literal + body, HEADERS)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        assert answer.status in (200, 204), text
