"""Whether an HTTP/1.1 request has come whole: its bytes as they arrive, without a socket or a clock.

Only the end of the request is looked for (RFC 9112, sections 6 and 7.1). Whether it is valid is for the server's parser
to say: what cannot be framed counts as whole, and the parser refuses it.
"""

import re
from dataclasses import dataclass
from typing import Final

_FIELDS: Final = re.compile(rb"\r\n(content-length|transfer-encoding|expect):([^\r\n]*)", re.IGNORECASE)
_CHUNK_SIZE: Final = re.compile(rb"[0-9a-f]+", re.IGNORECASE)
_CHUNK_LINE_BYTES: Final = 8190  # of gunicorn's `limit_request_field_size`
_LENGTH_DIGITS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalLimits:
    """What a client is allowed while its request arrives.

    Attributes:
        silence_s: seconds without a byte.
        slowness_s: seconds that the whole request may take, on top of one for each `bytes_per_s`.
        bytes_per_s: what a slow but honest link manages.
        head_bytes: of request line and header fields, or of a chunked body's trailers.
        request_bytes: of the whole request; above every service's limit for bodies.
        total_bytes: of all requests that arrive at a time.
    """

    silence_s: float = 30.0
    slowness_s: float = 30.0
    bytes_per_s: int = 16 * 1024
    head_bytes: int = 256 * 1024
    request_bytes: int = 16 * 1024 * 1024
    total_bytes: int = 128 * 1024 * 1024


class Arrival:
    """One request on its way.

    Args:
        now_s: of any steady clock; the same as in `add`.

    Attributes:
        began_s: when it began.
        received: its bytes so far, and perhaps the beginning of the next request.
        is_whole: whether a parser finds its end, or a reason to refuse it, in what was received.
        is_head_too_large: whether that reason is a head without an end.
        awaits_continue: whether the client waits for `100 Continue` before it sends the body.
    """

    def __init__(self, limits: ArrivalLimits, now_s: float) -> None:
        self.began_s = now_s
        self.received = bytearray()
        self.is_whole = False
        self.is_head_too_large = False
        self.awaits_continue = False
        self._limits = limits
        self._heard_s = now_s
        self._look = self._look_for_head
        self._at = 0

    @property
    def deadline_s(self) -> float:
        """When to give the client up."""
        earned_s = len(self.received) / self._limits.bytes_per_s
        return min(self._heard_s + self._limits.silence_s, self.began_s + self._limits.slowness_s + earned_s)

    @property
    def missing_bytes(self) -> int:
        """At least so many are still to come; 0 where that is not known."""
        return max(0, self._at - len(self.received))

    def add(self, data: bytes, now_s: float) -> None:
        self.received += data
        self._heard_s = now_s
        self.is_whole = self._look() or len(self.received) > self._limits.request_bytes

    def _look_for_head(self) -> bool:
        end = self.received.find(b"\r\n\r\n", self._at)
        if end < 0:
            self._at = max(0, len(self.received) - 3)
            self.is_head_too_large = len(self.received) > self._limits.head_bytes
            return self.is_head_too_large
        self._at = end + 4
        # A parser refuses fields that contradict each other, so that any of them will do here.
        fields = {
            name.lower(): value.strip(b" \t") for name, value in _FIELDS.findall(bytes(self.received[:end]))
        }
        self.awaits_continue = fields.get(b"expect", b"").lower() == b"100-continue"
        if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
            self._look = self._look_for_last_chunk
        elif not self._is_length_possible(fields.get(b"content-length", b"0")):
            return True
        else:
            self._at += int(fields.get(b"content-length", b"0"))
            self._look = self._look_for_body
        return self._look()

    def _is_length_possible(self, text: bytes) -> bool:
        is_number = text.isdigit() and len(text) <= _LENGTH_DIGITS
        return is_number and int(text) <= self._limits.request_bytes

    def _look_for_body(self) -> bool:
        return len(self.received) >= self._at

    def _look_for_last_chunk(self) -> bool:
        while (end := self.received.find(b"\r\n", self._at)) >= 0:
            size = self.received[self._at : end].partition(b";")[0].rstrip(b" \t")
            if not _CHUNK_SIZE.fullmatch(size):
                return True
            self._at = end
            if int(size, 16) == 0:
                self._look = self._look_for_trailers
                return self._look()
            self._at += len(b"\r\n") + int(size, 16) + len(b"\r\n")
            if not b"\r\n".startswith(bytes(self.received[self._at - 2 : self._at])):
                return True
        return len(self.received) - self._at > _CHUNK_LINE_BYTES

    def _look_for_trailers(self) -> bool:
        size = len(self.received) - self._at
        return self.received.find(b"\r\n\r\n", self._at) >= 0 or size > self._limits.head_bytes
