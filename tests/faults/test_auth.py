"""Who may push: what others send is neither read nor written."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

from pmp_runtime.bigquery.append.channel import storage_write_channel, write_client
from pmp_schema.message import Message
from pmp_schema.topology import TOPOLOGY
from pmp_writer.app import create_app
from pmp_writer.auth import CERTIFICATES_MIN_AGE_S, ClaimsVerifier, SignatureVerifier
from pmp_writer.config import Config
from pmp_writer.handler import Handler
from pmp_writer.sinks import Sinks
from tests.fakes.push_requests import wrapped
from tests.fakes.recording import RecordingPublisher
from tests.fakes.server_process import free_port
from tests.faults.bench import PROJECT

ACCOUNT = "pusher@pmp-test.iam.gserviceaccount.com"
PATH = "/push/sensor-events"


class Key:
    """A signing key, and its certificate as Google publishes it."""

    def __init__(self):
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        builder = x509.CertificateBuilder(
            issuer_name=name,
            subject_name=name,
            public_key=self.private.public_key(),
            serial_number=1,
            not_valid_before=datetime(2020, 1, 1, tzinfo=UTC),
            not_valid_after=datetime(2100, 1, 1, tzinfo=UTC),
        )
        signed = builder.sign(self.private, hashes.SHA256())
        self.certificate = signed.public_bytes(serialization.Encoding.PEM).decode()

    def token(self, kid="k1", **changes):
        return jwt.encode(crypt.RSASigner(self.private), claims(**changes), key_id=kid).decode()


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


def with_public_key_as_secret(key):
    text = unsigned({"alg": "HS256", "kid": "k1"})[:-1]
    mac = hmac.new(key.certificate.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


WRONG_CLAIMS = [
    ({"aud": "https://writer.example"}, 403),
    ({"aud": ...}, 403),
    ({"email": "someone@else.example"}, 403),
    ({"email_verified": False}, 403),
    ({"iss": "https://accounts.example"}, 401),
    ({"iat": 1_700_000_000, "exp": 1_700_003_600}, 401),
    ({"exp": ...}, 401),
]


@pytest.fixture(scope="module")
def key():
    return Key()


def request_of(bench):
    """A good event of its own, as a push that goes round the broker: (message id, headers, body)."""
    message_id = f"direct-{bench.event()['event_id']}"
    data = json.dumps(bench.event()).encode()
    return message_id, *wrapped(Message(data=data, message_id=message_id))


def status_of(bench, token):
    _, headers, body = request_of(bench)
    given = {} if token is None else {"Authorization": f"Bearer {token}"}
    return bench.writer.http.request("POST", PATH, body, headers | given).status


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


def test_without_certificates_nobody_may_push(bench, key):
    """18: certificate endpoint down from the start"""
    bench.writer.restart(
        PUSH_AUTH="oidc",
        PUSH_SERVICE_ACCOUNT=ACCOUNT,
        HTTPS_PROXY=f"http://127.0.0.1:{free_port()}",  # nobody listens: the endpoint is never asked
        NO_PROXY="127.0.0.1",
    )
    assert status_of(bench, key.token()) == 401
    assert status_of(bench, unsigned({"alg": "none"})) == 401
    assert bench.writer.http.request("GET", "/health").status == 200
    bench.note(published=[])
    assert bench.rows() == bench.rows("dead_letters") == []


def test_signatures_decide_and_rotated_certificates_are_followed(bench, key):
    """18: alg none, HS256 with the public key, another's key, rotated certificates, endpoint down later"""
    other, rotated = Key(), Key()
    certificates = {"k1": key.certificate}
    now = [time.time()]
    down = []

    def fetch():
        if down:
            raise OSError("down")
        return dict(certificates)

    verifier = SignatureVerifier(
        ClaimsVerifier(audience=TOPOLOGY.push_audience, account=ACCOUNT), fetch, lambda: now[0]
    )
    channel = storage_write_channel(bench.storage.address)
    sinks = Sinks(Config(project=PROJECT, push_auth="none"), write_client(channel))
    handler = Handler(sinks.by_table, RecordingPublisher(), lambda: datetime.now(UTC))
    app = create_app(handler, verifier, project=PROJECT, check_ready=sinks.ping)
    accepted = []

    def push(token):
        message_id, headers, body = request_of(bench)
        headers["Authorization"] = f"Bearer {token}"
        status = app.test_client().post(PATH, data=body, headers=headers).status_code
        if status == 204:
            accepted.append(message_id)
        return status

    attacks = [
        unsigned({"alg": "none", "kid": "k1"}),
        unsigned({"alg": "RS256", "kid": "k1"}, "SIGNATURE_REMOVED_BY_GOOGLE"),
        with_public_key_as_secret(key),
        other.token(),
        key.token(kid="k9"),
    ]
    assert [push(token) for token in attacks] == [401] * len(attacks)
    assert [push(key.token(**changes)) for changes, _ in WRONG_CLAIMS] == [code for _, code in WRONG_CLAIMS]
    assert bench.rows() == []
    assert push(key.token()) == 204
    certificates["k2"] = rotated.certificate
    now[0] += CERTIFICATES_MIN_AGE_S + 1
    assert push(rotated.token(kid="k2")) == 204
    down.append(True)
    now[0] += 2 * 3600
    assert push(rotated.token(kid="k2", exp=int(now[0]) + 600)) == 204  # those that are known serve on
    assert push(other.token(kid="k3")) == 401
    channel.close()
    outcome = bench.note(published=accepted)
    assert (outcome.messages, len(bench.rows())) == (3, 3)
