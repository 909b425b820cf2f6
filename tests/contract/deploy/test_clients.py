import subprocess
import sys

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
    done = run("down", "--dry-run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing to do\n", "")
