"""A standalone cluster of Spark on this machine, and the release form of the project submitted to it."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pyspark
from packaging.requirements import Requirement

import fruits
from fruits.platform import session
from fruits.platform.emr_package import write_package
from fruits.platform.emr_requests import ENTRY, package_name

SPARK_HOME = Path(pyspark.__file__).parent
CLONE = Path(fruits.__file__).parents[2]
DEPLOY = "org.apache.spark.deploy"
PATIENCE = 60  # seconds for master and workers to come up
LIMIT = 240  # seconds for one submit
WORKERS = 2
UNUSED = ("mlflow-skinny",)  # 80 MB, never loaded where nothing is recorded
NOT_PACKED = ("tests", "include", "__pycache__")
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SMALL = {name: value for name, value in session.LAPTOP.items() if name.startswith(("spark.sql.", "spark.databricks."))}
SETTINGS = SMALL | {
    "spark.jars.packages": session.DELTA_PACKAGE,
    "spark.jars.excludes": session.SPARK_HAS,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "1g",
    "spark.driver.extraJavaOptions": JAVA,
    "spark.executor.extraJavaOptions": JAVA,
    # No task before every worker is there: else the first to come would do them all.
    "spark.scheduler.minRegisteredResourcesRatio": "1",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    "spark.executorEnv.PYTHONPATH": "./dependencies",
    # What says which executor did how many tasks.
    "spark.eventLog.enabled": "true",
    "spark.eventLog.rolling.enabled": "false",
    "spark.eventLog.compress": "false",
    "spark.ui.enabled": "false",
    "spark.log.level": "WARN",
}


@dataclass(frozen=True)
class Submitted:
    """How a submit ended.

    Attributes:
        status: of spark-submit.
        out: what the script said, on standard error too: Spark joins the two.
        err: what Spark said.
        tasks: how many tasks each worker, by its folder's name, ended well.
    """

    status: int
    out: str
    err: str
    tasks: Counter


@dataclass(frozen=True)
class Cluster:
    """A master with its workers, and a release to submit to it.

    Attributes:
        url: of the master.
        folder: of everything that is written.
        python: of driver and executors: nothing but the standard library.
    """

    url: str
    folder: Path
    python: Path

    @property
    def package(self) -> Path:
        """The project as a zip."""
        return self.folder / "release" / package_name(fruits.__version__)

    def submit(self, script: str, *arguments: str) -> Submitted:
        """Submit a script of the release as EMR is asked to, in client mode."""
        release, events = self.folder / "release", self.folder / "events" / str(time.monotonic_ns())
        events.mkdir(parents=True)
        options = [word for pair in SETTINGS.items() for word in ("--conf", "=".join(pair))]
        options += ["--conf", f"spark.eventLog.dir={events.as_uri()}"]
        options += ["--py-files", str(self.package)]
        options += ["--archives", f"{release / 'site-packages.tar'}#dependencies"]
        done = subprocess.run(
            [SPARK_HOME / "bin" / "spark-submit", "--master", self.url, *options, release / script, *arguments],
            env=clean_environment() | {"PYSPARK_PYTHON": str(self.python), "PYTHONPATH": "./dependencies"},
            cwd=self.folder / "driver",
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        return Submitted(done.returncode, done.stdout, done.stderr, self._count_tasks(events))

    def _count_tasks(self, events: Path) -> Counter:
        counted = Counter()
        for log in events.iterdir():
            workers = {folder.name: folder.parents[1].name for folder in self.folder.glob(f"worker-*/{log.name}/*")}
            for line in log.read_text().splitlines():
                event = json.loads(line)
                if event["Event"] == "SparkListenerTaskEnd" and event["Task End Reason"]["Reason"] == "Success":
                    counted[workers[event["Task Info"]["Executor ID"]]] += 1
        return counted


@contextlib.contextmanager
def start_cluster(folder: Path) -> Iterator[Cluster]:
    """Start a master and two workers of one core, and end them afterwards whatever happens."""
    python = make_bare_python(folder / "python")
    make_release(folder)
    port, ui = find_free_port(), find_free_port()
    url = f"spark://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        address = ("--host", "127.0.0.1")
        ports = ("--port", str(port), "--webui-port", str(ui))
        stack.enter_context(_running(folder, "master", f"{DEPLOY}.master.Master", *address, *ports))
        for name in (f"worker-{number}" for number in range(1, WORKERS + 1)):
            size = ("--webui-port", "0", "--cores", "1", "--memory", "1g", "--work-dir", str(folder / name))
            stack.enter_context(_running(folder, name, f"{DEPLOY}.worker.Worker", *address, *size, url))
        end = time.monotonic() + PATIENCE
        while count_workers(ui) < WORKERS:
            assert time.monotonic() < end, "\n".join(log.read_text() for log in folder.glob("*.log"))
            time.sleep(0.3)
        yield Cluster(url, folder, python)


def make_bare_python(folder: Path) -> Path:
    """Make a Python that has the standard library only, of the interpreter this one was made from."""
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    subprocess.run([base, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


def make_release(folder: Path) -> None:
    """Lay out what is submitted, and the folder where a driver starts, which has the dependencies unpacked."""
    release = folder / "release"
    release.mkdir()
    write_package(release / package_name(fruits.__version__))
    for script in (CLONE / "resources" / "emr" / ENTRY, *(CLONE / "notebooks").glob("*.py")):
        shutil.copy(script, release)
    with tarfile.open(release / "site-packages.tar", "w") as archive:
        for distribution in find_dependencies("fruits").values():
            for file in distribution.files:
                if ".." not in file.parts and not set(NOT_PACKED) & set(file.parts):
                    archive.add(file.locate(), str(file), recursive=False)
    with tarfile.open(release / "site-packages.tar") as archive:
        archive.extractall(folder / "driver" / "dependencies", filter="data")


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


def clean_environment() -> dict[str, str]:
    """Give the environment without what would lead a Python or Spark back to this one."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("SPARK_", "PYTHON", "PYSPARK_"))}
    return kept | {"SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1", "LC_ALL": "C.UTF-8"}


def find_free_port() -> int:
    """Give a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def count_workers(ui: int) -> int:
    """Say how many workers a master knows to be alive."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{ui}/json/", timeout=5) as answer:
        return json.load(answer)["aliveworkers"]
    return 0


@contextlib.contextmanager
def _running(folder: Path, name: str, *words: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            [SPARK_HOME / "bin" / "spark-class", *words],
            env=clean_environment()
            | {
                "SPARK_DAEMON_MEMORY": "256m",
                "SPARK_DAEMON_JAVA_OPTS": JAVA,
                "SPARK_LOCAL_DIRS": str(folder / "local"),
            },
            cwd=folder,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        process.terminate()  # a worker ends its executors
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
