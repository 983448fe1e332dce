"""The package as one zip, for `spark-submit --py-files`: the same files give the same bytes."""

import zipfile
from pathlib import Path

import fruits

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold


def write_package(target: Path) -> None:
    """Write the package, code and data, into a zip that Python imports from.

    A zip and not a wheel: executors outside YARN put only .zip, .egg and .jar on their path.

    Args:
        target: the zip to write; a file that is there is replaced.
    """
    root = Path(fruits.__file__).parent
    files = sorted(
        file for file in root.rglob("*") if file.is_file() and not _is_left_by_a_tool(file.relative_to(root))
    )
    with zipfile.ZipFile(target, "w") as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(root.parent).as_posix(), EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes())  # stored: what a compressor gives depends on its version


def _is_left_by_a_tool(file: Path) -> bool:
    """Whether a file under the package is a cache, an editor's copy or a file manager's notes."""
    return file.suffix == ".pyc" or any(part.startswith((".", "__pycache__")) for part in file.parts)
