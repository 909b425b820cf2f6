"""`pmpctl cost`: an estimate as a table, or as JSON."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from pmpctl.cost.estimate import Estimate


def as_json(estimate: Estimate) -> dict[str, Any]:
    costs = estimate.components()
    return {
        "days": round(estimate.usage.days, 3),
        "messages": dict(estimate.usage.traffic.messages),
        "prices_as_of": estimate.prices.oldest.isoformat(),
        "running": [{"what": r.what, "month_usd": round(r.month_usd, 4)} for r in estimate.running()],
        "components": [_rounded(asdict(cost)) for cost in costs],
        "list_usd": round(sum(c.list_usd for c in costs), 4),
        "billed_usd": round(sum(c.billed_usd for c in costs), 4),
        "prices": {
            name: {**asdict(price), "as_of": price.as_of.isoformat()}
            for name, price in estimate.prices.prices.items()
        },
        "assumptions": dict(estimate.prices.assumptions),
    }


def show(estimate: Estimate, console: Console) -> None:
    costs = estimate.components()
    title = f"a month like the last {estimate.usage.days:g} days, in USD"
    table = Table(title=title, title_justify="left")
    table.add_column("component")
    table.add_column("a month of it", overflow="fold")
    for name in ("list\nprice", "less\nfree", "per million\nmessages"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("lever", overflow="fold")
    for cost in costs:
        million = "-" if cost.per_million_usd is None else f"{cost.per_million_usd:,.2f}"
        amounts = (f"{cost.list_usd:,.2f}", f"{cost.billed_usd:,.2f}", million)
        table.add_row(cost.component, cost.measured, *amounts, cost.lever)
    table.add_section()
    sums = (f"{sum(c.list_usd for c in costs):,.2f}", f"{sum(c.billed_usd for c in costs):,.2f}")
    table.add_row("all", f"{estimate.messages:,.0f} messages", *sums)
    console.print(table)
    for running in estimate.running():
        console.print(f"runs now: {running.what}: {running.month_usd:,.2f} USD a month if it is left on")
    console.print(f"List prices as of {estimate.prices.oldest}, without taxes, logs, images and network.")


def _rounded(cost: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in cost.items()}
