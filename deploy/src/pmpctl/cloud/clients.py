"""Clients of Google's APIs: created at first use; every call has a timeout, every failure is one line."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import grpc
from google.api_core import retry

from pmp_runtime.retry import retrying
from pmpctl.calls import Call
from pmpctl.errors import CommandError
from pmpctl.google_errors import readable_failures

CALL_TIMEOUT_S: Final = 20.0
_RETRY: Final = retrying(30.0)


class Google:
    """The APIs of one project and region.

    Args:
        clients: factory of the client of each API.

    Raises:
        CommandError: from each method: Google refuses or does not answer, or there are no credentials.
    """

    def __init__(self, project: str, region: str, clients: Mapping[str, Callable[[], Any]]) -> None:
        self.project = project
        self.region = region
        self._make = clients
        self._clients: dict[str, Any] = {}

    @property
    def parent(self) -> str:
        return f"projects/{self.project}/locations/{self.region}"

    def read_all(self, api: str, method: str, request: Mapping[str, Any]) -> list[Any]:
        """Every item of a paged response."""
        with readable_failures(f"{api}.{method}"):
            return list(self._call(api, method, request, _RETRY))

    def change(self, call: Call) -> None:
        """Makes a planned call."""
        with readable_failures(f"{call.api}.{call.method}"):
            self._call(call.api, call.method, call.request, _RETRY if call.repeatable else None)

    def _call(self, api: str, method: str, request: Mapping[str, Any], again: retry.Retry | None) -> Any:
        if api not in self._clients:
            self._clients[api] = self._make[api]()
        return getattr(self._clients[api], method)(request=dict(request), retry=again, timeout=CALL_TIMEOUT_S)


def connect(project: str, region: str, *, channel: grpc.Channel | None = None) -> Google:
    """The APIs with the default credentials, or those behind a channel.

    Raises:
        CommandError: the client libraries are not installed.
    """
    try:
        kinds = _kinds()
    except ImportError as error:
        raise CommandError(
            f"--target cloud needs Google's clients ({error.name} is missing): install pmpctl[cloud]"
        ) from error
    return Google(project, region, {api: _maker(kind, channel) for api, kind in kinds.items()})


def short_name(name: str) -> str:
    """The last part of a full resource name."""
    return name.rsplit("/", 1)[-1]


def _maker(kind: Any, channel: grpc.Channel | None) -> Callable[[], Any]:
    if channel is None:
        return kind  # type: ignore[no-any-return]
    return lambda: kind(transport=kind.get_transport_class("grpc")(channel=channel))


def _kinds() -> dict[str, Any]:
    # Imported here because the local stack does not install them.
    from google.cloud.dataflow_v1beta3 import JobsV1Beta3Client  # noqa: PLC0415
    from google.cloud.monitoring_v3 import MetricServiceClient  # noqa: PLC0415
    from google.cloud.run_v2 import ExecutionsClient, JobsClient, ServicesClient  # noqa: PLC0415
    from google.cloud.scheduler_v1 import CloudSchedulerClient  # noqa: PLC0415

    return {
        "scheduler": CloudSchedulerClient,
        "run.services": ServicesClient,
        "run.jobs": JobsClient,
        "run.executions": ExecutionsClient,
        "dataflow": JobsV1Beta3Client,
        "monitoring": MetricServiceClient,
    }
