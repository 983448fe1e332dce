"""What workers need beside Spark, as wheels: found in the project's own lists, fetched by pip for another machine.

The list is made of what pyproject.toml and requirements.txt say, never typed again. pip evaluates the conditions of a
requirement (`; python_version < '3.12'`) for the Python it runs in, so they are evaluated here, for that of EMR, and
pip is only asked for wheels with a version.
"""

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from fruits.errors import FruitsError
from fruits.platform.names import RECORDERS
from fruits.platform.progress import report

PYTHON = "3.11"  # of EMR's machines, beside an older one
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
# Amazon Linux 2023 has glibc 2.34.
LIBRARIES = ("manylinux_2_28", "manylinux_2_27", "manylinux2014", "manylinux_2_17")


def list_needed(project: Path) -> list[Requirement]:
    """List what the package needs on a worker: to run, to record a fit, and boto3 for artifacts of MLflow on S3."""
    about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    lines = [*about["dependencies"], *RECORDERS.values(), *about["optional-dependencies"]["emr"]]
    return [Requirement(line) for line in lines]


def read_pins(project: Path, architecture: str) -> dict[str, str]:
    """Read name to version of everything in requirements.txt that a machine of EMR may have."""
    lines = [line.strip() for line in (project / "requirements.txt").read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    where = describe_machine(architecture)
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate(where)
    }


def describe_machine(architecture: str, extra: str = "") -> dict[str, str]:
    """Describe a machine of EMR in the words of conditions of requirements."""
    return {
        "extra": extra,
        "implementation_name": "cpython",
        "implementation_version": f"{PYTHON}.0",
        "os_name": "posix",
        "platform_machine": MACHINES[architecture],
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{PYTHON}.0",
        "python_version": PYTHON,
        "sys_platform": "linux",
    }


def fetch_wheels(needed: Iterable[Requirement], pins: Mapping[str, str], architecture: str, folder: Path) -> list[str]:
    """Fetch wheels into a folder, with all that they need in turn.

    Args:
        needed: to begin with.
        pins: name to version; nothing else comes.
        architecture: x86_64 or arm64.
        folder: an empty one.

    Returns:
        name==version of each, sorted; written to requirements.txt in the folder too.

    Raises:
        FruitsError: no version in requirements.txt, no such wheel, no pip, or no network.
    """
    todo, seen, wheels = list(needed), set(), {}
    while todo:
        names = sorted({canonicalize_name(each.name) for each in todo} - set(wheels))
        if unknown := [name for name in names if name not in pins]:
            raise FruitsError(f"requirements.txt has no version of {unknown[0]}; `make requirements` writes it anew")
        if names:
            report(f"build: wheels for {architecture}: {', '.join(names)}")
            run_pip("download", *(f"{name}=={pins[name]}" for name in names), f"--dest={folder}", *_for(architecture))
            wheels = {parse_wheel_filename(file.name)[0]: file for file in folder.glob("*.whl")}
        found = []
        for name, extra in sorted(_asked_for(todo) - seen):
            seen.add((name, extra))
            found += read_requirements(wheels[name], architecture, extra)
        todo = found
    lines = sorted(f"{name}=={pins[name]}" for name in wheels)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    return lines


def _asked_for(requirements: Iterable[Requirement]) -> set[tuple[str, str]]:
    return {(canonicalize_name(each.name), extra) for each in requirements for extra in ("", *each.extras)}


def read_requirements(wheel: Path, architecture: str, extra: str = "") -> list[Requirement]:
    """Read what a wheel needs on a machine of EMR, or what an extra of it needs."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        said = BytesParser().parsebytes(archive.read(name)).get_all("Requires-Dist", [])
    where = describe_machine(architecture, extra)
    found = [Requirement(line) for line in said]
    return [each for each in found if each.marker is None or each.marker.evaluate(where)]


def install_wheels(wheels: Path, architecture: str, target: Path) -> None:
    """Install a folder of wheels and its requirements.txt into another folder, as for a machine of EMR, offline.

    Commands of the packages are left out: they begin with the path of the Python that runs now.

    Raises:
        FruitsError: a wheel does not fit that machine or is damaged.
    """
    listed = f"--requirement={wheels / 'requirements.txt'}"
    places = (f"--find-links={wheels}", f"--target={target}", "--no-index", "--no-compile")
    run_pip("install", listed, *places, *_for(architecture))
    for file in sorted((target / "bin").glob("*")):
        file.unlink()
    for record in target.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines(keepends=True)
        record.write_text("".join(line for line in lines if not line.startswith(("../../bin/", "bin/"))))


def _for(architecture: str) -> list[str]:
    platforms = [f"--platform={library}_{MACHINES[architecture]}" for library in LIBRARIES]
    return ["--no-deps", "--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}", *platforms]


def run_pip(*words: str) -> None:
    """Run pip of this Python.

    Raises:
        FruitsError: what pip says went wrong, in a line.
    """
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    ran = subprocess.run([sys.executable, "-m", "pip", *words, *quiet], capture_output=True, text=True)
    if ran.returncode == 0:
        return
    lines = [line.strip() for line in ran.stderr.splitlines() if line.strip()] or [f"exit status {ran.returncode}"]
    if lines[-1].endswith("No module named pip"):
        raise FruitsError(f"this Python has no pip; {sys.executable} -m ensurepip brings it")
    errors = [line for line in lines if line.startswith("ERROR: ")] or lines
    raise FruitsError(
        f"pip {words[0]} failed: {errors[-1].removeprefix('ERROR: ')[:300].rstrip('.')}; "
        "it needs a package registry, and the same command again continues from pip's cache"
    )
