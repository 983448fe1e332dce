"""A small project with a small package registry in a folder, so that a release is built by the real pip in seconds."""

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = """\
[project]
dependencies = ["fig>=1"]
[project.optional-dependencies]
emr = ["boto3>=1"]
"""
# As `make requirements` writes them: one line for each Python, each system.
REQUIREMENTS = """\
# made by a tool
boto3==1.5
fig==1.0
kiwi==1.0 ; python_full_version < '3.12'
kiwi==9.9 ; python_full_version >= '3.12'
matplotlib==3.0
plum==2.0
pyspark==4.1.1
scikit-learn==1.0
sugar==1.0
winter==1.0 ; sys_platform == 'win32'
"""
FIG_NEEDS = (
    "Plum[jam]>=1",
    'kiwi; platform_machine != "riscv"',
    'never; python_version >= "3.12"',
    'winter; sys_platform == "win32"',
)


def write_wheel(folder: Path, name: str, version: str, needs: tuple[str, ...] = (), tag: str = "py3-none-any") -> None:
    """Write a wheel with one module and one command."""
    about = f"{name}-{version}.dist-info"
    said = "".join(f"Requires-Dist: {line}\n" for line in needs)
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"MADE_FOR = {tag!r}\ndef main():\n    pass\n")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{said}")
        wheel.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{about}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        wheel.writestr(f"{about}/RECORD", "")


@pytest.fixture
def orchard(tmp_path, monkeypatch) -> Path:
    """Work in a small project, with wheels/ as the only registry."""
    for folder in ("wheels", "notebooks", "resources/emr"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS)
    (tmp_path / "notebooks" / "01_bronze_images.py").write_text("# a notebook\n")
    for name in ("run.py", "bootstrap.sh"):
        (tmp_path / "resources" / "emr" / name).write_bytes((ROOT / "resources" / "emr" / name).read_bytes())
    wheels = tmp_path / "wheels"
    write_wheel(wheels, "fig", "1.0", FIG_NEEDS)
    write_wheel(wheels, "fig", "1.1")  # newer than what is pinned
    write_wheel(wheels, "plum", "2.0", ('sugar; extra == "jam"', 'chutney; extra == "spice"'))
    for name, version in {"sugar": "1.0", "matplotlib": "3.0", "scikit_learn": "1.0", "boto3": "1.5"}.items():
        write_wheel(wheels, name, version)
    for machine in ("x86_64", "aarch64"):
        write_wheel(wheels, "kiwi", "1.0", tag=f"cp311-cp311-manylinux_2_17_{machine}")
    write_wheel(wheels, "kiwi", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    for name, value in {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path
