"""A release as `fruits emr build` lays it out, of what is installed on this machine instead of fetched wheels."""

import platform
import shutil
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

import fruits
from fruits.platform.emr_release import STORED, pack_folder, write_code
from fruits.platform.emr_requests import packed_dependencies

CLONE = Path(fruits.__file__).parents[2]
UNUSED = ("mlflow-skinny",)  # 80 MB, never loaded where nothing is recorded
NOT_PACKED = ("tests", "include", "__pycache__")
ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())


def make_release(folder: Path) -> Path:
    """Lay out a release as build does, but with the distributions that are installed here instead of fetched wheels."""
    release, installed = folder / "release", folder / "installed"
    release.mkdir()
    write_code(CLONE, release)
    for distribution in find_dependencies("fruits").values():
        for file in distribution.files:
            if ".." not in file.parts and not set(NOT_PACKED) & set(file.parts):
                (installed / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), installed / file)
    pack_folder(installed, release / packed_dependencies(ARCHITECTURE), "", STORED)
    return release


def find_dependencies(name: str) -> dict[str, metadata.Distribution]:
    """Give the installed distributions that another one needs, those they need included."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [name]
    while waiting:
        for text in metadata.requires(waiting.pop()) or ():
            needed = Requirement(text)
            known = needed.name in found or needed.name in UNUSED
            if not known and (needed.marker is None or needed.marker.evaluate({"extra": ""})):
                found[needed.name] = metadata.distribution(needed.name)
                waiting.append(needed.name)
    return found
