"""The bootstrap of a machine, run here: `aws` is a script that copies from a folder."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "resources" / "emr" / "bootstrap.sh"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum here, as on macOS"),
]


def write_command(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path):
    """A machine with a release of one small wheel; gives (run, checksum)."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "fig-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("fig.py", "COLOUR = 'purple'\n")
        wheel.writestr("fig-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: fig\nVersion: 1.0\n")
        wheel.writestr("fig-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("fig-1.0.dist-info/RECORD", "")
    (wheels / "requirements.txt").write_text("fig==1.0\n")
    store = tmp_path / "store" / "bucket" / "releases" / "1"
    store.mkdir(parents=True)
    archive = store / "wheelhouse-arm64.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(wheels, "wheelhouse")
    commands = tmp_path / "bin"
    write_command(commands, "aws", f'[ "$1 $2" = "s3 cp" ] && cp "{tmp_path}/store/${{4#s3://}}" "$5"')
    write_command(commands, "uname", "echo aarch64")
    write_command(commands, "sudo", '"$@"')
    write_command(commands, "python3.11", f'exec "{sys.executable}" "$@"')

    def run(*words):
        environment = os.environ | {"PATH": f"{commands}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
        return subprocess.run(["bash", SCRIPT, *words], capture_output=True, text=True, env=environment)

    return run, hashlib.sha256(archive.read_bytes()).hexdigest()


def test_wheels_with_the_right_checksum_become_an_environment(machine, tmp_path):
    run, checksum = machine
    ran = run("s3://bucket/releases/1", checksum, str(tmp_path / "env"))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "is ready, Python 3" in ran.stdout
    said = subprocess.run([tmp_path / "env/bin/python", "-c", "import fig; print(fig.COLOUR)"], capture_output=True)
    assert said.stdout == b"purple\n"
    assert not list(tmp_path.glob("tmp.*"))


def test_wheels_with_another_checksum_are_not_installed(machine, tmp_path):
    run, checksum = machine
    ran = run("s3://bucket/releases/1", "0" * 64, str(tmp_path / "env"))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.count("\n") == 1
    assert f"has checksum {checksum} instead of {'0' * 64}; publish the release anew" in ran.stderr
    assert not (tmp_path / "env").exists()


def test_without_a_release_or_arguments_it_says_so(machine, tmp_path):
    run, checksum = machine
    ran = run("s3://bucket/releases/2", checksum, str(tmp_path / "env"))
    assert ran.returncode == 1
    assert "wheelhouse-arm64.tar.gz is not there or not open to this machine" in ran.stderr
    assert "usage: bootstrap.sh S3_PREFIX SHA256" in run().stderr
