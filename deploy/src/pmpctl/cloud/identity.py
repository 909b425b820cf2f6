"""Identity tokens for calls of Cloud Run services."""

from collections.abc import Mapping

import google.auth
from google.auth import impersonated_credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.oauth2 import id_token

from pmpctl.errors import CommandError


def identity_token(audience: str, env: Mapping[str, str]) -> str:
    """A token for a service.

    `IDENTITY_TOKEN` is used unchanged: a user's own credentials cannot create a token for an audience, but
    `gcloud auth print-identity-token` does. `GOOGLE_IMPERSONATE_SERVICE_ACCOUNT` names an account to impersonate.
    Without either, the token is that of the default service account.

    Args:
        audience: URL of the service.
        env: the variables of the command.

    Raises:
        CommandError: no credentials can create a token; the message says what to set.
    """
    if env.get("IDENTITY_TOKEN"):
        return env["IDENTITY_TOKEN"]
    try:
        account = env.get("GOOGLE_IMPERSONATE_SERVICE_ACCOUNT")
        return _as(account, audience) if account else _own(audience)
    except GoogleAuthError as error:
        raise CommandError(
            f"no identity token ({type(error).__name__}): set IDENTITY_TOKEN=$(gcloud auth print-identity-token), "
            "or GOOGLE_IMPERSONATE_SERVICE_ACCOUNT"
        ) from error


def _own(audience: str) -> str:
    return str(id_token.fetch_id_token(Request(), audience))  # type: ignore[no-untyped-call]


def _as(account: str, audience: str) -> str:
    source, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    acting = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=source,
        target_principal=account,
        target_scopes=["https://www.googleapis.com/auth/cloud-platform"],
    )
    token = impersonated_credentials.IDTokenCredentials(  # type: ignore[no-untyped-call]
        acting, target_audience=audience, include_email=True
    )
    token.refresh(Request())
    return str(token.token)
