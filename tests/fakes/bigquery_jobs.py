"""BigQuery's query jobs as its REST API keeps them, stricter than its emulator: an id is taken for ever.

A job runs as far as a test says. Ids are unique within a location, and a job is found in its own only.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from google.cloud import bigquery

from pmp_runtime.bigquery.queries import query_client
from tests.fakes.http_server import Request, http_server

LOCATION = "europe-west1"


@dataclass
class BigQueryJobs:
    """Attributes:
    jobs: resource by id, in the order in which they were inserted.
    inserts: every requested id, duplicates too.
    cancelled: ids.
    values: the one value of a finished job's result, by id.
    lose_answers: so many inserts succeed and are answered 503.
    limited: so many inserts are answered 403 for their rate.
    ends: how the next jobs end when they are waited for: a reason, or None for success.
    told_as: status and prefix of the reason in the answer to a client that waits for a failed job.
    refuse: ids with such an end are answered 403.
    down: every call is answered 503.
    clock: seconds since the epoch.
    """

    client: bigquery.Client
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    inserts: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)
    lose_answers: int = 0
    limited: int = 0
    ends: list[str | None] = field(default_factory=list)
    told_as: tuple[int, str] = (400, "job")
    refuse: str | None = None
    down: bool = False
    clock: Callable[[], float] = time.time
    lock: Any = field(default_factory=threading.Lock)

    def run(self, job_id: str) -> None:
        self.jobs[job_id]["status"] = {"state": "RUNNING"}
        self.jobs[job_id]["statistics"]["startTime"] = self._ms()

    def finish(self, job_id: str, value: int = 0) -> None:
        if self.jobs[job_id]["status"]["state"] == "PENDING":
            self.run(job_id)
        self.jobs[job_id]["status"] = {"state": "DONE"}
        self.jobs[job_id]["statistics"]["endTime"] = self._ms()
        self.values[job_id] = value

    def fail(self, job_id: str, reason: str, message: str) -> None:
        self.finish(job_id)
        self.jobs[job_id]["status"]["errorResult"] = {"reason": reason, "message": message}

    def answer(
        self, method: str, path: list[str], query: dict[str, str], body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        if self.down:
            return 503, _error(503, "backendError", "down")
        if path[0] == "datasets":
            return 200, {"datasetReference": {"projectId": "p", "datasetId": path[1]}, "location": LOCATION}
        if method == "POST" and path == ["jobs"]:
            return self._insert(body)
        job = self.jobs.get(path[1])
        if job is None or job["jobReference"].get("location", "US") != query.get("location", "US"):
            return 404, _error(404, "notFound", f"Not found: Job {path[1]}")
        if path[0] == "queries":
            return self._wait(job)
        if path[2:] == ["cancel"]:
            self.cancelled.append(path[1])
            return 200, {"job": job}
        return 200, job

    def _insert(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        job_id = body["jobReference"]["jobId"]
        self.inserts.append(job_id)
        if self.refuse is not None and job_id.endswith(self.refuse):
            return 403, _error(403, "accessDenied", "Access Denied")
        if self.limited:
            self.limited -= 1
            return 403, _error(403, "rateLimitExceeded", "Exceeded rate limits: too many api requests")
        if job_id in self.jobs:
            return 409, _error(409, "duplicate", f"Already Exists: Job {job_id}")
        self.jobs[job_id] = body | {
            "status": {"state": "PENDING"},
            "statistics": {"creationTime": self._ms(), "query": {"statementType": "SCRIPT"}},
        }
        if self.lose_answers:
            self.lose_answers -= 1
            return 503, _error(503, "backendError", "the answer is lost")
        return 200, self.jobs[job_id]

    def _wait(self, job: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        job_id = job["jobReference"]["jobId"]
        if self.ends and job["status"]["state"] == "PENDING":
            reason = self.ends.pop(0)
            self.finish(job_id) if reason is None else self.fail(job_id, reason, reason)
        failure = job["status"].get("errorResult")
        if failure is None:
            return 200, self._result(job)
        reason = failure["reason"]
        status, prefix = self.told_as
        told = f"{prefix}{reason[0].upper()}{reason[1:]}" if prefix else reason
        return status, _error(status, told, failure["message"])

    def _result(self, job: dict[str, Any]) -> dict[str, Any]:
        value = str(self.values[job["jobReference"]["jobId"]])
        return {
            "jobReference": job["jobReference"],
            "jobComplete": True,
            "schema": {"fields": [{"name": "written", "type": "INTEGER"}]},
            "totalRows": "1",
            "rows": [{"f": [{"v": value}]}],
        }

    def _ms(self) -> str:
        return str(int(self.clock() * 1000))


def _error(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "errors": [{"reason": reason, "message": message}]}}


@contextmanager
def bigquery_jobs(project: str = "pmp-test") -> Iterator[BigQueryJobs]:
    """Serves on a free port until the end of the block."""

    def answer(request: Request) -> tuple[int, Any]:
        url = urlsplit(request.path)
        path = url.path.split(f"/projects/{project}/", 1)[1].strip("/").split("/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with fake.lock:
            return fake.answer(request.method, path, query, request.json)

    with http_server(answer) as url:
        fake = BigQueryJobs(query_client(project, url))
        try:
            yield fake
        finally:
            fake.client.close()
