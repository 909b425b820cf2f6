"""Where a feed may lead to."""

import httpx
import pytest

from pmp_collector import allowed_urls

PUBLIC = "https://feeds.example/gbfs.json"
KNOWN = {
    "feeds.example": ["93.184.216.34", "2606:2800:220:1::1"],
    "cdn.example": ["151.101.1.69"],
    "intranet.example": ["151.101.1.69", "10.0.0.7"],
    "feed-server": ["172.18.0.4"],
    "writer": ["172.18.0.5"],
}


def lookup(host: str) -> list[str]:
    return KNOWN.get(host) or allowed_urls.addresses(host)


def check(url: str, configured: str = PUBLIC) -> None:
    allowed_urls.check(httpx.URL(url), configured=httpx.URL(configured), lookup=lookup)


@pytest.mark.parametrize(
    ("configured", "urls"),
    [
        (PUBLIC, ["https://feeds.example/a", "http://feeds.example:8080/", "https://cdn.example/"]),
        # A configured host inside may lead inside, and the configured host itself may be anywhere.
        (
            "http://127.0.0.1:8086/gbfs.json",
            ["http://127.0.0.1:9999/station_status.json", "http://writer:8080/"],
        ),
        ("http://feed-server:8086/gbfs.json", ["http://127.0.0.1:9999/", "http://writer:8080/"]),
        ("http://10.0.0.7/gbfs.json", ["http://10.0.0.7/gbfs.json"]),
    ],
)
def test_a_host_may_lead_to_public_hosts_and_one_inside_to_any(configured, urls):
    for url in urls:
        check(url, configured)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0.0.0.0", "localhost"),
        *("10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "224.0.0.251"),
        *("[::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00::1]", "intranet.example"),
    ],
)
def test_a_public_host_may_not_lead_inside(host):
    with pytest.raises(allowed_urls.UrlRefused, match=r"feeds\.example leads to .*not a public address"):
        check(f"http://{host}/latest/meta-data")


def test_a_configured_host_is_not_looked_up_at_each_poll():
    def unexpected(host: str) -> list[str]:
        raise AssertionError(host)

    url = httpx.URL(PUBLIC)
    allowed_urls.check(url, configured=url, lookup=unexpected)


@pytest.mark.parametrize("url", ["ftp://feeds.example/a", "file:///etc/passwd", "gopher://127.0.0.1:6379/_"])
def test_only_http_and_https_are_asked(url):
    with pytest.raises(allowed_urls.UrlRefused, match="neither http nor https"):
        check(url)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".example"])
def test_a_name_that_is_unknown_here_is_left_to_the_connection(host):
    allowed_urls.check(httpx.URL(f"http://{host}/"), configured=httpx.URL(PUBLIC), lookup=lambda _: [])
    assert allowed_urls.addresses("a" * 70 + ".example") == []
