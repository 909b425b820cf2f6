"""gunicorn's threaded worker, with threads only for requests that have come whole.

gunicorn gives a connection a thread with its first byte, and closes connections with up to 2 s of waiting in the very
loop that accepts them. So a few hundred clients that send a byte a second, or never hang up, keep everyone else out.
Here the loop, which never waits, collects requests and sees connections off.
"""

import logging
import selectors
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, ClassVar, Final

from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from pmp_runtime.http.arrival import Arrival, ArrivalLimits
from pmp_runtime.logs import Tally

logger = logging.getLogger(__name__)

RECEIVE_BYTES: Final = 64 * 1024
MANY_BYTES: Final = 1024 * 1024  # of one request only: what was sent behind it is copied at each request
SEND_TIMEOUT_S: Final = 30  # for a client that does not read its answer
PARTING_S: Final = 2.0  # for a client to hang up after its last answer, or to be done when the worker stops
SWEEP_S: Final = 0.25


class WholeRequestWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Attributes:
    limits: of the requests that arrive; a subclass may have others.
    """

    limits: ClassVar[ArrivalLimits] = ArrivalLimits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: dict[TConn, Arrival] = {}
        self._arriving_bytes = 0
        self._parting: dict[TConn, float] = {}
        self._dropped = Tally(logger, "connections.dropped", interval_s=1)
        self._swept_s = time.monotonic()

    def enqueue_req(self, conn: TConn) -> None:
        """The next request of a connection begins: a new one, a kept one, or one with bytes left over."""
        if not conn.initialized:
            conn.init()
            conn.parser.unreader = ReceivedUnreader(conn.sock)
            timeout = struct.pack("ll", SEND_TIMEOUT_S, 0)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        conn.sock.setblocking(False)
        self._arriving[conn] = Arrival(self.limits, time.monotonic())
        self._register(conn, self._receive)
        if left_over := conn.parser.unreader.take_buffered():
            self._add(conn, left_over)
        else:
            self._receive(conn)

    def finish_request(self, conn: TConn, fs: "Future[object]") -> None:
        """A thread is done with a connection."""
        if fs.cancelled() or fs.exception() is not None or not fs.result():
            self._see_off(conn)
        else:
            conn.parser.unreader.keep_left_over()
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Called at every turn of the loop: drops who is too slow."""
        now_s = time.monotonic()
        if now_s - self._swept_s < SWEEP_S:
            return
        self._swept_s = now_s
        for conn, arrival in list(self._arriving.items()):
            if now_s > (arrival.deadline_s if self.alive else arrival.began_s + PARTING_S):
                self._drop(conn, "slow")
        for conn, deadline_s in list(self._parting.items()):
            if now_s > deadline_s:
                self._close(conn)
        self._dropped.flush()

    def _receive(self, conn: TConn) -> None:
        if conn not in self._arriving:
            return  # dropped in this very turn of the loop
        missing = min(self._arriving[conn].missing_bytes, MANY_BYTES)
        data = _received(conn.sock, max(missing, RECEIVE_BYTES))
        if data:
            self._add(conn, data)
        elif data is not None:
            self._close(conn)

    def _add(self, conn: TConn, data: bytes) -> None:
        arrival = self._arriving[conn]
        arrival.add(data, time.monotonic())
        self._arriving_bytes += len(data)
        if arrival.is_whole:
            self._forget(conn)
            conn.parser.unreader.receive(arrival)
            super().enqueue_req(conn)
        elif arrival.awaits_continue:
            arrival.awaits_continue = False
            with suppress(OSError):  # the next read tells
                conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while self._arriving_bytes > self.limits.total_bytes:
            self._drop(next(iter(self._arriving)), "crowded")

    def _make_room(self) -> None:
        """Honest requests arrive quickly, so the one that has been on its way longest goes."""
        if self._parting:
            self._close(next(iter(self._parting)))
        elif self._arriving:
            self._drop(next(iter(self._arriving)), "crowded")
        elif self.keepalived_conns:
            self.keepalived_conns[0].timeout = time.monotonic()  # closed at the end of the loop's turn

    def _see_off(self, conn: TConn) -> None:
        """Ends the answers and waits for the client's end: unread bytes would make the kernel take them back."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
        else:
            self._parting[conn] = time.monotonic() + PARTING_S
            self._register(conn, self._discard)

    def _discard(self, conn: TConn) -> None:
        if conn in self._parting and _received(conn.sock, MANY_BYTES) == b"":
            self._close(conn)

    def _drop(self, conn: TConn, why: str) -> None:
        self._dropped.add(why)
        self._close(conn)

    def _close(self, conn: TConn) -> None:
        self._forget(conn)
        self.nr_conns -= 1
        conn.close()

    def _forget(self, conn: TConn) -> None:
        arrival = self._arriving.pop(conn, None)
        is_parting = self._parting.pop(conn, None) is not None
        if arrival is not None:
            self._arriving_bytes -= len(arrival.received)
        if arrival is not None or is_parting:
            self.poller.unregister(conn.sock)

    def _register(self, conn: TConn, on_readable: Callable[[TConn], None]) -> None:
        self.poller.register(conn.sock, selectors.EVENT_READ, lambda _: on_readable(conn))


class ReceivedUnreader(SocketUnreader):  # type: ignore[misc]  # gunicorn has no types
    """Gives the parser what has been received; never the socket, for which a thread would have to wait."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._received = memoryview(b"")
        self._is_head_too_large = False

    def receive(self, arrival: Arrival) -> None:
        self._received = memoryview(arrival.received)
        self._is_head_too_large = arrival.is_head_too_large

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next bytes; none is the end of what the client will have sent."""
        if not self._received and self._is_head_too_large:
            raise LimitRequestHeaders("limit request head size")
        size = max(self.mxchunk, min(size_hint or 0, RECEIVE_BYTES))
        data, self._received = bytes(self._received[:size]), self._received[size:]
        return data

    def keep_left_over(self) -> None:
        """Shows gunicorn the bytes behind the request where it looks for them."""
        self.buf.seek(0, 2)
        self.buf.write(self._received)
        self._received = memoryview(b"")


def _received(sock: socket.socket, size: int) -> bytes | None:
    """What a socket has: nothing is its end, None is nothing yet."""
    try:
        return sock.recv(size)
    except BlockingIOError:
        return None
    except OSError:
        return b""
