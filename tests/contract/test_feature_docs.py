"""The guide to the features says what the code does."""

import re
from itertools import groupby
from pathlib import Path

import pytest
import typer

from pmp_schema.features import AGGREGATIONS, catalogue
from pmp_schema.topology import TOPOLOGY
from pmpctl.features import range_commands
from pmpctl.pipeline.commands import Engine

GUIDE = (Path(__file__).parents[2] / "docs/10-features.md").read_text("utf-8")
BEGIN, END = "<!-- catalogue: begin -->\n", "<!-- catalogue: end -->\n"


def catalogue_as_markdown():
    """The features with their windows, then the aggregations that they use."""
    same = {name: list(features) for name, features in groupby(catalogue(), key=lambda one: one.name)}
    rows = [
        f"| `{name}` | {', '.join(f'`{one.window}`' for one in features)} | {features[0].kind} "
        f"| `{features[0].aggregation.name}` | {features[0].description} | {features[0].source} |"
        for name, features in same.items()
    ]
    used = {feature.aggregation.name for feature in catalogue()}
    definitions = [f"| `{name}` | {one.definition} |" for name, one in AGGREGATIONS.items() if name in used]
    head = [
        "| feature | windows | of | aggregation | meaning | source |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows, "", "| aggregation | definition |", "| --- | --- |", *definitions])


def test_the_catalogue_is_in_the_guide():
    assert GUIDE.count(BEGIN) == GUIDE.count(END) == 1
    assert GUIDE.split(BEGIN)[1].split(END)[0].strip() == catalogue_as_markdown()


@pytest.mark.parametrize("engine", Engine)
def test_the_guide_names_the_schedule_of_each_engine(engine):
    [schedule] = [one for one in TOPOLOGY.schedules_of(engine) if one.service == "launcher"]
    assert f"`{schedule.id}`" in GUIDE


@pytest.mark.parametrize("command", ["backfill", "export"])
def test_the_guide_tells_every_option_and_no_other(command):
    app = typer.Typer()
    range_commands.register(app)
    parameters = typer.main.get_command(app).commands[command].params
    there = {option for one in parameters for option in one.opts if option.startswith("--")} - {"--help"}
    section = GUIDE.split(f"\n## `pmpctl features {command}`", 1)[1].split("\n## ", 1)[0]
    table = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `--")]
    assert {option for cell in table for option in re.findall(r"--[a-z-]+", cell)} == there
