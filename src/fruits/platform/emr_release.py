"""A release for AWS EMR on this machine: all that runs start from, in one folder, with checksums.

The same clone, the same requirements.txt and the same pip give the same bytes: names are sorted, and no time, owner or
path of this machine is in them.
"""

import gzip
import json
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fruits
from fruits.errors import FruitsError
from fruits.platform.aws import find_project
from fruits.platform.emr_package import write_package
from fruits.platform.emr_requests import BOOTSTRAP, ENTRY, package_name, packed_dependencies, wheelhouse
from fruits.platform.emr_wheels import PYTHON, fetch_wheels, install_wheels, list_needed, read_pins
from fruits.platform.progress import report
from fruits.platform.upload import hash_file

RELEASES = "dist/emr"
LIST = "release.json"
NETWORKS = "networks/"
STORED, COMPRESSED = 0, 6  # wheels are compressed already


def build_release(architecture: str, network: tuple[str, bytes] | None, to: str = RELEASES) -> dict[str, Any]:
    """Make a release for an architecture, or add the architecture to the release of this version that is there.

    Args:
        architecture: x86_64 or arm64.
        network: id and bytes of a network other than the package's own.
        to: folder of releases.

    Returns:
        what is in release.json, and folder, bytes, seconds.

    Raises:
        FruitsError: this is no clone of the project, a folder cannot be written to, or pip fails.
    """
    start = time.monotonic()
    project, folder = find_project(), Path(to).expanduser() / fruits.__version__
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = write_code(project, folder)
        if network:
            (folder / NETWORKS).mkdir(exist_ok=True)
            files.append(f"{NETWORKS}{network[0]}.tflite")
            (folder / files[-1]).write_bytes(network[1])
        files += _write_archives(project, architecture, folder)
        about = _describe(project, folder, files, architecture)
        (folder / LIST).write_text(json.dumps(about, indent=2) + "\n")
    except OSError as error:
        raise FruitsError(f"{str(folder)!r} cannot be written to: {error.strerror or error}") from None
    size = sum(each["size"] for each in about["files"].values())
    return about | {"folder": str(folder), "bytes": size, "seconds": round(time.monotonic() - start, 1)}


def write_code(project: Path, folder: Path) -> list[str]:
    """Write what of a release is the project's own, whatever the architecture; returns the names."""
    package = package_name(fruits.__version__)
    write_package(folder / package)
    copies = {name: project / "resources" / "emr" / name for name in (ENTRY, BOOTSTRAP)}
    copies |= {f"notebooks/{file.name}": file for file in sorted((project / "notebooks").glob("*.py"))}
    (folder / "notebooks").mkdir(exist_ok=True)
    for name, file in copies.items():
        shutil.copyfile(file, folder / name)
    return [package, *copies]


def _write_archives(project: Path, architecture: str, folder: Path) -> list[str]:
    """Write the wheels, and the same installed; the first for machines of a cluster, the second for EMR Serverless."""
    names = [wheelhouse(architecture), packed_dependencies(architecture)]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".work-") as work:
        wheels, installed = Path(work, "wheelhouse"), Path(work, "site-packages")
        wheels.mkdir()
        fetch_wheels(list_needed(project), read_pins(project, architecture), architecture, wheels)
        report(f"build: installing them for {architecture}")
        install_wheels(wheels, architecture, installed)
        report("build: archives")
        pack_folder(wheels, folder / names[0], "wheelhouse", STORED)
        pack_folder(installed, folder / names[1], "", COMPRESSED)
    return names


def pack_folder(source: Path, target: Path, below: str, level: int) -> None:
    """Write the files of a folder into a .tar.gz, the same bytes for the same files.

    Args:
        source: the folder.
        target: the archive; it is there whole or not at all.
        below: folder in the archive, '' for none.
        level: of gzip.
    """
    part = target.with_name(f".{target.name}.part")
    with (
        part.open("wb") as file,
        gzip.GzipFile("", "wb", level, file, mtime=0) as packed,  # without a name, or it notes that of the file
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for each in sorted(path for path in source.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo((Path(below) / each.relative_to(source)).as_posix())
            entry.size, entry.mode, entry.mtime = each.stat().st_size, 0o644, 0
            with each.open("rb") as content:
                archive.addfile(entry, content)
    part.replace(target)


def _describe(project: Path, folder: Path, files: list[str], architecture: str) -> dict[str, Any]:
    """Make release.json; what an earlier build of the version wrote for the other architecture stays in it."""
    before = _read_before(folder)
    kept = {name: about for name, about in before["files"].items() if name not in files and (folder / name).is_file()}
    made = {name: {"size": (folder / name).stat().st_size, "sha256": hash_file(folder / name)} for name in files}
    return {
        "version": fruits.__version__,
        "commit": find_commit(project),
        "architectures": list_architectures(kept | made),
        "python": PYTHON,
        "files": dict(sorted((kept | made).items())),
    }


def _read_before(folder: Path) -> Mapping[str, Any]:
    try:
        return read_list((folder / LIST).read_text())
    except (OSError, ValueError):
        return {"files": {}}


def read_list(text: str | bytes) -> dict[str, Any]:
    """Read a release.json.

    Raises:
        ValueError: it is none.
    """
    about = json.loads(text)
    try:
        _ = [(each["size"] + 0, bytes.fromhex(each["sha256"])) for each in about["files"].values()]
    except (KeyError, TypeError, AttributeError):
        raise ValueError("not a release.json") from None
    return about


def list_architectures(files: Mapping[str, Any]) -> list[str]:
    """List the architectures that files of a release are for."""
    found = [name.removeprefix("wheelhouse-") for name in files if name.startswith("wheelhouse-")]
    return sorted(name.removesuffix(".tar.gz") for name in found)


def find_commit(project: Path) -> str | None:
    """Give the commit of a clone; None where something was changed since, or there is no git."""
    try:
        changed, commit = (
            subprocess.run(["git", "-C", project, *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (("status", "--porcelain"), ("rev-parse", "HEAD"))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return None if changed else commit
