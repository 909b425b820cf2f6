"""What the emulator would not tell about the SQL that services run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("*/src/**/*.sql"), *ROOT.glob("shared/*/src/**/*.sql")])
READ_AS_OBJECTS = [path for path in FILES if "TO_JSON_STRING" in path.read_text("utf-8")]


@pytest.mark.parametrize("path", READ_AS_OBJECTS, ids=lambda path: path.stem)
def test_absent_attributes_are_not_the_text_null(path):
    """BigQuery's `TO_JSON_STRING(NULL)` is the text `null`, no object of attributes; the emulator's is NULL."""
    text = path.read_text("utf-8")
    for column in re.findall(r"TO_JSON_STRING\((\S*attributes)\)", text):
        assert f"IF({column} IS NULL, NULL, TO_JSON_STRING({column}))" in text
