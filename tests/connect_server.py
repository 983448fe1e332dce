"""A Spark Connect server as serverless has it: another process, whose Python workers cannot import this package."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from fruits.platform import session, worker_daemon

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
PATIENCE = 120  # seconds for the server to come up


def make_workers_python(folder: Path) -> Path:
    """Make a Python with the packages of this one but for fruits: the .pth file that it is installed by is not read."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip())
    (own / "packages.pth").write_text(sysconfig.get_path("purelib"))
    shutil.copy(worker_daemon.__file__, own)
    return python


@contextlib.contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """Start a server, and end it afterwards.

    Yields:
        Its address, for SPARK_REMOTE.
    """
    python = make_workers_python(folder / "python")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = session.LAPTOP | {
        "spark.master": "local[2]",
        "spark.driver.memory": "3g",
        "spark.driver.extraJavaOptions": session.JAVA_OPTIONS,
        "spark.connect.grpc.binding.port": str(port),
        "spark.python.daemon.module": Path(worker_daemon.__file__).stem,
    }
    del settings["spark.executorEnv.PYTHONPATH"]
    confs = [part for pair in settings.items() for part in ("--conf", "=".join(pair))]
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("SPARK_", "PYTHON"))}
    log = folder / "server.log"
    with contextlib.ExitStack() as ending:
        with session.one_start_at_a_time(), log.open("wb") as output:
            server = subprocess.Popen(
                [Path(sys.executable).with_name("spark-submit"), "--class", SERVER, *confs],
                env=environment | {"PYSPARK_PYTHON": str(python)},
                cwd=folder,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C ends the tests, and they end it
            )
            ending.callback(server.wait)
            ending.callback(server.kill)
            end = time.monotonic() + PATIENCE
            while not _answers(port):
                assert server.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.2)
        yield f"sc://127.0.0.1:{port}"


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
