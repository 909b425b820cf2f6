"""How the process reaches the Storage Write API: an emulator in clear text, or Google with credentials."""

from typing import Any, Final

import grpc
from google.cloud.bigquery_storage_v1.services.big_query_write import BigQueryWriteClient
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport

_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    # The append path keeps to BigQuery's own limits, so gRPC's 4 MB must not cut in before them.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # gRPC waits up to two minutes between connection attempts; a sink that is back must be used at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Despite its name this bounds one connection attempt (20 s otherwise).
    ("grpc.min_reconnect_backoff_ms", 2_000),
)

# A connection that a middlebox forgot is noticed within 80 s instead of by the next append's time-out.
# Not for emulators: a gRPC server's default is to drop clients that ping more often than every 5 minutes.
_KEEPALIVE: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


def storage_write_channel(emulator_host: str | None) -> grpc.Channel:
    """A channel to the emulator at `host:port`, or to Google with the default credentials (TLS).

    Opens no connection yet. The caller closes it.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: no emulator is given and there are no credentials.
    """
    if emulator_host:
        return grpc.insecure_channel(emulator_host, options=_OPTIONS)
    return BigQueryWriteGrpcTransport.create_channel(options=(*_OPTIONS, *_KEEPALIVE))


def write_client(channel: grpc.Channel) -> Any:
    """The generated client on a channel; closing its transport closes the channel."""
    return BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel))
