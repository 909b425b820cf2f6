"""The price table of `pmpctl cost`."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pmpctl.errors import CommandError

_NUMBERS: Final = frozenset({"usd", "per", "free"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """`usd` for `per` units; `free` units a month cost nothing. `page` said so on the day `as_of`."""

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

    @property
    def worker_hour_usd(self) -> float:
        """An hour of the workers of one streaming Dataflow job."""
        amounts = {
            "dataflow_cpu": self.assumed("dataflow_worker_cpus"),
            "dataflow_memory": self.assumed("dataflow_worker_gib"),
            "dataflow_disk": self.assumed("dataflow_worker_disk_gib"),
        }
        a_worker = sum(self[name].list_usd(amount) for name, amount in amounts.items())
        return a_worker * self.assumed("dataflow_workers")

    @property
    def streaming_job_month_usd(self) -> float:
        """A streaming Dataflow job that runs all month, without its data."""
        return self.assumed("hours_a_month") * self.worker_hour_usd


def load_prices(path: Path | None = None) -> Prices:
    """The package's table, with the entries of a file over it.

    Raises:
        CommandError: the file is not a table of prices; names the entry.
    """
    table = tomllib.loads(files(__package__).joinpath("prices.toml").read_text("utf-8"))
    own = {} if path is None else _read(path)
    _check(f"{path}: unknown", own, table)
    prices, assumptions = own.get("prices", {}), own.get("assumptions", {})
    for name, held in {"prices": prices, "assumptions": assumptions, **prices}.items():
        if not isinstance(held, dict):
            raise CommandError(f"{path}: {name} is no table")
    _check(f"{path}: unknown", assumptions, table["assumptions"])
    _check(f"{path}: unknown", prices, table["prices"])
    for name, entry in prices.items():
        _check(f"{path}: unknown in {name}", entry, table["prices"][name])
        _check_numbers(f"{path}: {name}", {key: entry[key] for key in _NUMBERS & entry.keys()})
        if not isinstance(entry.get("as_of", date.min), date):
            raise CommandError(f"{path}: {name}: as_of is no date")
    _check_numbers(f"{path}: assumptions", assumptions)
    return Prices(
        {name: Price(**{**entry, **prices.get(name, {})}) for name, entry in table["prices"].items()},
        {**table["assumptions"], **assumptions},
    )


def _check(said: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise CommandError(f"{said}: {', '.join(unknown)}")


def _check_numbers(said: str, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise CommandError(f"{said}: {name} is no number")
        if value < 0 or (value == 0 and name == "per"):
            raise CommandError(f"{said}: {name} is too small")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{path}: {error}") from error
