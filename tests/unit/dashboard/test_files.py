"""The page's files keep to the content policy, and to one way of making elements."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pmp_dashboard.app import PAGE

OWN = sorted(path for path in PAGE.iterdir() if path.suffix in {".js", ".css", ".html"})
SCRIPTS = [path for path in OWN if path.suffix == ".js"]
MARKUP = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|"
    r"\beval\(|new Function"
)


class Tags(HTMLParser):
    """Attributes:
    tags: (name, attributes) in order.
    inline: texts of scripts and styles.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.inline, self._open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        if self._open in {"script", "style"} and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def page():
    return Tags((PAGE / "index.html").read_text("utf-8"))


def test_the_page_has_no_inline_script_style_or_handler(page):
    assert page.inline == []
    assert [
        attrs for _, attrs in page.tags if any(name == "style" or name.startswith("on") for name in attrs)
    ] == []


def test_the_page_loads_files_that_are_there(page):
    loaded = [attrs.get("src") or attrs.get("href") for tag, attrs in page.tags if tag in {"script", "link"}]
    assert len(loaded) == 7
    assert [name for name in loaded if not (PAGE / name.removeprefix("static/")).is_file()] == []


def test_modules_import_files_that_are_there():
    imported = [
        name for path in SCRIPTS for name in re.findall(r'from "\./([\w./]+)"', path.read_text("utf-8"))
    ]
    assert imported
    assert [name for name in imported if not (PAGE / name).is_file()] == []


def test_what_a_module_exports_is_used_by_another():
    texts = {path.name: path.read_text("utf-8") for path in SCRIPTS}
    exported = {
        (file, name)
        for file, text in texts.items()
        for name in re.findall(r"^export (?:async )?(?:const|function|class) (\w+)", text, re.MULTILINE)
    }
    assert exported
    unused = {
        (file, name)
        for file, name in exported
        if not any(re.search(rf"\b{name}\b", text) for other, text in texts.items() if other != file)
    }
    assert unused == set()


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_file_of_ours_names_another_host(path):
    assert re.findall(r"(?:https?:)?//[\w-]+\.\w+[^\s\"']*", path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_elements_of_text(path):
    assert re.findall(MARKUP, path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_tooltip_is_an_element(path):
    """Leaflet takes a text for markup."""
    texts = path.read_text("utf-8")
    assert re.findall(r"bindPopup|setTooltipContent", texts) == []
    assert re.findall(r"bindTooltip\((?!\(\) => tooltip\()", texts) == []


def test_every_field_and_button_of_the_page_has_a_name(page):
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs} | {"drawer-title"}  # made by drawer.js
    named = [attrs for _, attrs in page.tags if "aria-labelledby" in attrs]
    assert [attrs for attrs in named if attrs["aria-labelledby"] not in ids] == []
    fieldsets = [tag for tag, _ in page.tags if tag == "fieldset"]
    assert len([tag for tag, _ in page.tags if tag == "legend"]) == len(fieldsets) > 0


@pytest.mark.parametrize(
    ("name", "mark"), [("leaflet.js", "Leaflet {}"), ("uPlot.iife.min.js", "uPlot (v{})")]
)
def test_a_vendored_file_has_the_version_that_is_noted_and_its_licence(name, mark):
    vendor = PAGE / "vendor"
    noted = re.search(
        rf"`{re.escape(name)}`.*?`\w+` (\d+\.\d+\.\d+)", (vendor / "README.md").read_text("utf-8")
    )
    assert mark.format(noted[1]) in (vendor / name).read_text("utf-8")[:400]
    assert "Copyright" in (vendor / f"{Path(name).name.split('.')[0]}.LICENSE").read_text("utf-8")
