import socket

import pytest

from pmpctl.errors import CommandError
from pmpctl.local.ports import Ports, require_free

DOCUMENTED = {
    "collector": 8081,
    "writer": 8082,
    "replayer": 8083,
    "launcher": 8084,
    "pubsub": 8085,
    "feed": 8086,
    "dashboard": 8088,
    "bigquery": 9050,
    "bigquery-grpc": 9060,
}


def test_default_ports_are_the_documented_ones():
    assert {name: Ports().of(name) for name in DOCUMENTED} == DOCUMENTED


def test_another_base_moves_every_port():
    moved = Ports.parse("20000")
    assert {name: moved.of(name) for name in DOCUMENTED} == {n: p + 11920 for n, p in DOCUMENTED.items()}


@pytest.mark.parametrize("base", ["", None])
def test_unset_base_means_the_default(base):
    assert Ports.parse(base) == Ports(8080)


@pytest.mark.parametrize("base", ["x", "-1", "80", "65000", "8080.5", "²"])
def test_unusable_base_is_refused_in_one_line(base):
    with pytest.raises(CommandError, match=r"^PMP_PORT_BASE=.*must be a number from 1024 to 64555$"):
        Ports.parse(base)


def test_port_in_use_is_named_with_what_wanted_it_and_the_way_out():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError) as caught:
            require_free([("writer", port)])
    message = str(caught.value)
    assert f"port {port} (wanted by writer) is in use" in message
    assert "PMP_PORT_BASE" in message
    assert "\n" not in message


def test_free_port_passes():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    require_free([("writer", port)])
