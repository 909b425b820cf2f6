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


@pytest.mark.parametrize(("base", "moved"), [("", 0), (None, 0), ("20000", 11920)])
def test_ports_are_the_documented_ones_and_another_base_moves_them_all(base, moved):
    ports = Ports.parse(base)
    assert {name: ports.of(name) - moved for name in DOCUMENTED} == DOCUMENTED


@pytest.mark.parametrize("base", ["x", "-1", "80", "65000", "8080.5", "²"])
def test_unusable_base_is_refused_in_one_line(base):
    with pytest.raises(CommandError, match=r"^PMP_PORT_BASE=.*must be a number from 1024 to 64555$"):
        Ports.parse(base)


def test_port_in_use_is_named_with_what_wanted_it_and_the_way_out():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.listen()
        with pytest.raises(
            CommandError, match=rf"^port {port} \(wanted by writer\) is in use.*PMP_PORT_BASE"
        ):
            require_free([("writer", port)])
    require_free([("writer", port)])
