from pathlib import Path

import pytest

from pmpctl.errors import CommandError
from pmpctl.local.pubsub_emulator import pubsub_command


def sdk(root: Path, *versions: str) -> Path:
    lib = root / "platform" / "pubsub-emulator" / "lib"
    lib.mkdir(parents=True)
    for version in versions:
        (lib / f"cloud-pubsub-emulator-{version}-all.jar").touch()
    return root


def command(tmp_path: Path, programs: dict[str, str], *, docker=False, env=None):
    return pubsub_command(
        {"CLOUDSDK_ROOT": str(tmp_path / "sdk")} if env is None else env,
        9085,
        which=programs.get,
        home=tmp_path / "home",
        docker_answers=lambda: docker,
    )


def test_the_newest_jar_and_java_serve_on_loopback(tmp_path):
    root = sdk(tmp_path / "sdk", "0.8.9", "0.8.20", "0.8.14")
    jar = root / "platform/pubsub-emulator/lib/cloud-pubsub-emulator-0.8.20-all.jar"
    found = command(tmp_path, {"java": "/bin/java"})
    assert found == ("/bin/java", "-jar", str(jar), "--host=127.0.0.1", "--port=9085")


def test_sdk_is_found_beside_the_real_gcloud_and_java_home_wins_over_the_path(tmp_path):
    root = sdk(tmp_path / "somewhere", "0.8.20")
    gcloud, java = root / "bin" / "gcloud", tmp_path / "jdk" / "bin" / "java"
    for program in (gcloud, java):
        program.parent.mkdir(parents=True)
        program.touch()
    link = tmp_path / "gcloud"
    link.symlink_to(gcloud)
    programs = {"java": "/bin/java", "gcloud": str(link)}
    found = command(tmp_path, programs, env={"JAVA_HOME": str(tmp_path / "jdk")})
    assert found[0] == str(java)
    assert found[2].startswith(str(root))


def test_without_java_a_container_serves(tmp_path):
    sdk(tmp_path / "sdk", "0.8.20")
    found = command(tmp_path, {"docker": "/bin/docker"}, docker=True)
    assert found[:5] == ("/bin/docker", "run", "--rm", "--init", "--network=host")
    assert found[-1] == "--host-port=127.0.0.1:9085"


def test_with_nothing_one_line_names_the_three_ways(tmp_path):
    sdk(tmp_path / "sdk", "0.8.20")
    with pytest.raises(CommandError, match=r"PUBSUB_EMULATOR_HOST .* Java .* Docker$"):
        command(tmp_path, {"docker": "/bin/docker"}, docker=False)
