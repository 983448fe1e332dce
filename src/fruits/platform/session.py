"""The Spark session: the one that is there, or one sized for a laptop."""

import fcntl
import hashlib
import locale
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyspark
from pyspark import cloudpickle
from pyspark.sql import SparkSession

import fruits
from fruits.errors import FruitsError
from fruits.platform import s3a, worker_daemon
from fruits.platform.delta import DELTA_SQL
from fruits.platform.files import cache_folder
from fruits.settings import Settings

# From Delta 4.1 on the name has Spark's version. 3.5 is the Spark of emr-7.14.0, which is otherwise the same to us.
DELTA_PACKAGES = {"3.5": "io.delta:delta-spark_2.12:3.3.2", "4.1": "io.delta:delta-spark_4.1_2.13:4.2.0"}
DELTA_PACKAGE = DELTA_PACKAGES.get(pyspark.__version__[:3], DELTA_PACKAGES["4.1"])
# Delta's jar names Spark's own dependencies again; Spark has them, so they need no download and no place in the path.
SPARK_HAS = (
    "org.apache.hadoop:hadoop-c*,org.apache.parquet:*,org.apache.logging.log4j:*,org.slf4j:*,com.fasterxml.jackson.*:*"
)
# On jobs of seconds the optimising compiler and a parallel collector cost more than they give (31.0 -> 22.6 s).
# With one compiler Java keeps 48 MB for its code, and an hour of Spark fills that: it then runs interpreted.
# A heap that starts small is collected whole each time it grows (1,200 photos: 21.4 -> 20.5 s).
# Linux gives huge pages to those who ask: memory is found faster, above all in a virtual machine (tests on Spark: 6 %).
# Hadoop without its native library starts a program for each link it looks at and each file's rights, 150 in a run on
# 24 photos. By vfork that takes Java 1.6 ms each, by a helper program, which it would start first, 2.2.
JAVA_OPTIONS = (
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m "
    "-XX:+UseSerialGC -Xms1g -Xmn400m -XX:MetaspaceSize=256m -Xlog:cds=off"
) + (" -XX:+UseTransparentHugePages -Djdk.lang.Process.launchMechanism=VFORK" if sys.platform == "linux" else "")
# Bytes of Java's archive of classes: a session that could not start leaves 40 MB, one that did nothing else 66 with
# Spark 3.5 and 107 with 4.1, a run 180.
SMALLEST_ARCHIVE = 48 * 2**20
LAPTOP = DELTA_SQL | {
    "spark.jars.packages": DELTA_PACKAGE,
    "spark.jars.excludes": SPARK_HAS,
    "spark.app.name": "fruits",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Spark's 200 shuffle partitions and Delta's 50 snapshot partitions dominate small tables.
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "1",
    # Delta would list a small table's files in the checksum of each commit; nothing reads that list, and outside of UTC
    # Delta reads the log anew after each commit to compare it (four runs in Paris: 27.1 -> 22.5 s).
    "spark.databricks.delta.allFilesInCrc.enabled": "false",
    # Planning a query anew between its stages is for large shuffles: with four partitions it only makes more jobs (the
    # files of a forgotten photo: 29 -> 15 s; a run on 9,956 photos: the same).
    "spark.sql.adaptive.enabled": "false",
    # Compiling a query costs more than it saves where it runs for a tenth of a second (1,200 photos: 25.6 -> 23.0 s).
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # A photo is megabytes: batches of the default 10,000 rows would not fit.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "256",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # A folder per label: listing some hundred of them is quicker here than starting a job for it.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "2000",
    # Where a job does list, as Delta's VACUUM: with the default of 10,000 tasks it takes a minute for two rows.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    "spark.python.daemon.module": worker_daemon.__name__,
    # It has to be found there even where this package is only beside a notebook.
    "spark.executorEnv.PYTHONPATH": str(Path(fruits.__file__).parents[1]),
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.eventLog.enabled": "false",
    "spark.log.level": "ERROR",
}


def open_session(settings: Settings | None = None) -> SparkSession:
    """Give the session of this machine, starting a local one only where there is none.

    A local one can reach S3 where the photos, the lake or the weights of `settings` are there: that takes a package of
    600 MB, fetched once.

    A session that exists (a notebook's, Databricks', spark-submit's, a remote one's) is used as it is. `SPARK_REMOTE`
    chooses Spark Connect, as everywhere in Spark: `local[*]` starts a server here, `sc://host` uses one that runs.

    Raises:
        FruitsError: Spark does not start; the message says where its log is.
    """
    # Workers may not have this package on their path (a notebook beside src): its functions travel whole.
    cloudpickle.register_pickle_by_value(fruits)
    if _is_managed():
        return _add_delta(SparkSession.builder).getOrCreate()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if locale.getpreferredencoding(False).upper().replace("-", "") != "UTF8":
        os.environ["LC_ALL"] = "C.UTF-8"  # Java 17 names files by the locale: a label with an accent would not open
    builder = SparkSession.builder
    java = {
        "spark.driver.memory": f"{_driver_memory()}m",
        "spark.driver.extraJavaOptions": f"{JAVA_OPTIONS} {_class_archive()}",
    }
    for name, value in (LAPTOP | java | _reach_s3(settings)).items():
        builder = builder.config(name, value)
    if "SPARK_REMOTE" not in os.environ:
        builder = builder.master("local[*]")
    with one_start_at_a_time(), _spark_log() as log, warnings.catch_warnings():
        # On Connect the settings of the server are offered to the session again, which warns of each.
        warnings.simplefilter("ignore")
        try:
            return builder.getOrCreate()
        except Exception as error:
            raise FruitsError(f"Spark did not start ({_first_line(error)}); its log is {log}") from error


@contextmanager
def one_start_at_a_time() -> Iterator[None]:
    """Let this user's other sessions on the machine wait until this one has started.

    The first start fetches Delta, for all of them into the same files: of two that do so at once, one or both fail.
    """
    with Path(tempfile.gettempdir(), f"fruits-start-{os.getuid()}.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go with the file, or with this process
        yield


def is_connect(spark: SparkSession) -> bool:
    """Tell a Spark Connect session from a classic one."""
    return ".connect." in type(spark).__module__


def _is_managed() -> bool:
    """Whether somebody else decides how Spark starts: a running session, Databricks, spark-submit, a remote server."""
    return (
        SparkSession.getActiveSession() is not None
        or "DATABRICKS_RUNTIME_VERSION" in os.environ
        or "PYSPARK_GATEWAY_PORT" in os.environ
        or os.environ.get("SPARK_REMOTE", "").startswith("sc://")
    )


def _add_delta(builder: SparkSession.Builder) -> SparkSession.Builder:
    """Under spark-submit, before the session exists, switch Delta's SQL on unless the submitter did."""
    if SparkSession.getActiveSession() is None and "PYSPARK_GATEWAY_PORT" in os.environ:
        from pyspark import SparkConf

        submitted = SparkConf()
        for name, value in DELTA_SQL.items():
            if not submitted.contains(name):
                builder = builder.config(name, value)
    return builder


def _reach_s3(settings: Settings | None) -> dict[str, str]:
    needed = s3a.session_settings((settings.images, settings.lake, settings.weights) if settings else ())
    return needed and {**needed, "spark.jars.packages": f"{DELTA_PACKAGE},{s3a.hadoop_package()}"}


def _driver_memory() -> int:
    """Megabytes for the JVM: a fifth of the machine, 1 to 8 GB; the Python workers need the rest."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min(max(total / 5, 2**30), 2**33) / 2**20)


def _class_archive() -> str:
    """Java's option to take Spark's classes from an archive of this user, or to leave one when it ends.

    Half of a short run is Java reading and checking the same 20,000 classes (1,200 photos: 32.8 -> 25.3 s). Leaving it
    costs five seconds, so the first session does not. An archive of another Java or cut short is passed over, one of a
    session that could not start is left anew: with it all later ones would take twice as long.
    """
    java = shutil.which("java", path=f"{os.environ['JAVA_HOME']}/bin" if "JAVA_HOME" in os.environ else None)
    if java is None:
        return ""
    program = Path(java).resolve()
    made_for = f"{program} {program.stat().st_mtime_ns} {pyspark.__file__} {pyspark.__version__}"
    archive = cache_folder() / "java" / f"spark-{hashlib.sha256(made_for.encode()).hexdigest()[:16]}.jsa"
    with suppress(OSError):  # no place to keep it: a slower start
        archive.parent.mkdir(parents=True, exist_ok=True)
        if not archive.is_file():
            archive.touch()
            os.utime(archive, (0, 0))  # as one that was never finished: the next session begins it
            return ""
        with archive.open("rb") as file:
            is_finished = bool(file.read(4).strip(b"\0"))  # Java writes the head last
        if is_finished and archive.stat().st_size >= SMALLEST_ARCHIVE:
            return f'"-XX:SharedArchiveFile={archive}"'
        if not is_finished and time.time() - archive.stat().st_mtime < 3600:
            return ""  # another session leaves it when it ends; that takes Java some 10 s
        archive.unlink()  # what is there may look finished, and may be read-only
        archive.touch()
        return f'"-XX:ArchiveClassesAtExit={archive}"'
    return ""


@contextmanager
def _spark_log() -> Iterator[str]:
    """Let the JVM and its workers inherit a file as output: their noise is not the user's, but is kept."""
    path = Path(tempfile.gettempdir()) / f"fruits-spark-{os.getpid()}.log"
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)  # Delta's VACUUM prints there
        os.dup2(log.fileno(), 2)
    try:
        yield str(path)
    finally:
        for number, console in zip((1, 2), kept, strict=True):
            os.dup2(console, number)
            os.close(console)
        with suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
