"""What the guides and READMEs name exists: commands, targets, names, variables, links, addresses, numbers."""

import importlib.util
import re
import shlex
import tomllib
from enum import Enum
from itertools import takewhile
from pathlib import Path

import pytest
import typer

from pmp_schema.topology import TOPOLOGY
from pmpctl.cli import app
from pmpctl.cost.prices import load_prices
from tests.contract.terraform.test_module import OUTPUTS, RESOURCES, VARIABLES
from tests.contract.terraform.test_permissions import GRANTS

ROOT = Path(__file__).parents[2]
TERRAFORM = ROOT / "deploy/terraform"
PAGES = sorted(
    [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*/README.md"), TERRAFORM / "README.md"]
)
SOURCES = [
    *ROOT.glob("*/src/**/*.py"),
    *ROOT.glob("deploy/**/*.tf"),
    *ROOT.glob("deploy/*.yaml"),
    ROOT / "compose.yaml",
    ROOT / "Makefile",
]
CODE = "\n".join(path.read_text("utf-8") for path in SOURCES)
HCL = "\n".join(path.read_text("utf-8") for path in TERRAFORM.glob("*.tf"))
COMMANDS = typer.main.get_command(app)
# Read by programs of others, or by a shell.
FOREIGN = {
    "PATH",
    "BILLING_ACCOUNT_ID",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "DOCKER_DEFAULT_PLATFORM",
    "CHECKPOINT_DISABLE",
    "NO_PROXY",
}
# Capitals that are no variables: answers and states of Google's services.
STATES = re.compile(r"JOB_STATE_\w+|INVALID_ARGUMENT|GZIP_ABOVE_BYTES|MY_\w+")
FROM_THE_DOCUMENTS = ROOT / "docs/13-source-documents.md"


def page_id(path):
    return str(path.relative_to(ROOT))


def own_text(path):
    """A page, but for the names that are those of the source documents: the first column of their tables."""
    text = path.read_text("utf-8")
    return re.sub(r"(?m)^\|(?!-)[^|]*\|", "|", text) if path == FROM_THE_DOCUMENTS else text


def fences(text):
    return re.findall(r"(?ms)^ *```\w*\n(.*?)^ *```", text)


def spans(text):
    """Code within lines; `\\|` is how a table spells `|`."""
    plain = re.sub(r"(?ms)^ *```.*?^ *```", "", text)
    return [span.replace("\\|", "|") for span in re.findall(r"`([^`\n]+)`", plain)]


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


def problems(words):
    """What is wrong with one call of pmpctl; `a|b` are alternatives, capitals a place for a value."""
    command, rest = COMMANDS, [word for word in words if word]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        *others, name = rest.pop(0).split("|")
        unknown = [one for one in (*others, name) if one not in command.commands]
        if unknown:
            return [f"no command {unknown}"] if not name.isupper() else []
        command = command.commands[name]
    options = {flag: option for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    arguments = [option for option in command.params if option.param_type_name == "argument"]
    positional = takewhile(lambda word: not word.startswith("-"), rest)
    found = [wrong for pair in zip(arguments, positional, strict=False) for wrong in wrong_choices(*pair)]
    for index, word in enumerate(rest):
        flag, _, value = word.partition("=")
        if not word.startswith("-") or re.fullmatch(r"-\d.*", word) or flag == "--help":
            continue
        if flag in options:
            found += wrong_choices(options[flag], value or "".join(rest[index + 1 : index + 2]))
        else:
            found.append(f"no option {flag} of {command.name}")
    return found


def wrong_choices(option, value):
    kind = option.type_descriptor.annotation
    if not issubclass(kind, Enum) or value.startswith("-") or (value.isupper() and value not in list(kind)):
        return []
    return [f"{option.name} {one}" for one in value.split("|") if one and one not in list(kind)]


def known_names():
    """Everything of ours that is spelled with `pmp`."""
    of_topology = {
        *(topic.id for topic in TOPOLOGY.topics.values()),
        *(s.id for s in TOPOLOGY.subscriptions),
        *(service.id for service in TOPOLOGY.services.values()),
        *(s.id for s in TOPOLOGY.schedules),
        *TOPOLOGY.jobs.values(),
        *(f"{job}-{part}" for job in TOPOLOGY.jobs.values() for part in ("launcher", "backfill")),
        *(f"{d.id}.{name}" for d in TOPOLOGY.datasets.values() for name in (*d.tables, *d.views)),
        *(d.id for d in TOPOLOGY.datasets.values()),
        TOPOLOGY.push_audience,
        TOPOLOGY.local_project,
    }
    scripts = [
        name
        for path in ROOT.glob("*/pyproject.toml")
        for name in tomllib.loads(path.read_text("utf-8"))["project"].get("scripts", {})
    ]
    literals = re.findall(r'["/](pmp[A-Za-z-]*[A-Za-z])["-]', CODE)
    projects = [
        tomllib.loads(path.read_text("utf-8"))["project"]["name"] for path in ROOT.glob("*/pyproject.toml")
    ]
    images = [f"pmp-{path.parent.name}" for path in ROOT.glob("*/Dockerfile")]
    return of_topology | set(scripts) | set(literals) | set(projects) | set(images)


def is_module(name):
    package, *parts = name.split(".")
    folder = next(ROOT.glob(f"*/src/{package}"), None)
    if folder is None or not parts:
        return folder is not None
    path = folder.joinpath(*parts)
    return path.is_dir() or any(folder.joinpath(*parts[:-1]).glob(f"{parts[-1]}.*"))


def slug(heading):
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip()).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_pmpctl_command_and_option_exists(page):
    wrong = [
        (words, found)
        for words in invocations(own_text(page), "pmpctl")
        if words and (found := problems(words))
    ]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_make_target_exists(page):
    targets = set(re.findall(r"(?m)^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8")))
    named = [words[0] for words in invocations(own_text(page), "make") if words]
    assert [name for name in named if re.fullmatch(r"[a-z-]+", name) and name not in targets] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_name_is_of_the_topology_or_the_code(page):
    known, text = known_names(), "\n".join(code(own_text(page)))
    dashed = re.findall(r"(?<![\w./-])pmp(?:-[a-z0-9]+)+(?![\w-]*_|-[A-Z])", text)
    dotted = re.findall(r"(?<![\w./-])pmp_[a-z_]+(?:\.[a-z_]+)*", text)
    wrong = [name for name in dashed if name not in known]
    wrong += [name for name in dotted if name not in known and not is_module(name) and name not in CODE]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_variable_is_read_somewhere(page):
    text = own_text(page)
    shell = "\n".join(fences(text))
    named = {span for span in spans(text) if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", span)}
    named |= set(re.findall(r"(?:export |`)([A-Z][A-Z0-9_]+)=", text))
    used = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", shell))
    own = set(re.findall(r"(?m)(?:^|export |\s)([A-Z][A-Z0-9_]+)=", shell))
    read = set(re.findall(r"""["'{( ]([A-Z][A-Z0-9_]*)["'}):=? ]""", CODE)) | FOREIGN
    read |= {f"{key.upper()}_URL" for key in TOPOLOGY.services}
    wrong = {name for name in named if name not in read} | {name for name in used if name not in read | own}
    assert {name for name in wrong if not STATES.fullmatch(name)} == set()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text("utf-8"))
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (
            anchor
            and anchor not in [slug(h) for h in re.findall(r"(?m)^#+ (.+)$", target.read_text("utf-8"))]
        ):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_module_that_is_run_exists(page):
    for words in invocations(own_text(page), "python3? -m"):
        name = words[0]
        assert importlib.util.find_spec(name), name
        if name == "pmp_beam" and len(words) > 1 and re.match(r"[a-z_]+$", words[1]):
            assert words[1] in TOPOLOGY.jobs


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_terraform_address_is_a_resource(page):
    for kind, name, key in re.findall(
        r'\b(google_\w+)\.(\w+)(?:\["([^"]+)"\])?', "\n".join(code(own_text(page)))
    ):
        assert (kind, name) in RESOURCES, f"{kind}.{name}"
        topology = (ROOT / "shared/schema/src/pmp_schema/topology.json").read_text("utf-8")
        assert not key or f'"{key}"' in topology or re.search(rf'\b{key}"? *=', HCL), key


def test_the_guide_to_terraform_lists_every_variable_and_file():
    text = (ROOT / "docs/03-terraform.md").read_text("utf-8")
    rows = re.findall(r"(?m)^\| ((?:`\w+`(?:, )?)+) \|", text.split("## Variables")[1].split("\n## ")[0])
    assert {name for row in rows for name in re.findall(r"\w+", row)} == set(VARIABLES)
    assert [path.name for path in TERRAFORM.glob("*.tf") if f"`{path.name}`" not in text] == []


def test_outputs_that_are_asked_for_exist():
    asked = {
        word
        for page in PAGES
        for word in re.findall(r"terraform[^\n`]* output (?:-\w+ )?(\w+)", own_text(page))
    }
    assert asked
    assert asked <= set(OUTPUTS)


def test_the_guide_to_operations_has_every_alert():
    text = (ROOT / "docs/02-operations-and-troubleshooting.md").read_text("utf-8")
    titles = re.findall(r'title\s+= "([^"]+)"', (TERRAFORM / "alerts.tf").read_text("utf-8"))
    assert set(re.findall(r"\| Mobility Pulse: ([^|]+) \|", text)) == set(titles)


def test_every_log_line_of_the_guide_to_operations_is_logged():
    text = (ROOT / "docs/02-operations-and-troubleshooting.md").read_text("utf-8")
    lines = re.findall(r"(?m)^\| (`[a-z_]+\.[a-z_]+`(?:, `[a-z_.]+`)*) \|", text.split("## Log lines")[1])
    named = [name for line in lines for name in re.findall(r"[a-z_]+\.[a-z_]+", line)]
    assert named
    assert [name for name in named if f'"{name}"' not in CODE and f"{{{name}" not in CODE] == []


def test_the_table_of_permissions_is_that_of_terraform():
    text = (ROOT / "docs/11-security.md").read_text("utf-8")
    told = {}
    for account, role, on in re.findall(r"(?m)^\| `([\w@-]+)` \| `([\w./]+)` \| ([^|]+) \|$", text):
        places = {"project"} if on == "the project" else set(re.findall(r"`([^`]+)`", on))
        told.setdefault(account, {})[role.removeprefix("roles/")] = places
    granted = {
        account.replace("123456789012", "NUMBER"): {
            role: {place.replace("my-project", "PROJECT_ID") for place in on} for role, on in roles.items()
        }
        for account, roles in GRANTS.items()
    }
    assert told == granted


@pytest.mark.parametrize("page", ["00-bootstrap.md", "07-demo-and-cost-control.md", "12-scaling-plan.md"])
def test_the_price_of_a_streaming_job_is_that_of_the_price_table(page):
    assert f"{load_prices().streaming_job_month_usd:,.2f}" in (ROOT / "docs" / page).read_text("utf-8")


@pytest.mark.parametrize(
    "page", ["01-pipeline.md", "02-operations-and-troubleshooting.md", "09-reliability-and-replay.md"]
)
def test_how_long_a_message_is_delivered_again_is_computed(page):
    policy = TOPOLOGY.push_policy
    waits = [
        min(policy.min_backoff_s * 2**n, policy.max_backoff_s)
        for n in range(policy.max_delivery_attempts - 1)
    ]
    assert f"about {sum(waits) / 3600:.0f} hours" in (ROOT / "docs" / page).read_text("utf-8")


@pytest.mark.parametrize("page", ["README.md", "docs/09-reliability-and-replay.md", "dlq-replayer/README.md"])
def test_how_often_reconciliation_runs_is_that_of_the_topology(page):
    [schedule] = [s for s in TOPOLOGY.schedules if s.path == "/reconcile"]
    words = {1: "once an hour", 6: "every six hours"}
    told = set(re.findall("|".join(words.values()), (ROOT / page).read_text("utf-8")))
    assert told == {words[schedule.every_s // 3600]}


def test_the_readme_of_pmpctl_has_the_port_of_every_service():
    text = (ROOT / "deploy/README.md").read_text("utf-8")
    ports = [
        f"{service.id.removeprefix('pmp-')} +{service.local_port - 8080}"
        for service in TOPOLOGY.services.values()
    ]
    assert [port for port in ports if port not in " ".join(text.split())] == []
