"""Who may push: verification of the token that Pub/Sub sends with each request.

`oidc` verifies everything here: signature, audience, issuer, account, expiry. `iam` is for Cloud Run, whose front end
has verified the token already and removes its signature before the container sees it
(https://cloud.google.com/run/docs/triggering/pubsub-push), so only the claims are left to check. Both fail closed.
"""

import base64
import binascii
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final, Protocol

import msgspec
from google.auth import exceptions as auth_exceptions
from google.auth import jwt
from google.auth.transport.requests import Request

logger = logging.getLogger(__name__)

ISSUERS: Final = frozenset({"https://accounts.google.com", "accounts.google.com"})
CERTIFICATES_URL: Final = "https://www.googleapis.com/oauth2/v1/certs"
CLOCK_SKEW_S: Final = 10
LATEST_EXPIRY_S: Final = 2**40  # far beyond any token, and no more than a float can hold
MAX_TOKEN_BYTES: Final = 8000
VERDICTS: Final = 256
CERTIFICATES_MIN_AGE_S: Final = 60.0  # an unknown key id asks for new ones no more often than this
CERTIFICATES_MAX_AGE_S: Final = 3600.0


class Unauthenticated(Exception):
    """No token, or one that does not prove who sent it: 401."""


class Forbidden(Exception):
    """A proven sender that may not push here: 403."""


class TokenVerifier(Protocol):
    """Decides on an Authorization header."""

    def verify(self, authorization: str | None) -> None:
        """Raises:
        Unauthenticated: 401.
        Forbidden: 403.
        """


class NoVerifier:
    """Lets everyone push: for a laptop."""

    def verify(self, authorization: str | None) -> None:
        """Accepts anything."""


class ClaimsVerifier:
    """Checks the claims of a token whose signature someone else has verified."""

    def __init__(self, *, audience: str, account: str, clock: Callable[[], float] = time.time) -> None:
        self._audience = audience
        self._account = account
        self._clock = clock

    def verify(self, authorization: str | None) -> None:
        self.check(_unverified_claims(bearer(authorization)))

    def check(self, claims: Mapping[str, Any]) -> float:
        """The expiry of good claims, seconds since the epoch.

        Raises:
            Unauthenticated: issuer or expiry.
            Forbidden: audience or account.
        """
        if not isinstance(issuer := claims.get("iss"), str) or issuer not in ISSUERS:
            raise Unauthenticated("wrong issuer")
        expiry = claims.get("exp")
        if isinstance(expiry, bool) or not isinstance(expiry, int | float) or expiry > LATEST_EXPIRY_S:
            raise Unauthenticated("no expiry")
        if expiry + CLOCK_SKEW_S < self._clock():
            raise Unauthenticated("expired")
        if claims.get("aud") != self._audience:
            raise Forbidden("wrong audience")
        if claims.get("email") != self._account or claims.get("email_verified") is not True:
            raise Forbidden("wrong account")
        return float(expiry)


class Certificates(Protocol):
    """Google's signing certificates by key id, in PEM."""

    def __call__(self) -> Mapping[str, str]:
        """Raises:
        OSError: they cannot be had now.
        """


class SignatureVerifier:
    """Full verification; good verdicts are remembered until the token expires.

    Args:
        fetch: fetches the certificates anew; called for an unknown key id, at most once a minute.
    """

    def __init__(
        self, claims: ClaimsVerifier, fetch: Certificates, clock: Callable[[], float] = time.time
    ) -> None:
        self._claims = claims
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._fetching = Lock()
        self._certificates: Mapping[str, str] = {}
        self._fetched_at = float("-inf")
        self._verdicts: OrderedDict[bytes, float] = OrderedDict()

    def verify(self, authorization: str | None) -> None:
        token = bearer(authorization)
        digest = hashlib.sha256(token).digest()
        with self._lock:
            expiry = self._verdicts.get(digest)
        if expiry is not None and expiry > self._clock():
            return
        claims = self._signed_claims(token)
        expiry = self._claims.check(claims)
        with self._lock:
            self._verdicts[digest] = expiry
            while len(self._verdicts) > VERDICTS:
                self._verdicts.popitem(last=False)

    def _signed_claims(self, token: bytes) -> Mapping[str, Any]:
        key_id = _header(token).get("kid")
        certificate = self._certificate(key_id) if isinstance(key_id, str) else None
        if certificate is None:
            raise Unauthenticated("unknown key")
        try:
            # The audience is checked with the other claims, which decide between 401 and 403.
            claims: Mapping[str, Any] = jwt.decode(  # type: ignore[no-untyped-call]
                token, certs={key_id: certificate}, clock_skew_in_seconds=CLOCK_SKEW_S
            )
        except (ValueError, TypeError, auth_exceptions.GoogleAuthError) as error:
            raise Unauthenticated("bad token") from error
        return claims

    def _certificate(self, key_id: str) -> str | None:
        """The certificate of a key; cached ones serve on where new ones cannot be had.

        Only who needs a key that is not there waits for a fetch.
        """
        is_known = key_id in self._certificates
        if self._fetching.acquire(blocking=not is_known):
            try:
                self._refresh(
                    CERTIFICATES_MAX_AGE_S if key_id in self._certificates else CERTIFICATES_MIN_AGE_S
                )
            finally:
                self._fetching.release()
        return self._certificates.get(key_id)

    def _refresh(self, max_age_s: float) -> None:
        if self._clock() - self._fetched_at < max_age_s:
            return
        self._fetched_at = self._clock()
        try:
            self._certificates = self._fetch()
        except OSError:
            logger.exception("certificates.missed")


def verifier(push_auth: str, *, audience: str, account: str | None) -> TokenVerifier:
    """The verifier of a PUSH_AUTH value; `account` is only needed where a token is checked."""
    if push_auth == "none":
        return NoVerifier()
    claims = ClaimsVerifier(audience=audience, account=account or "")
    return claims if push_auth == "iam" else SignatureVerifier(claims, google_certificates)


def google_certificates() -> Mapping[str, str]:
    """Google's current certificates (https://www.googleapis.com/oauth2/v1/certs).

    Raises:
        OSError: no answer within 5 s, or none that can be read.
    """
    try:
        response = Request()(CERTIFICATES_URL, timeout=5.0)
        if response.status != 200:
            raise OSError(f"certificates: HTTP {response.status}")
        return msgspec.json.decode(response.data, type=dict[str, str])
    except (auth_exceptions.TransportError, msgspec.DecodeError) as error:
        raise OSError(f"certificates: {type(error).__name__}") from error


def bearer(authorization: str | None) -> bytes:
    """The token of an Authorization header.

    Raises:
        Unauthenticated: none, another scheme, or too long.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("no bearer token")
    if len(token) > MAX_TOKEN_BYTES:
        raise Unauthenticated("token too long")
    return token.strip().encode("utf-8", "replace")


def _unverified_claims(token: bytes) -> Mapping[str, Any]:
    parts = token.split(b".")
    if len(parts) != 3:
        raise Unauthenticated("not a token")
    return _segment(parts[1])


def _header(token: bytes) -> Mapping[str, Any]:
    return _segment(token.split(b".", 1)[0])


def _segment(part: bytes) -> Mapping[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (binascii.Error, ValueError, RecursionError) as error:
        raise Unauthenticated("not a token") from error
