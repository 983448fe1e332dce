"""What a session of this machine is started with."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fruits.platform import session


@pytest.fixture
def option(monkeypatch, tmp_path):
    """Ask for Java's option, in a cache of the test's own; gives its name and its file."""
    monkeypatch.setenv("FRUITS_CACHE", str(tmp_path / "my cache"))

    def ask() -> tuple[str, Path]:
        name, file = re.fullmatch(r'"-XX:(\w+)=(.+)"', session._class_archive()).groups()
        return name, Path(file)

    return ask


def finish(archive: Path, size: int = 180_000_000) -> None:
    """Write what Java leaves, with nothing but its head in it."""
    archive.write_bytes(b"\xa8\xba\x0b\xf0")
    os.truncate(archive, size)


def test_the_second_session_leaves_an_archive_of_classes_and_later_ones_use_it(option):
    assert session._class_archive() == ""
    name, file = option()
    assert (name, file.suffix) == ("ArchiveClassesAtExit", ".jsa")
    assert session._class_archive() == ""  # the second one has not ended
    file.write_bytes(bytes(4096))
    assert session._class_archive() == ""  # Java is writing
    finish(file)
    assert option() == ("SharedArchiveFile", file)


def test_an_archive_that_was_never_finished_is_begun_anew(option):
    session._class_archive()
    _, file = option()
    file.write_bytes(bytes(4096))
    os.utime(file, (time.time() - 4000,) * 2)
    assert option() == ("ArchiveClassesAtExit", file)
    assert session._class_archive() == ""


def test_an_archive_of_a_session_that_could_not_start_is_begun_anew(option):
    session._class_archive()
    _, file = option()
    finish(file, 40_000_000)
    assert option() == ("ArchiveClassesAtExit", file)
    assert session._class_archive() == ""  # one session is enough
    finish(file)
    assert option() == ("SharedArchiveFile", file)


def test_another_java_or_spark_has_an_archive_of_its_own(option, monkeypatch):
    session._class_archive()
    first = option()
    monkeypatch.setattr("pyspark.__version__", "0.0")
    assert session._class_archive() == ""
    assert option()[1] != first[1]


def test_no_place_for_an_archive_and_no_java_mean_no_option(option, monkeypatch, tmp_path):
    (tmp_path / "my cache").write_text("a file")
    assert session._class_archive() == ""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert session._class_archive() == ""


@pytest.mark.slow
def test_two_sessions_start_at_once_where_delta_was_never_fetched(tmp_path):
    environment = {name: text for name, text in os.environ.items() if not name.startswith("SPARK_")}
    environment["JAVA_TOOL_OPTIONS"] = f"-Duser.home={tmp_path}"  # where what is fetched is kept
    environment["FRUITS_CACHE"] = os.devnull  # no archive of classes, for it would have few
    command = [sys.executable, "-c", "from fruits.platform.session import open_session; open_session().stop()"]
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [each.communicate(timeout=300)[0] for each in started]
    assert [each.returncode for each in started] == [0, 0], said
    assert list(tmp_path.glob(".ivy*/jars/io.delta_delta-spark_*.jar"))


def test_only_on_a_laptop_can_workers_import_the_package(spark):
    """There it is quick; on Connect, as on serverless, whatever they run has to travel to them."""

    def look(batches):
        import importlib.util
        import sys

        import pyarrow as pa

        archives = [each for each in sys.path if each.endswith((".zip", ".jar"))]
        found = importlib.util.find_spec("fruits") is not None
        for _ in batches:
            yield pa.RecordBatch.from_pylist([{"found": found, "archives": len(archives)}])

    seen = spark.range(1).mapInArrow(look, "found boolean, archives bigint").first()
    assert seen.asDict() == {"found": not session.is_connect(spark), "archives": 0}
