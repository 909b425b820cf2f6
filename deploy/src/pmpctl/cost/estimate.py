"""A month's cost by component: usage times prices, and what changes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pmp_schema.topology import TOPOLOGY
from pmpctl.cost.prices import Prices
from pmpctl.cost.usage import Usage
from pmpctl.terminal import plural

_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One component.

    Attributes:
        measured: the month's amount, in words.
        list_usd: the month at list prices.
        billed_usd: the same without the free monthly quota.
        per_million_usd: list price of a million published messages; None if it does not depend on messages.
        lever: what lowers it.
    """

    component: str
    measured: str
    list_usd: float
    billed_usd: float
    per_million_usd: float | None
    lever: str


@dataclass(frozen=True, slots=True)
class Running:
    """Something that costs until it is stopped, and its price per month."""

    what: str
    month_usd: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A month at the rate of the measured days."""

    usage: Usage
    prices: Prices

    @property
    def messages(self) -> float:
        return self._month(sum(self.usage.traffic.messages.values()))

    def components(self) -> tuple[Cost, ...]:
        return (
            self._pubsub(),
            self._dataflow(),
            self._run(),
            self._writes(),
            self._storage(),
            self._queries(),
            self._schedules(),
        )

    def running(self) -> tuple[Running, ...]:
        """What costs until it is stopped, even without messages."""
        seconds = self.prices.assumed("hours_a_month") * 3600
        idle_cpu, memory = self.prices["run_idle_cpu"], self.prices["run_memory"]
        return (
            *(
                Running(f"Dataflow job {job.name} ({job.state})", self.prices.streaming_job_month_usd)
                for job in self.usage.jobs
                if job.streaming
            ),
            *(
                Running(
                    f"{plural(s.min_instances, 'minimum instance')} of {s.id}",
                    s.min_instances
                    * (idle_cpu.list_usd(seconds * s.cpus) + memory.list_usd(seconds * s.memory_gib)),
                )
                for s in self.usage.services
                if s.min_instances
            ),
        )

    def _pubsub(self) -> Cost:
        published = self._published_bytes()
        delivered = (published.get(s.topic.id, 0.0) for s in TOPOLOGY.subscriptions if s.mode == "always")
        amount = self._month(sum(published.values()) + sum(delivered))
        return self._cost(
            "Pub/Sub",
            f"{_size(amount)} published and delivered",
            {"pubsub": amount},
            "poll less often; unchanged feeds are not published",
            by_message=True,
        )

    def _dataflow(self) -> Cost:
        hours = self._month(self.usage.job_hours)
        snapshots = self.usage.traffic.feed_bytes.get(TOPOLOGY.topics["snapshots"].id, 0) if hours else 0
        amounts = self.prices.worker_hours(hours)
        amounts["dataflow_data"] = self._month(snapshots * self.prices.assumed("streaming_engine_share"))
        all_month = self.prices.streaming_job_month_usd
        lever = f"`pmpctl down`; one job all month is {all_month:,.2f} USD"
        return self._cost("Dataflow", f"{hours:,.1f} hours of streaming jobs", amounts, lever)

    def _run(self) -> Cost:
        cpu, memory = self._instance_seconds()
        amounts = {"run_request": self._month(self._requests()), "run_cpu": cpu, "run_memory": memory}
        source = " (by messages)" if self.usage.requests is None else ""
        return self._cost(
            "Cloud Run",
            f"{amounts['run_request']:,.0f} requests, {cpu:,.0f} vCPU seconds{source}",
            amounts,
            "no minimum instances; many sensor events by pull (sensor_ingestion) instead of push",
            by_message=True,
        )

    def _writes(self) -> Cost:
        amount = self._month(sum(self._published_bytes().values()))
        return self._cost(
            "BigQuery writes",
            f"{_size(amount)} appended",
            {"bigquery_write": amount},
            "2 TiB a month are free",
            by_message=True,
        )

    def _storage(self) -> Cost:
        amount = float(self.usage.table_bytes)  # what is stored now, not what a month adds
        lever = "a partition expiration on feed_snapshots; half the price after 90 days without a change"
        return self._cost(
            "BigQuery storage", f"{_size(amount)} in tables", {"bigquery_storage": amount}, lever
        )

    def _queries(self) -> Cost:
        amount = self._month(self.usage.scanned_bytes or 0.0)
        measured = "not measured" if self.usage.scanned_bytes is None else f"{_size(amount)} billed"
        lever = "name the partition column; fewer feature runs; a custom quota of bytes a day"
        return self._cost("BigQuery queries", measured, {"bigquery_query": amount}, lever)

    def _schedules(self) -> Cost:
        count, enabled = self.usage.schedules
        measured = f"{count} schedules, {enabled} enabled"
        lever = "fewer schedules; paused ones cost as much"
        return self._cost("Cloud Scheduler", measured, {"scheduler": float(count)}, lever)

    def _cost(
        self,
        component: str,
        measured: str,
        amounts: Mapping[str, float],
        lever: str,
        *,
        by_message: bool = False,
    ) -> Cost:
        list_usd = sum(self.prices[name].list_usd(amount) for name, amount in amounts.items())
        return Cost(
            component=component,
            measured=measured,
            list_usd=list_usd,
            billed_usd=sum(self.prices[name].billed_usd(amount) for name, amount in amounts.items()),
            per_million_usd=list_usd / self.messages * 1e6 if by_message and self.messages else None,
            lever=lever,
        )

    def _published_bytes(self) -> dict[str, float]:
        """Bytes by topic: the size of feed bodies; Pub/Sub's smallest charge for each other message."""
        small, traffic = self.prices.assumed("small_message_bytes"), self.usage.traffic
        return {
            topic: traffic.feed_bytes.get(topic) or count * small for topic, count in traffic.messages.items()
        }

    def _requests(self) -> float:
        """Measured; without metrics one for each pushed message and each poll."""
        if self.usage.requests is not None:
            return sum(self.usage.requests.values())
        traffic = self.usage.traffic
        pushed = (s.topic.id for s in TOPOLOGY.subscriptions if s.push_path is not None)
        return float(sum(traffic.messages.get(topic, 0) for topic in pushed) + traffic.polls)

    def _instance_seconds(self) -> tuple[float, float]:
        """Returns vCPU seconds and GiB seconds of a month."""
        measured = self.usage.instance_seconds
        if measured is None:
            seconds = self._month(self._requests() * self.prices.assumed("request_seconds"))
            return seconds, seconds * self.prices.assumed("request_gib")
        found = [(s, self._month(measured[s.id])) for s in self.usage.services if s.id in measured]
        cpu = sum(seconds * service.cpus for service, seconds in found)
        return cpu, sum(seconds * service.memory_gib for service, seconds in found)

    def _month(self, amount: float) -> float:
        return amount * self.prices.assumed("hours_a_month") / 24 / self.usage.days


def _size(amount: float) -> str:
    return f"{amount / _GIB:,.2f} GiB" if amount >= _GIB / 100 else f"{amount / 1024**2:,.2f} MiB"
