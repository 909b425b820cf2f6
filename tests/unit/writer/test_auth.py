import base64
import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.auth import crypt, jwt

from pmp_writer.auth import (
    CERTIFICATES_MAX_AGE_S,
    CERTIFICATES_MIN_AGE_S,
    VERDICTS,
    ClaimsVerifier,
    Forbidden,
    NoVerifier,
    SignatureVerifier,
    Unauthenticated,
    verifier,
)
from tests.fakes.clock import Clock

ACCOUNT = "pusher@p.iam.gserviceaccount.com"
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"


@dataclass
class Key:
    """A signing key and its certificate, as Google publishes it."""

    private: object = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    @property
    def certificate(self):
        builder = x509.CertificateBuilder(
            issuer_name=NAME,
            subject_name=NAME,
            public_key=self.private.public_key(),
            serial_number=1,
            not_valid_before=datetime(2020, 1, 1, tzinfo=UTC),
            not_valid_after=datetime(2100, 1, 1, tzinfo=UTC),
        )
        signed = builder.sign(self.private, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()


KEY, OTHER = Key(), Key()


@dataclass
class Endpoint:
    """Where certificates come from; `down` makes it fail."""

    certificates: dict
    down: bool = False
    fetches: int = 0

    def __call__(self):
        self.fetches += 1
        if self.down:
            raise OSError("down")
        return self.certificates


@pytest.fixture
def clock():
    return Clock(datetime.now(UTC).timestamp())  # google-auth checks against the real one


@pytest.fixture
def endpoint():
    return Endpoint({"k1": KEY.certificate})


@pytest.fixture
def oidc(clock, endpoint):
    return SignatureVerifier(
        ClaimsVerifier(audience="pmp-writer", account=ACCOUNT, clock=clock), endpoint, clock
    )


@pytest.fixture
def iam(clock):
    return ClaimsVerifier(audience="pmp-writer", account=ACCOUNT, clock=clock)


def claims(clock, **changes):
    good = {
        "iss": "https://accounts.google.com",
        "aud": "pmp-writer",
        "email": ACCOUNT,
        "email_verified": True,
        "sub": "1",
        "iat": int(clock.now_s) - 60,
        "exp": int(clock.now_s) + 3600,
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def signed(payload, key=KEY, kid="k1", signer=crypt.RSASigner):
    return "Bearer " + jwt.encode(signer(key.private), payload, key_id=kid).decode()


def unsigned(header, payload, signature=""):
    parts = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (header, payload)
    )
    return f"Bearer {'.'.join(parts)}.{signature}"


def outcome(verifier, authorization):
    try:
        verifier.verify(authorization)
    except Unauthenticated as cause:
        return 401, str(cause)
    except Forbidden as cause:
        return 403, str(cause)
    return 204, ""


NO_TOKEN = [
    None,
    "",
    "Bearer",
    "Bearer  ",
    "Basic dXNlcjpwYXNz",
    "Bearer x",
    "Bearer a.b",
    "Bearer a.b.c",
    "Bearer ....",
    "Bearer \xff.\xff.\xff",
    "Bearer " + "x" * 8001,
    "Bearer " + ".".join([base64.urlsafe_b64encode(b"[" * 5000).decode()] * 3)[:7000],
    "Bearer " + ".".join([base64.urlsafe_b64encode(b"[]").decode()] * 3),
]
BAD_CLAIMS = [
    ({"iss": "https://accounts.example.com"}, 401),
    ({"iss": ...}, 401),
    ({"iss": ["https://accounts.google.com"]}, 401),
    ({"exp": ...}, 401),
    ({"exp": "tomorrow"}, 401),
    ({"exp": True}, 401),
    ({"exp": 10**400}, 401),
    ({"aud": "https://writer.run.app"}, 403),
    ({"aud": ["pmp-writer"]}, 403),
    ({"aud": ...}, 403),
    ({"email": "someone@else.iam.gserviceaccount.com"}, 403),
    ({"email": ...}, 403),
    ({"email_verified": False}, 403),
    ({"email_verified": "true"}, 403),
    ({"email_verified": ...}, 403),
]


def test_a_good_token_passes(oidc, iam, clock):
    assert outcome(oidc, signed(claims(clock))) == (204, "")
    assert outcome(oidc, signed(claims(clock, iss="accounts.google.com")).replace("Bearer", "bearer")) == (
        204,
        "",
    )
    assert outcome(iam, signed(claims(clock))) == (204, "")


@pytest.mark.parametrize("authorization", NO_TOKEN)
@pytest.mark.parametrize("mode", ["oidc", "iam"])
def test_what_is_no_token_is_401(mode, authorization, request):
    status, _ = outcome(request.getfixturevalue(mode), authorization)
    assert status == 401


@pytest.mark.parametrize(("changes", "status"), BAD_CLAIMS)
def test_wrong_claims_are_refused_with_and_without_a_signature(oidc, iam, clock, changes, status):
    wrong = claims(clock, **changes)
    assert outcome(oidc, signed(wrong))[0] == status
    assert outcome(iam, unsigned({"alg": "RS256", "kid": "k1"}, wrong, REMOVED))[0] == status


def test_a_token_without_its_signature_passes_where_iam_has_checked_it(iam, oidc, clock):
    token = unsigned({"alg": "RS256", "kid": "k1"}, claims(clock), REMOVED)
    assert outcome(iam, token) == (204, "")
    assert outcome(oidc, token) == (401, "bad token")


def test_an_expired_token_is_401_but_for_the_clocks_skew(oidc, iam, clock):
    now = int(clock.now_s)
    for mode in (oidc, iam):
        assert outcome(mode, signed(claims(clock, iat=now - 3700, exp=now - 100)))[0] == 401
        assert outcome(mode, signed(claims(clock, iat=now - 3700, exp=now - 3)))[0] == 204


def signed_with_a_secret(payload, secret):
    text = unsigned({"alg": "HS256", "typ": "JWT", "kid": "k1"}, payload).removeprefix("Bearer ")[:-1]
    mac = base64.urlsafe_b64encode(hmac.new(secret, text.encode(), hashlib.sha256).digest()).rstrip(b"=")
    return f"Bearer {text}.{mac.decode()}"


def with_changed_claims(payload):
    header, _, signature = signed(payload).split(".")
    return f"{header}.{signed(payload | {'sub': '2'}).split('.')[1]}.{signature}"


PUBLIC = KEY.private.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
ELLIPTIC = Key(ec.generate_private_key(ec.SECP256R1()))
FORGED = [
    (lambda good: signed(good | {"iat": good["iat"] + 660}), "bad token"),
    (lambda good: signed_with_a_secret(good, PUBLIC), "bad token"),
    (lambda good: signed_with_a_secret(good, KEY.certificate.encode()), "bad token"),
    (lambda good: signed(good, key=ELLIPTIC, signer=crypt.ES256Signer), "bad token"),
    (lambda good: signed(good, key=OTHER), "bad token"),
    (with_changed_claims, "bad token"),
    (lambda good: signed(good, kid="k9"), "unknown key"),
]


@pytest.mark.parametrize(("forge", "detail"), FORGED)
def test_a_forged_token_is_401(oidc, clock, forge, detail):
    assert outcome(oidc, forge(claims(clock))) == (401, detail)


def test_a_token_without_algorithm_or_with_an_odd_key_id_is_401(oidc, clock):
    for alg in ("none", "None", "", None, ["RS256"]):
        assert outcome(oidc, unsigned({"alg": alg, "kid": "k1"}, claims(clock)))[0] == 401
    for kid in (["k1"], 1, {"a": 1}, None):
        token = unsigned({"alg": "RS256", "kid": kid}, claims(clock), "x")
        assert outcome(oidc, token) == (401, "unknown key")


def test_certificates_are_fetched_once_and_again_after_an_hour(oidc, clock, endpoint):
    for sub in ("1", "2"):
        assert outcome(oidc, signed(claims(clock, sub=sub)))[0] == 204
    assert endpoint.fetches == 1
    clock.now_s += CERTIFICATES_MAX_AGE_S
    assert outcome(oidc, signed(claims(clock, iat=int(clock.now_s) - 4000)))[0] == 204
    assert endpoint.fetches == 2


def test_a_new_key_is_found_after_a_rotation(oidc, clock, endpoint):
    assert outcome(oidc, signed(claims(clock)))[0] == 204
    endpoint.certificates = {"k2": OTHER.certificate}
    clock.now_s += CERTIFICATES_MIN_AGE_S
    assert outcome(oidc, signed(claims(clock), key=OTHER, kid="k2"))[0] == 204
    assert outcome(oidc, signed(claims(clock, sub="2")))[0] == 401


def test_unknown_keys_ask_for_certificates_once_a_minute_only(oidc, clock, endpoint):
    for number in range(20):
        assert outcome(oidc, signed(claims(clock), kid=f"x{number}"))[0] == 401
    assert endpoint.fetches == 1
    clock.now_s += CERTIFICATES_MIN_AGE_S
    outcome(oidc, signed(claims(clock), kid="x"))
    assert endpoint.fetches == 2


def test_without_any_certificate_everyone_is_refused_until_there_is_one(oidc, clock, endpoint):
    endpoint.down = True
    assert outcome(oidc, signed(claims(clock))) == (401, "unknown key")
    endpoint.down = False
    clock.now_s += CERTIFICATES_MIN_AGE_S
    assert outcome(oidc, signed(claims(clock)))[0] == 204


def test_cached_certificates_serve_on_while_the_endpoint_is_down(oidc, clock, endpoint):
    assert outcome(oidc, signed(claims(clock)))[0] == 204
    endpoint.down = True
    clock.now_s += CERTIFICATES_MAX_AGE_S
    for sub in ("2", "3"):
        assert outcome(oidc, signed(claims(clock, sub=sub, iat=int(clock.now_s) - 4000)))[0] == 204
    assert endpoint.fetches == 2


def test_a_hanging_fetch_holds_up_only_who_needs_its_certificate(clock, endpoint):
    hanging, go_on = Event(), Event()

    def fetch():
        if endpoint.fetches:
            hanging.set()
            assert go_on.wait(20)
        return endpoint()

    oidc = SignatureVerifier(
        ClaimsVerifier(audience="pmp-writer", account=ACCOUNT, clock=clock), fetch, clock
    )
    assert outcome(oidc, signed(claims(clock)))[0] == 204
    clock.now_s += CERTIFICATES_MIN_AGE_S
    with ThreadPoolExecutor() as pool:
        unknown = pool.submit(outcome, oidc, signed(claims(clock), kid="k9"))
        try:
            assert hanging.wait(20)
            known = pool.submit(outcome, oidc, signed(claims(clock, sub="2")))
            assert known.result(20) == (204, "")
            assert not unknown.done()
        finally:
            go_on.set()
        assert unknown.result(20)[0] == 401


def test_a_verdict_is_remembered_until_the_token_expires(oidc, clock, endpoint):
    token = signed(claims(clock))
    assert outcome(oidc, token)[0] == 204
    endpoint.certificates.clear()
    assert outcome(oidc, token)[0] == 204
    assert endpoint.fetches == 1
    clock.now_s += 3611
    assert outcome(oidc, token)[0] == 401


def test_a_refusal_is_not_remembered(oidc, clock, endpoint):
    token = signed(claims(clock), key=OTHER, kid="k2")
    assert outcome(oidc, token)[0] == 401
    endpoint.certificates["k2"] = OTHER.certificate
    clock.now_s += CERTIFICATES_MIN_AGE_S
    assert outcome(oidc, token)[0] == 204


def test_verdicts_are_bounded(oidc, clock):
    for number in range(VERDICTS + 5):
        assert outcome(oidc, signed(claims(clock, sub=str(number))))[0] == 204
    assert len(oidc._verdicts) == VERDICTS


def test_the_setting_chooses_the_verifier():
    def chosen(push_auth):
        return type(verifier(push_auth, audience="a", account="b"))

    assert [chosen(p) for p in ("none", "iam", "oidc")] == [NoVerifier, ClaimsVerifier, SignatureVerifier]


def test_nobody_is_asked_on_a_laptop():
    assert outcome(NoVerifier(), None) == (204, "")
