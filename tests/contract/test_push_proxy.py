"""The push proxy before a small service that records."""

import http.client
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.fakes.faults import Delay, FewerIds, Hold, LoseAnswer, Refuse, Twice
from tests.fakes.push_proxy import PushProxy
from tests.fakes.server_process import free_port


class Service:
    """Records bodies and headers; answers with `status`."""

    def __init__(self):
        self.bodies, self.headers, self.paths, self.status = [], [], [], 204
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                service.paths.append(self.path)
                service.headers.append(dict(self.headers))
                service.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(service.status)
                self.send_header("Retry-After", "3")
                if service.status != 204:
                    self.send_header("Content-Length", "2")
                self.end_headers()
                if service.status != 204:
                    self.wfile.write(b"no")

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def service():
    running = Service()
    yield running
    running.stop()


@pytest.fixture
def proxy(service):
    with PushProxy(service.url) as running:
        yield running


def push(proxy, body, connection=None):
    """Status, Retry-After and body; None where the connection was closed instead."""
    mine = connection or http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=10)
    try:
        mine.request("POST", "/push/x?token=1", body, {"Authorization": "Bearer t"})
        answer = mine.getresponse()
        return answer.status, answer.headers["Retry-After"], answer.read()
    except (http.client.RemoteDisconnected, ConnectionError):
        return None
    finally:
        if connection is None:
            mine.close()


def test_without_a_fault_request_and_answer_pass_unchanged(proxy, service):
    service.status = 503
    assert push(proxy, b"\x00\xff") == (503, "3", b"no")
    assert (service.paths, service.bodies) == (["/push/x?token=1"], [b"\x00\xff"])
    assert service.headers[0]["Authorization"] == "Bearer t"
    assert (proxy.faults.done, proxy.statuses) == ({"Through": 1}, {503: 1})


def test_one_connection_takes_many_requests(proxy, service):
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=10)
    assert [push(proxy, b"%d" % n, connection) for n in range(3)] == [(204, "3", b"")] * 3
    connection.close()
    assert service.bodies == [b"0", b"1", b"2"]


@pytest.mark.parametrize(("refusal", "answer"), [(Refuse(), None), (Refuse(500), (500, None, b""))])
def test_a_refused_push_never_arrives(proxy, service, refusal, answer):
    proxy.faults.next.append(refusal)
    assert push(proxy, b"refused") == answer
    assert push(proxy, b"a") == (204, "3", b"")
    assert service.bodies == [b"a"]
    assert proxy.faults.done == {"Refuse": 1, "Through": 1}


def test_an_outage_refuses_until_it_ends_and_leaves_the_script_alone(proxy, service):
    proxy.faults.next.append(Twice())
    with proxy.faults.outage(Refuse(503)):
        assert [push(proxy, b"refused")[0] for _ in range(2)] == [503, 503]
    push(proxy, b"a")
    assert service.bodies == [b"a", b"a"]


def test_a_lost_answer_is_a_push_that_arrived(proxy, service):
    proxy.faults.next.append(LoseAnswer())
    assert push(proxy, b"a") is None
    assert service.bodies == [b"a"]
    assert proxy.statuses == {204: 1}


def test_a_push_is_duplicated(proxy, service):
    proxy.faults.rule = lambda request: Twice() if request.body == b"b" else None
    assert [push(proxy, body)[0] for body in (b"a", b"b")] == [204, 204]
    assert service.bodies == [b"a", b"b", b"b"]


def test_held_pushes_are_overtaken_and_come_in_the_order_of_their_release(proxy, service):
    proxy.faults.next += [Hold(), Hold(), None]
    with ThreadPoolExecutor(2) as pool:
        held = []
        for count, body in enumerate((b"1", b"2"), start=1):
            held.append(pool.submit(push, proxy, body))
            proxy.faults.await_held(count)
        push(proxy, b"3")
        for future in reversed(held):
            assert proxy.faults.release(1, newest_first=True) == 1
            assert future.result(10) == (204, "3", b"")
    assert service.bodies == [b"3", b"2", b"1"]


def test_a_delayed_push_is_overtaken(proxy, service):
    proxy.faults.next.append(Delay(0.3))
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(push, proxy, b"late")
        while not proxy.faults.done["Delay"]:
            time.sleep(0.005)
        push(proxy, b"early")
        assert late.result(10)[0] == 204
    assert service.bodies == [b"early", b"late"]


def test_an_absent_service_is_a_closed_connection():
    with PushProxy(f"http://127.0.0.1:{free_port()}") as proxy:
        assert push(proxy, b"a") is None
        assert (proxy.unreached, proxy.statuses) == (1, {})


def test_chunked_bodies_arrive_whole(proxy, service):
    assert push(proxy, iter([b"one", b"two"]))[0] == 204
    assert service.bodies == [b"onetwo"]


def test_awaiting_more_than_is_held_is_an_error(proxy):
    with pytest.raises(TimeoutError, match="0 of 1 requests are held"):
        proxy.faults.await_held(1, timeout_s=0.01)


def test_a_fault_that_no_push_can_have_is_an_error_of_the_test(proxy):
    proxy.faults.next.append(FewerIds())
    assert push(proxy, b"a") is None


def test_the_end_drops_what_is_held_closes_idle_connections_and_leaves_no_thread(service):
    before = set(threading.enumerate())
    with PushProxy(service.url) as proxy, ThreadPoolExecutor(1) as pool:
        idle = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=10)
        push(proxy, b"a", idle)
        half = socket.create_connection(("127.0.0.1", int(proxy.url.rsplit(":", 1)[1])))
        half.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
        proxy.faults.next.append(Hold())
        held = pool.submit(push, proxy, b"held")
        proxy.faults.await_held(1)
        proxy.faults.close()
        assert held.result(10) is None
    assert service.bodies == [b"a"]
    assert {t for t in threading.enumerate() if t not in before and t.is_alive()} == set()
    idle.close()
    half.close()
