"""Google's own credentials against a metadata server and a token endpoint on loopback."""

import base64
import json
import os
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pmpctl.cloud.identity import identity_token
from pmpctl.errors import CommandError
from tests.fakes.json_server import json_server

AUDIENCE = "https://pmp-collector.run.app"


def jwt(**claims):
    parts = ({"alg": "none"}, {"exp": 4_102_444_800, **claims})
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + ".eA"
    )


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Where Google's credentials look for themselves: nowhere but here."""
    with json_server() as fake:
        address = fake.url.removeprefix("http://")
        monkeypatch.setenv("GCE_METADATA_HOST", address)
        monkeypatch.setenv("GCE_METADATA_IP", address)
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        yield fake


@pytest.fixture
def account(server, monkeypatch, tmp_path):
    """The key file of a service account."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "key.json"
    content = {
        "type": "service_account",
        "client_email": "me@pmp-test.iam.gserviceaccount.com",
        "private_key": pem.decode(),
        "token_uri": f"{server.url}/token",
    }
    path.write_text(json.dumps(content), "utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    return server


def test_a_given_token_is_used_as_it_is(server):
    assert identity_token(AUDIENCE, {"IDENTITY_TOKEN": "t"}) == "t"
    assert server.seen == []


def test_on_google_cloud_the_metadata_server_gives_it(server):
    accounts = "GET /computeMetadata/v1/instance/service-accounts/default/"
    server.answers = {
        "GET /": [(200, {})],
        accounts: [(200, {"email": "me@pmp-test.iam.gserviceaccount.com", "scopes": []})],
        f"{accounts}identity": [(200, jwt(aud=AUDIENCE))],
    }
    # Google's library reads the address when it is imported.
    program = f"from pmpctl.cloud.identity import identity_token; print(identity_token({AUDIENCE!r}, {{}}))"
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.stderr) == (jwt(aud=AUDIENCE), "")
    assert "audience=https%3A%2F%2Fpmp-collector.run.app" in server.seen[-1].path


def test_a_key_file_gives_it(account):
    account.answers = {"POST /token": [(200, {"id_token": jwt(aud=AUDIENCE)})]}
    assert identity_token(AUDIENCE, {}) == jwt(aud=AUDIENCE)
    (seen,) = account.seen
    claims = seen.body.decode().partition("assertion=")[2].partition("&")[0].split(".")[1]
    asked = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert asked["target_audience"] == AUDIENCE


@pytest.mark.parametrize("env", [{}, {"GOOGLE_IMPERSONATE_SERVICE_ACCOUNT": "s@p.iam.gserviceaccount.com"}])
def test_without_credentials_one_line_says_what_to_set(server, monkeypatch, env):
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(CommandError) as refused:
        identity_token(AUDIENCE, env)
    assert str(refused.value) == (
        "no identity token (DefaultCredentialsError): set IDENTITY_TOKEN=$(gcloud auth print-identity-token), "
        "or GOOGLE_IMPERSONATE_SERVICE_ACCOUNT"
    )
