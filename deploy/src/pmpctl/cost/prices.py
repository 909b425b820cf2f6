"""The price table of `pmpctl cost`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """`usd` for `per` units, of which `free` a month are free. `page` said so on the day `as_of`."""

    usd: float
    per: float
    free: float
    unit: str
    page: str
    as_of: date

    def list_usd(self, amount: float) -> float:
        return amount / self.per * self.usd

    def billed_usd(self, amount: float) -> float:
        return self.list_usd(max(0.0, amount - self.free))


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices and assumptions by name."""

    prices: Mapping[str, Price]
    assumptions: Mapping[str, float]

    def __getitem__(self, name: str) -> Price:
        return self.prices[name]

    def assumed(self, name: str) -> float:
        return float(self.assumptions[name])

    @property
    def oldest(self) -> date:
        return min(price.as_of for price in self.prices.values())

    def worker_hours(self, hours: float) -> dict[str, float]:
        """The amounts that the workers of a streaming Dataflow job use in some hours, by price."""
        workers = hours * self.assumed("dataflow_workers")
        return {
            "dataflow_cpu": workers * self.assumed("dataflow_worker_cpus"),
            "dataflow_memory": workers * self.assumed("dataflow_worker_gib"),
            "dataflow_disk": workers * self.assumed("dataflow_worker_disk_gib"),
        }

    @property
    def streaming_job_month_usd(self) -> float:
        """A streaming Dataflow job that runs all month, without its data."""
        amounts = self.worker_hours(self.assumed("hours_a_month"))
        return sum(self[name].list_usd(amount) for name, amount in amounts.items())


def load_prices() -> Prices:
    """Reads `prices.toml` of this package."""
    table = tomllib.loads(files(__package__).joinpath("prices.toml").read_text("utf-8"))
    return Prices({name: Price(**entry) for name, entry in table["prices"].items()}, table["assumptions"])
