"""The guide to the features says what the code does."""

import re
from pathlib import Path

import pytest
import typer

from pmp_schema.features import catalogue, render_markdown
from pmp_schema.topology import TOPOLOGY
from pmpctl.features import range_commands
from pmpctl.pipeline.commands import Engine

GUIDE = (Path(__file__).parents[2] / "docs/10-features.md").read_text("utf-8")
BEGIN, END = "<!-- catalogue: begin -->\n", "<!-- catalogue: end -->\n"


def test_the_catalogue_is_in_the_guide_as_it_renders():
    assert GUIDE.count(BEGIN) == GUIDE.count(END) == 1
    shown = GUIDE.split(BEGIN)[1].split(END)[0]
    assert shown.strip() == render_markdown(catalogue()).strip(), "put render_markdown(catalogue()) there"


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
