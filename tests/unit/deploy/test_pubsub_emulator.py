from pathlib import Path

import pytest

from pmpctl.errors import CommandError
from pmpctl.local.pubsub_emulator import newest_jar, pubsub_command


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


def test_jar_and_java_serve_on_loopback(tmp_path):
    root = sdk(tmp_path / "sdk", "0.8.20")
    jar = root / "platform/pubsub-emulator/lib/cloud-pubsub-emulator-0.8.20-all.jar"
    assert command(tmp_path, {"java": "/bin/java"}) == (
        "/bin/java",
        "-jar",
        str(jar),
        "--host=127.0.0.1",
        "--port=9085",
    )


def test_newest_version_is_chosen_by_number(tmp_path):
    chosen = newest_jar([tmp_path / "none", sdk(tmp_path / "sdk", "0.8.9", "0.8.20", "0.8.14")])
    assert chosen is not None
    assert chosen.name == "cloud-pubsub-emulator-0.8.20-all.jar"


def test_sdk_is_found_beside_the_real_gcloud(tmp_path):
    root = sdk(tmp_path / "somewhere", "0.8.20")
    (root / "bin").mkdir()
    (root / "bin" / "gcloud").touch()
    link = tmp_path / "gcloud"
    link.symlink_to(root / "bin" / "gcloud")
    found = command(tmp_path, {"java": "/bin/java", "gcloud": str(link)}, env={})
    assert found[2].startswith(str(root))


def test_java_home_wins_over_the_path(tmp_path):
    sdk(tmp_path / "sdk", "0.8.20")
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.touch()
    env = {"CLOUDSDK_ROOT": str(tmp_path / "sdk"), "JAVA_HOME": str(tmp_path / "jdk")}
    assert command(tmp_path, {"java": "/bin/java"}, env=env)[0] == str(java)


def test_without_java_a_container_serves(tmp_path):
    sdk(tmp_path / "sdk", "0.8.20")
    found = command(tmp_path, {"docker": "/bin/docker"}, docker=True)
    assert found[:5] == ("/bin/docker", "run", "--rm", "--init", "--network=host")
    assert found[-1] == "--host-port=127.0.0.1:9085"


def test_with_nothing_one_line_names_the_three_ways(tmp_path):
    sdk(tmp_path / "sdk", "0.8.20")
    with pytest.raises(CommandError) as caught:
        command(tmp_path, {"docker": "/bin/docker"}, docker=False)
    message = str(caught.value)
    assert "PUBSUB_EMULATOR_HOST" in message
    assert "Java" in message
    assert "Docker" in message
    assert "\n" not in message
