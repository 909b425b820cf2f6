"""Who may push: what others send is neither read nor written. Signatures: tests/unit/writer/test_auth.py."""

import base64
import json
import time

from pmp_schema.message import Message
from pmp_schema.topology import TOPOLOGY
from tests.fakes.push_requests import wrapped
from tests.fakes.server_process import free_port

ACCOUNT = "pusher@pmp-test.iam.gserviceaccount.com"
PATH = "/push/sensor-events"


def claims(**changes):
    now = int(time.time())
    good = {
        "iss": "https://accounts.google.com",
        "aud": TOPOLOGY.push_audience,
        "email": ACCOUNT,
        "email_verified": True,
        "iat": now - 60,
        "exp": now + 3600,
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(header, signature="", **changes):
    return f"{part(header)}.{part(claims(**changes))}.{signature}"


WRONG_CLAIMS = [
    ({"aud": "https://writer.example"}, 403),
    ({"aud": ...}, 403),
    ({"email": "someone@else.example"}, 403),
    ({"email_verified": False}, 403),
    ({"iss": "https://accounts.example"}, 401),
    ({"iat": 1_700_000_000, "exp": 1_700_003_600}, 401),
    ({"exp": ...}, 401),
]


def status_of(bench, token):
    """How the writer answers a good event that comes with such a token, and not from the broker."""
    data = json.dumps(bench.event()).encode()
    headers, body = wrapped(Message(data=data, message_id=f"direct-{bench.event()['event_id']}"))
    given = {} if token is None else {"Authorization": f"Bearer {token}"}
    return bench.writer.request("POST", PATH, body, headers | given).status


def test_behind_iam_wrong_claims_write_nothing(bench):
    """18: behind IAM: no token, wrong audience, account, issuer, expired"""
    bench.writer.restart(PUSH_AUTH="iam", PUSH_SERVICE_ACCOUNT=ACCOUNT)
    removed = {"alg": "RS256", "kid": "k1"}
    for token in (None, "x", "a.b.c"):
        assert status_of(bench, token) == 401
    for changes, status in WRONG_CLAIMS:
        assert status_of(bench, unsigned(removed, "SIGNATURE_REMOVED_BY_GOOGLE", **changes)) == status
    assert bench.rows() == bench.rows("dead_letters") == []
    assert status_of(bench, unsigned(removed, "SIGNATURE_REMOVED_BY_GOOGLE")) == 204
    bench.note(published=[row["message_id"] for row in bench.rows()])
    assert len(bench.rows()) == 1


def test_without_certificates_nobody_may_push(bench):
    """18: certificate endpoint down from the start"""
    bench.writer.restart(
        PUSH_AUTH="oidc",
        PUSH_SERVICE_ACCOUNT=ACCOUNT,
        HTTPS_PROXY=f"http://127.0.0.1:{free_port()}",  # nobody listens: the endpoint is never asked
        NO_PROXY="127.0.0.1",
    )
    assert status_of(bench, unsigned({"alg": "RS256", "kid": "k1"}, part("signature"))) == 401
    assert status_of(bench, unsigned({"alg": "none"})) == 401
    assert bench.writer.request("GET", "/health").status == 200
    bench.note(published=[])
    assert bench.rows() == bench.rows("dead_letters") == []
