"""A standalone cluster of Spark on this machine, and the release form of the project submitted to it."""

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyspark
from local_release import ARCHITECTURE

import fruits
from fruits.platform import session
from fruits.platform.delta import EMR_JARS
from fruits.platform.emr_checks import example_release
from fruits.platform.emr_requests import (
    ENTRY,
    PYTHON_ON_SERVERLESS,
    RELEASE_LABELS,
    Order,
    Release,
    ask_cluster,
    ask_serverless,
    package_name,
    packed_dependencies,
    release_uri,
)
from fruits.platform.emr_start import example_stack

SPARK_HOME = Path(pyspark.__file__).parent
DEPLOY = "org.apache.spark.deploy"
PATIENCE = 60  # seconds for master and workers to come up
LIMIT = 240  # seconds for one submit
WORKERS = 2
STACK = example_stack("fruits")
DRIVER = "spark.emr-serverless.driverEnv."  # what EMR Serverless puts into the environment of a driver
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SMALL = {name: value for name, value in session.LAPTOP.items() if name.startswith(("spark.sql.", "spark.databricks."))}
# What differs here from EMR Serverless: one small machine, and Delta from its package instead of EMR's own jars.
SETTINGS = SMALL | {
    "spark.jars.packages": session.DELTA_PACKAGE,
    "spark.jars.excludes": session.SPARK_HAS,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "1g",
    "spark.executor.cores": "1",
    "spark.driver.extraJavaOptions": JAVA,
    "spark.executor.extraJavaOptions": JAVA,
    # No task before every worker is there: else the first to come would do them all.
    "spark.scheduler.minRegisteredResourcesRatio": "1",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    # What says which executor did how many tasks.
    "spark.eventLog.enabled": "true",
    "spark.eventLog.rolling.enabled": "false",
    "spark.eventLog.compress": "false",
    "spark.ui.enabled": "false",
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
        release: folder with the files of a release.
    """

    url: str
    folder: Path
    python: Path
    release: Path

    @property
    def package(self) -> Path:
        """The project as a zip."""
        return self.release / package_name(fruits.__version__)

    def submit(self, script: str, *arguments: str) -> Submitted:
        """Submit a script of the release in the words of the request for EMR Serverless, in client mode."""
        before, after, driver = self._ask(script, arguments)
        events, here = self._settings()
        return self._run(["spark-submit", *before, *as_options(here), *after], driver, events)

    def submit_step(self, *arguments: str) -> Submitted:
        """Submit a run in the words of the step of a cluster, whose settings are in a file of each machine."""
        release, order = _order(arguments, on_cluster=True)
        request = ask_cluster(STACK, release, order, "eu-west-3")
        there = release_uri(STACK.bucket, release.version)
        words = [word.replace(there, str(self.release)) for word in request["Steps"][0]["HadoopJarStep"]["Args"]]
        (defaults,) = (
            each["Properties"] for each in request["Configurations"] if each["Classification"] == "spark-defaults"
        )
        events, here = self._settings()
        here |= {"spark.pyspark.python": str(self._make_python_of_nodes())}
        assert "spark.pyspark.python" in defaults
        (self.folder / "conf").mkdir()
        lines = [f"{name} {text}\n" for name, text in (defaults | here).items()]
        (self.folder / "conf" / "spark-defaults.conf").write_text("".join(lines))
        return self._run(words, {"SPARK_CONF_DIR": str(self.folder / "conf")}, events)

    def _run(self, words: Sequence[str], environment: Mapping[str, str], events: Path) -> Submitted:
        clean = clean_environment(self.python)
        done = subprocess.run(
            words,
            env=clean | {"PATH": f"{SPARK_HOME / 'bin'}{os.pathsep}{clean['PATH']}"} | environment,
            cwd=self.folder / "driver",
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        return Submitted(done.returncode, done.stdout, done.stderr, self._count_tasks(events))

    def _settings(self) -> tuple[Path, dict[str, str]]:
        """Give a folder for what Spark notes of a submit, and the settings that differ here."""
        events = self.folder / "events" / str(time.monotonic_ns())
        events.mkdir(parents=True)
        return events, SETTINGS | {"spark.master": self.url, "spark.eventLog.dir": events.as_uri()}

    def _make_python_of_nodes(self) -> Path:
        """Make a Python that has the dependencies, as bootstrap.sh does on each machine of a cluster."""
        python = make_bare_python(self.folder / "nodes")
        (packages,) = (self.folder / "nodes").glob("lib/python*/site-packages")
        (packages / "dependencies.pth").write_text(str(self.folder / "driver" / "dependencies"))
        return python

    def _ask(self, script: str, arguments: Sequence[str]) -> tuple[list[str], list[str], dict[str, str]]:
        """Give the words of the request before the script, those from it on, and the driver's environment in it."""
        release, order = _order(arguments, on_cluster=False)
        asked = ask_serverless(STACK, release, order)["jobDriver"]["sparkSubmit"]
        there, here = release_uri(STACK.bucket, release.version), str(self.release)
        words = [word.replace(there, here) for word in asked["sparkSubmitParameters"].split(" ")]
        settings = dict(word.split("=", 1) for flag, word in itertools.pairwise(words) if flag == "--conf")
        before = words[: words.index("--conf")] + as_options(
            {name: text for name, text in settings.items() if name not in EMR_JARS}
        )
        entry = asked["entryPoint"].replace(there, here).replace(ENTRY, script)
        driver = {name.removeprefix(DRIVER): text for name, text in settings.items() if name.startswith(DRIVER)}
        return before, [entry, *asked["entryPointArguments"]], driver

    def _count_tasks(self, events: Path) -> Counter:
        counted = Counter()
        for log in events.iterdir():
            workers = {folder.name: folder.parents[1].name for folder in self.folder.glob(f"worker-*/{log.name}/*")}
            for line in log.read_text().splitlines():
                event = json.loads(line)
                if event["Event"] == "SparkListenerTaskEnd" and event["Task End Reason"]["Reason"] == "Success":
                    counted[workers[event["Task Info"]["Executor ID"]]] += 1
        return counted


def _order(arguments: Sequence[str], on_cluster: bool) -> tuple[Release, Order]:
    release = example_release(fruits.__version__, ARCHITECTURE, on_cluster)
    return release, Order("fruits-run-test", "token", arguments, WORKERS, 60, ARCHITECTURE, RELEASE_LABELS[0])


@contextlib.contextmanager
def start_cluster(folder: Path, release: Path) -> Iterator[Cluster]:
    """Start a master and two workers of one core, and end them afterwards whatever happens.

    Args:
        folder: of everything that is written.
        release: folder with the files of a release. A driver starts where its dependencies are unpacked, as EMR does.
    """
    python = make_bare_python(folder / "python")
    with tarfile.open(release / packed_dependencies(ARCHITECTURE)) as archive:
        archive.extractall(folder / "driver" / "dependencies", filter="data")
    port, ui = find_free_port(), find_free_port()
    url = f"spark://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        address = ("--host", "127.0.0.1")
        ports = ("--port", str(port), "--webui-port", str(ui))
        stack.enter_context(_running(folder, python, "master", f"{DEPLOY}.master.Master", *address, *ports))
        for name in (f"worker-{number}" for number in range(1, WORKERS + 1)):
            size = ("--webui-port", "0", "--cores", "1", "--memory", "1g", "--work-dir", str(folder / name))
            stack.enter_context(_running(folder, python, name, f"{DEPLOY}.worker.Worker", *address, *size, url))
        end = time.monotonic() + PATIENCE
        while count_workers(ui) < WORKERS:
            assert time.monotonic() < end, "\n".join(log.read_text() for log in folder.glob("*.log"))
            time.sleep(0.3)
        yield Cluster(url, folder, python, release)


def make_bare_python(folder: Path) -> Path:
    """Make a Python that has the standard library only, of the interpreter this one was made from.

    Returns:
        Its program, called as requests call that of EMR's machines.
    """
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    subprocess.run([base, "-m", "venv", "--without-pip", str(folder)], check=True)
    program = folder / "bin" / PYTHON_ON_SERVERLESS["spark.executorEnv.PYSPARK_PYTHON"]
    if not program.exists():
        program.symlink_to("python")
    return program


def as_options(settings: Mapping[str, str]) -> list[str]:
    """Write settings as spark-submit takes them; of one given twice, the last counts."""
    return [word for name, text in settings.items() for word in ("--conf", f"{name}={text}")]


def clean_environment(python: Path) -> dict[str, str]:
    """Give the environment without what would lead a Python or Spark back to this one; another Python comes first."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("SPARK_", "PYTHON", "PYSPARK_"))}
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1", "LC_ALL": "C.UTF-8"}


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
def _running(folder: Path, python: Path, name: str, *words: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            [SPARK_HOME / "bin" / "spark-class", *words],
            env=clean_environment(python)
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
