import re
import subprocess
import sys
from pathlib import Path

from pmp_schema.topology import TOPOLOGY
from pmpctl.cloud.launchers import launcher_id

ROOT = Path(__file__).parents[3]
WITHOUT_EXTRA = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {"google.cloud.run_v2", "google.cloud.scheduler_v1", "google.cloud.dataflow_v1beta3"}:
            raise ImportError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
sys.argv = ["pmpctl", *ARGUMENTS]
from pmpctl.cli import main
main()
"""


def run(*arguments):
    program = WITHOUT_EXTRA.replace("ARGUMENTS", repr(arguments))
    env = {"PROJECT_ID": "p", "REGION": "r", "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_the_extra_one_line_names_it():
    done = run("up", "--target", "cloud")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "pmpctl: --target cloud needs Google's clients (google.cloud.dataflow_v1beta3 is missing): "
        "install pmpctl[cloud]\n"
    )


def test_local_commands_do_without_the_extra():
    done = run("up", "--dry-run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "pmpctl local up --detach\n", "")


def test_launchers_have_the_names_that_terraform_gives_them():
    text = (ROOT / "deploy/terraform/jobs.tf").read_text("utf-8")
    features, other = re.search(
        r'key => \(\s*key == "station_features" \? "([^"]+)" : "\$\{name\}([^"]+)"', text
    ).groups()
    assert {key: launcher_id(key) for key in TOPOLOGY.jobs} == {
        key: features if key == "station_features" else name + other for key, name in TOPOLOGY.jobs.items()
    }
