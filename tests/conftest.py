"""One session for the whole run; a network and photos small enough to run the chain in seconds."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from photos import jpeg

from fruits.settings import Settings, from_text

GOLDEN = Path(__file__).parent / "golden"
TINY = GOLDEN / "tiny.tflite"
SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the shared session: `-m spark` is what a second engine has to run again."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker("spark")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep what the tests make out of the user's own cache."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["FRUITS_CACHE"] = str(folder)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    return folder


@pytest.fixture(scope="session")
def spark():
    """The session every test shares: classic, or Spark Connect where SPARK_REMOTE says so."""
    from fruits.platform.session import open_session

    return open_session()


@dataclass(frozen=True)
class Place:
    """A photo folder, a lake and the settings that join them."""

    images: Path
    lake: Path
    settings: Settings

    def write(self, path: str, content: bytes) -> Path:
        file = self.images / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file


@pytest.fixture
def place(tmp_path) -> Callable[..., Place]:
    """Make a place of given photos: `place({"Training/Apple/1.jpg": b"…"}, k="2")`; other words are settings."""

    def make(photos: dict[str, bytes] | None = None, **settings: str) -> Place:
        texts = {
            "images": str(tmp_path / "photos"),
            "lake": str(tmp_path / "lake"),
            "weights": str(TINY),
            "tracking": "none",
            "k": "3",
            "k_values": "2,4",
        }
        made = Place(tmp_path / "photos", tmp_path / "lake", from_text(texts | settings))
        made.images.mkdir(exist_ok=True)
        for path, content in (photos or {}).items():
            made.write(path, content)
        return made

    return make


def photo_set(labels: int = 3, training: int = 6, test: int = 2) -> dict[str, bytes]:
    """Photos of noise in a colour per label, by their path."""
    return {
        f"{split}/Fruit {label}/{number}.jpg": jpeg(
            color=(60 * label + 40, 200 - 50 * label, 30 * label + 20), size=(32, 32), seed=1000 * label + number
        )
        for label in range(labels)
        for split, numbers in (("Training", range(training)), ("Test", range(training, training + test)))
        for number in numbers
    }


@pytest.fixture(scope="session")
def fruits_command() -> str:
    """The installed command."""
    command = shutil.which("fruits", path=str(Path(sys.executable).parent)) or shutil.which("fruits")
    assert command, "the package is not installed; run make setup"
    return command
