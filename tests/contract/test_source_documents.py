"""The appendix on the two source documents has a row for everything that they name."""

import re
from pathlib import Path

APPENDIX = (Path(__file__).parents[2] / "docs/source-documents.md").read_text("utf-8")
NAMES = Path(__file__).with_name("source_documents.txt").read_text("utf-8").splitlines()


def pattern(name):
    begin = r"(?<![\w./~-])" if name[0].isalnum() or name[0] in "/~-" else ""
    end = r"(?![\w-])" if name[-1].isalnum() else ""
    return begin + re.escape(name) + end


def test_everything_that_the_documents_name_has_a_row():
    first_column = "\n".join(line.split("|")[1] for line in APPENDIX.splitlines() if line.startswith("| "))
    names = [name for name in NAMES if not name.startswith("# ")]
    assert [name for name in names if not re.search(pattern(name), first_column)] == []
