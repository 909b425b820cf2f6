"""What guides and READMEs name exists: commands, make targets, names, variables, files, links, Terraform addresses."""

import importlib.util
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest
import typer

from pmp_schema.features import catalogue
from pmp_schema.topology import TOPOLOGY
from pmpctl.cli import app
from tests.contract.terraform.test_module import OUTPUTS, RESOURCES, VARIABLES
from tests.contract.terraform.test_permissions import GRANTS

ROOT = Path(__file__).parents[2]
TERRAFORM = ROOT / "deploy/terraform"
COMMANDS = typer.main.get_command(app)
APPENDIX = ROOT / "docs/source-documents.md"
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "*/README.md", "shared/*/README.md", "deploy/terraform/*.md")
    for path in ROOT.glob(pattern)
)
PACKAGES = {path.name: path for path in [*ROOT.glob("*/src/*"), *ROOT.glob("shared/*/src/*")]}
CODE = "\n".join(
    path.read_text("utf-8")
    for pattern in (
        "*/src/**/*.py",
        "shared/*/src/**/*.py",
        "deploy/terraform/*.tf",
        "*.yaml",
        "deploy/*.yaml",
        "Makefile",
    )
    for path in ROOT.glob(pattern)
)
TOPOLOGY_TEXT = (PACKAGES["pmp_schema"] / "topology.json").read_text("utf-8")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
# Capitals that no code of ours reads: variables of other programs, states of Google's services, constants.
NOT_OURS = re.compile(
    r"PATH|PWD|NO_PROXY|CHECKPOINT_DISABLE|BILLING_ACCOUNT_ID|GOOGLE_APPLICATION_CREDENTIALS|DOCKER_\w+"
    r"|JOB_STATE_\w+|INVALID_ARGUMENT|GZIP_ABOVE_BYTES|BY_ROUTE|MY_\w+"
)


def own_text(path):
    """A page without names of others: the first column of the appendix's tables, and what a changelog calls removed."""
    text = path.read_text("utf-8")
    if path == APPENDIX:
        return re.sub(r"(?m)^\|(?!-)[^|]*\|", "|", text)
    return re.sub(r"(?ms)^### Removed$.*?(?=^##|\Z)", "", text) if path.name == "CHANGELOG.md" else text


def fences(text):
    return re.findall(r"(?ms)^ *```\w*\n(.*?)^ *```", text)


def without_fences(text):
    return re.sub(r"(?ms)^ *```.*?^ *```", "", text)


def spans(text):
    """Code within lines; `\\|` is how a table spells `|`."""
    return [span.replace("\\|", "|") for span in re.findall(r"`([^`\n]+)`", without_fences(text))]


def code(text):
    """Code spans, and lines of fences with continued and quoted lines joined."""
    for fence in fences(text):
        joined, quotes = "", 0
        for line in fence.replace("\\\n", " ").splitlines():
            joined = f"{joined} {line}" if quotes % 2 else line
            quotes = joined.count('"')
            if quotes % 2 == 0:
                yield joined
    yield from spans(text)


def invocations(text, program):
    """The words behind each call of a program, until the shell takes over."""
    for piece in code(text):
        for found in re.finditer(rf"(?:^|[\s(`/]|\$\(){program}((?: +\S+)+)", piece):
            line = re.split(r" (?:[|>#&]|&&)|;|`", found[1])[0].split('$("')[0]
            try:
                words = shlex.split(line)
            except ValueError:  # a quote that ends elsewhere: `eval "$(pmpctl local env)"`
                words = line.replace('"', "").replace(")", "").split()
            yield [word.strip("[]),.:").removesuffix("...") for word in words]


def wrong_calls(text):
    """Calls of pmpctl that its parser does not know; `a|b` are alternatives, capitals a place for a value."""
    return [wrong for words in invocations(text, "pmpctl") if words for wrong in wrong_in_call(words)]


def wrong_in_call(words):
    command, rest = COMMANDS, [word for word in words if word]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        names = rest.pop(0).split("|")
        if unknown := [name for name in names if name not in command.commands]:
            return [] if names[-1].isupper() else [f"{' '.join(words)}: no command {unknown}"]
        command = command.commands[names[-1]]
    flags = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)} | {
        "--help"
    }
    used = [word.partition("=")[0] for word in rest if word.startswith("--")]
    return [f"{' '.join(words)}: no option {flag}" for flag in used if flag not in flags]


def wrong_targets(text):
    targets = set(re.findall(r"(?m)^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8")))
    named = [words[0] for words in invocations(text, "make") if words]
    return [f"make {name}" for name in named if re.fullmatch(r"[a-z-]+", name) and name not in targets]


@cache
def known_names():
    """Everything of ours that is spelled with `pmp`."""
    projects = [
        tomllib.loads(path.read_text("utf-8"))["project"]
        for pattern in ("*/pyproject.toml", "shared/*/pyproject.toml")
        for path in ROOT.glob(pattern)
    ]
    return {
        *re.findall(r'"(pmp[\w-]+)"', TOPOLOGY_TEXT),
        *(f"{job}-backfill" for job in TOPOLOGY.jobs.values()),
        *(f"{d.id}.{name}" for d in TOPOLOGY.datasets.values() for name in (*d.tables, *d.views)),
        *(script for project in projects for script in project.get("scripts", {})),
        *(project["name"] for project in projects),
        *(f"pmp-{path.parent.name}" for path in ROOT.glob("*/Dockerfile")),
        *re.findall(r'["/](pmp[A-Za-z-]*[A-Za-z])["-]', CODE),
    }


def is_module(name):
    package, *parts = name.split(".")
    folder = PACKAGES.get(package)
    if folder is None or not parts:
        return folder is not None
    return folder.joinpath(*parts).is_dir() or any(
        folder.joinpath(*parts[:-1], f"{parts[-1]}.{end}").is_file() for end in ("py", "toml", "json")
    )


def wrong_names(text):
    known, pieces = known_names(), "\n".join(code(text))
    dashed = re.findall(r"(?<![\w./-])pmp(?:-[a-z0-9]+)+(?![\w-]*_|-[A-Z])", pieces)
    dotted = re.findall(r"(?<![\w./-])(?:pmp_[a-z_]+|pmpctl\.[a-z_]+)(?:\.[a-z_]+)*", pieces)
    return [name for name in dashed if name not in known] + [
        name for name in dotted if name not in known and not is_module(name) and name not in CODE
    ]


def wrong_variables(text):
    shell = "\n".join(fences(text))
    named = {span for span in spans(text) if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", span)}
    named |= set(re.findall(r"(?:export |`)([A-Z][A-Z0-9_]+)=", text))
    used = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", shell))
    own = set(re.findall(r"(?m)(?:^|export |\s)([A-Z][A-Z0-9_]+)=", shell))
    read = known_variables()
    return sorted(name for name in (named - read) | (used - read - own) if not NOT_OURS.fullmatch(name))


@cache
def known_variables():
    read = set(re.findall(r"""["'{( ]([A-Z][A-Z0-9_]*)["'}):=? ]""", CODE))
    return read | {f"{key.upper()}_URL" for key in TOPOLOGY.services}


def wrong_files(text):
    """Code spans that are paths from the root."""
    paths = [
        span for span in spans(text) if re.fullmatch(r"[\w.-]+/[\w./-]*\w\.(py|sql|json|toml|tf|md|js)", span)
    ]
    ours = [path for path in paths if path[0] != "." and (ROOT / path.split("/")[0]).is_dir()]
    return [path for path in ours if not (ROOT / path).is_file()]


def wrong_modules(text):
    """Modules that are run."""
    names = [words[0] for words in invocations(text, "python3? -m") if words]
    return [name for name in names if importlib.util.find_spec(name) is None]


def wrong_addresses(text):
    """Resources of Terraform, with their keys, and outputs."""
    hcl = "\n".join(path.read_text("utf-8") for path in TERRAFORM.glob("*.tf"))
    found = re.findall(r'\b(google_\w+)\.(\w+)(?:\["([^"]+)"\])?', "\n".join(code(text)))
    outputs = re.findall(r"terraform[^\n`]* output (?:-\w+ )?(\w+)", text)
    return [
        f"{kind}.{name} {key}"
        for kind, name, key in found
        if (kind, name) not in RESOURCES
        or (key and f'"{key}"' not in TOPOLOGY_TEXT and not re.search(rf'\b{key}"? *=', hcl))
    ] + [output for output in outputs if output not in OUTPUTS]


@each_page
def test_what_a_page_names_exists(page):
    text = own_text(page)
    wrong = [
        *(wrong_calls(text) + wrong_targets(text) + wrong_modules(text)),
        *(wrong_names(text) + wrong_variables(text) + wrong_files(text) + wrong_addresses(text)),
    ]
    assert wrong == []


def slug(heading):
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip()).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@each_page
def test_every_link_leads_somewhere(page):
    def leads(link):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        return target.exists() and (
            not anchor or anchor in map(slug, re.findall(r"(?m)^#+ (.+)$", target.read_text("utf-8")))
        )

    links = re.findall(r"\]\(([^)\s]+)\)", without_fences(page.read_text("utf-8")))
    assert [link for link in links if not re.match(r"https?://", link) and not leads(link)] == []


def test_the_guide_to_deployment_lists_every_terraform_variable():
    text = (ROOT / "docs/3-deploy.md").read_text("utf-8").split("### Variables")[1].split("\n### ")[0]
    rows = re.findall(r"(?m)^\| ((?:`\w+`(?:, )?)+) \|", text)
    assert {name for row in rows for name in re.findall(r"\w+", row)} == set(VARIABLES)


def test_the_guide_to_operations_has_every_alert_and_log_lines_that_exist():
    text = (ROOT / "docs/4-operate.md").read_text("utf-8")
    titles = re.findall(r'title\s+= "([^"]+)"', (TERRAFORM / "alerts.tf").read_text("utf-8"))
    assert set(re.findall(r"\| Mobility Pulse: ([^|]+) \|", text)) == set(titles)
    rows = re.findall(r"(?m)^\| (`[a-z_]+\.[a-z_]+`(?:, `[a-z_.]+`)*) \|", text.split("## Log lines")[1])
    named = [name for row in rows for name in re.findall(r"[a-z_]+\.[a-z_]+", row)]
    assert named
    assert [name for name in named if f'"{name}"' not in CODE and f"{{{name}" not in CODE] == []


def test_the_table_of_permissions_is_what_terraform_grants():
    text = (ROOT / "docs/8-security.md").read_text("utf-8")
    listed = {}
    for account, role, on in re.findall(r"(?m)^\| `([\w@-]+)` \| `([\w./]+)` \| ([^|]+) \|$", text):
        places = {"project"} if on == "the project" else set(re.findall(r"`([^`]+)`", on))
        listed.setdefault(account, {})[role.removeprefix("roles/")] = places
    assert listed == {
        account.replace("123456789012", "NUMBER"): {
            role: {place.replace("my-project", "PROJECT_ID") for place in on} for role, on in roles.items()
        }
        for account, roles in GRANTS.items()
    }


def test_the_guide_to_features_has_the_catalogue():
    text = (ROOT / "docs/6-features.md").read_text("utf-8").split("## The catalogue")[1].split("\n## ")[0]
    rows = {line.split("|")[1].strip(" `"): line for line in text.splitlines() if line.startswith("| `")}
    features = {
        one.name: (f"`{one.window}`", one.kind, one.aggregation.name, one.description) for one in catalogue()
    }
    definitions = {one.aggregation.name: (one.aggregation.definition,) for one in catalogue()}
    assert set(rows) == set(features | definitions)
    assert [
        name for name, cells in (features | definitions).items() if any(c not in rows[name] for c in cells)
    ] == []
