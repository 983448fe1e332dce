"""One session for the whole run; a network and photos small enough to run the chain in seconds."""

import contextlib
import functools
import gc
import io
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from browser import browser as browser  # the fixture: one Chromium for all modules of tests
from photos import jpeg

from fruits import cli
from fruits.platform import tracking_file
from fruits.platform.tables import Lake, Table
from fruits.platform.tracking_file import make_empty_store
from fruits.settings import Settings, as_text, from_text
from fruits.vision.backbone import extract_features
from fruits.vision.decode import decode_photo

GOLDEN = Path(__file__).parent / "golden"
TINY = GOLDEN / "tiny.tflite"
SHARED = Path(__file__).parents[2] / "shared"
# With moto and MLflow in memory a look for garbage takes a quarter of a second: an eighth of the quick tests' time.
gc.set_threshold(100_000, 20, 20)
# How `make test` finds the files that it runs on both engines.
ON_SPARK = re.search(r"^ON_SPARK := '(.+)'$", (Path(__file__).parents[1] / "Makefile").read_text(), re.M)[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the shared session, which a second engine has to run again, and what uses an account of AWS."""
    for item in items:
        for fixture, marker in (("spark", "spark"), ("account", "slow")):
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
        if item.get_closest_marker("spark") and not re.search(ON_SPARK, item.path.read_text(), re.M):
            raise pytest.UsageError(f"make test would not run {item.nodeid}: {item.path} does not fit its ON_SPARK")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory, pytestconfig):
    """Keep what the tests make out of the user's own cache; Java's archive of classes is kept from run to run."""
    folder = tmp_path_factory.mktemp("cache")
    if hasattr(pytestconfig, "cache"):
        (folder / "java").symlink_to(pytestconfig.cache.mkdir("java"))
    os.environ["FRUITS_CACHE"] = str(folder)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    return folder


@pytest.fixture(scope="session", autouse=True)
def empty_store(tmp_path_factory) -> Iterator[None]:
    """Have MLflow make the tables of an empty store once, and copy it for every lake of this process."""
    made = functools.cache(lambda: make_empty_store(tmp_path_factory.mktemp("store")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking_file, "make_empty_store", lambda _: made())
        yield


@pytest.fixture
def no_store_of_the_machine(monkeypatch) -> None:
    """MLflow's store is what a test says, whatever the machine's own environment."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "DATABRICKS_RUNTIME_VERSION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """The session every test shares: classic, or Spark Connect where SPARK_REMOTE says so."""
    from fruits.platform.session import is_connect, open_session

    with contextlib.ExitStack() as stack:
        if os.environ.get("SPARK_REMOTE", "").startswith("local"):
            from connect_server import connect_server

            os.environ["SPARK_REMOTE"] = stack.enter_context(connect_server(tmp_path_factory.mktemp("server")))
        session = open_session()
        # Spark's own cancels its jobs, which fails the test of the moment and goes on to the next.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # For a dozen photos; on Connect one, which is what serverless compute makes of so little.
        session.conf.set("spark.sql.shuffle.partitions", "1" if is_connect(session) else "2")
        yield session
        if is_connect(session):
            session.stop()  # while its server is there: without, it asks for it for minutes


@pytest.fixture
def excepthook(monkeypatch) -> None:
    """Have what a notebook puts in its place taken away again."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture
def photos(tmp_path):
    """Write photos (any bytes) into a folder `photos` of the test's own, to upload."""

    def write(contents: dict[str, bytes]) -> None:
        for path, content in contents.items():
            file = tmp_path / "photos" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    return write


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

    def copy(self, folder: Path) -> "Place":
        """Give a test photos and tables of its own to change; a Delta table is a folder, wherever it lies."""
        images, lake = (shutil.copytree(each, folder / each.name) for each in (self.images, self.lake))
        return Place(images, lake, replace(self.settings, images=images, lake=lake))

    def options(self, *names: str) -> list[str]:
        """Write settings as the command line takes them."""
        return [
            word for name in names for word in (f"--{name.replace('_', '-')}", as_text(getattr(self.settings, name)))
        ]


def make_place(folder: Path, photos: dict[str, bytes] | None = None, **settings: str) -> Place:
    """Make a place of given photos: `make_place(folder, {"Training/Apple/1.jpg": b"…"}, k="2")`."""
    texts = {
        "images": str(folder / "photos"),
        "lake": str(folder / "lake"),
        "weights": str(TINY),
        "tracking": "none",
        "k": "3",
        "k_values": "2,4",
    }
    made = Place(folder / "photos", folder / "lake", from_text(texts | settings))
    made.images.mkdir(exist_ok=True)
    for path, content in (photos or {}).items():
        made.write(path, content)
    return made


@pytest.fixture
def place(tmp_path) -> Callable[..., Place]:
    """Make a place in the test's own folder, as make_place does."""
    return lambda photos=None, **settings: make_place(tmp_path, photos, **settings)


@pytest.fixture(scope="session")
def first_run(spark, tmp_path_factory) -> tuple[Place, dict]:
    """A place after its first `fruits run`, and what that said. Look at it, and change a copy of it."""
    here = make_place(tmp_path_factory.mktemp("first"), photo_set())
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert cli.main(["run", *here.options("images", "lake", "weights", "tracking", "k", "k_values"), "--json"]) == 0
    return here, json.loads(said.getvalue())


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


def features_of(content: bytes) -> np.ndarray:
    """Give what the tiny network makes of a photo."""
    return extract_features(TINY.read_bytes(), decode_photo(content, 32)[0])


def versions(lake: str | Path) -> dict[str, int]:
    """Newest version of every table in a folder, by its name."""
    logs = Path(lake).glob("*/_delta_log")
    return {log.parent.name: max(int(commit.stem) for commit in log.glob("*.json")) for log in logs}


def read_rows(lake: Lake | Path, table: Table) -> list[SimpleNamespace]:
    """Read a table in a folder, not by Spark: another reader sees the same, and answers in a tenth of the time."""
    from deltalake import DeltaTable

    folder = Path(lake.location) if isinstance(lake, Lake) else lake
    return [SimpleNamespace(**row) for row in DeltaTable(folder / table.name).to_pyarrow_table().to_pylist()]


@contextlib.contextmanager
def stopped_after_one_commit(table: Table) -> Iterator[None]:
    """Stop a step, as Ctrl-C does, when it has added rows to a table once and is to add more."""

    def append_once(lake, *arguments, append=Lake.append):
        if lake.exists(table):
            raise KeyboardInterrupt
        append(lake, *arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Lake, "append", append_once)
        yield


@pytest.fixture
def lake(spark, tmp_path) -> Lake:
    """A lake without tables, in the test's own folder."""
    return Lake(spark, str(tmp_path / "lake"))


@pytest.fixture(scope="session")
def fruits_command() -> str:
    """The installed command."""
    command = shutil.which("fruits", path=str(Path(sys.executable).parent)) or shutil.which("fruits")
    assert command, "the package is not installed; run make setup"
    return command
