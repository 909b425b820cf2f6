"""The README of the pipelines lists their variables, commands and options."""

import argparse
from pathlib import Path

from pmp_beam.__main__ import parser
from pmp_beam.settings import Settings
from tests.contract.test_readmes import Recording, table_of_variables

README = (Path(__file__).parents[2] / "beam/README.md").read_text("utf-8")


def test_it_lists_the_variables_that_are_read_and_no_others():
    env = Recording({"PROJECT_ID": "p"})
    Settings.from_env(env)
    listed = table_of_variables(README)
    assert set(listed) == env.asked
    assert [name for name, cells in listed.items() if len(cells) != 3 or not all(cells)] == []


def test_it_names_every_pipeline_and_every_option_of_the_streaming_ones():
    (pipelines,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert [name for name in pipelines.choices if f"`{name}`" not in README] == []
    options = {
        option
        for name in ("curate_status", "ingest_events")
        for action in pipelines.choices[name]._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    }
    assert [option for option in options if f"`{option}" not in README] == []
