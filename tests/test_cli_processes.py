"""The command line as a process of its own: quick to refuse, clean on standard output, stopped in one line."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from conftest import make_place, photo_set


def test_the_help_imports_nothing_heavy():
    heavy = ["pyspark", "pandas", "pyarrow", "numpy", "mlflow", "tensorflow", "matplotlib", "sklearn", "PIL"]
    script = f"import sys, fruits.cli; fruits.cli._make_parser(); print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"


def test_wrong_use_takes_less_than_two_seconds(fruits_command, tmp_path):
    before = os.times()
    ended = subprocess.run([fruits_command, "run", "--images", "nowhere", "--lake", tmp_path], capture_output=True)
    after = os.times()
    assert ended.returncode == 2
    # Time of the processor, not of the clock: others may be at work on it.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 2


def test_a_reader_that_leaves_early_is_no_error(fruits_command):
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [fruits_command, "samples", "/dev/null/x", "--photos", "1"], stdout=writer, stderr=subprocess.PIPE
    )
    assert b"Traceback" not in ended.stderr
    script = "from fruits import cli, samples; samples.draw_samples = lambda *_: {'x': 1}; cli.main(['samples', 'd'])"
    ended = subprocess.run([sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert ended.stderr == b""


# One process for all it tries, since each would start a Spark of its own. Between commands it prints MARK; at the
# last one it is interrupted.
MARK = "----"
SCRIPT = f"""
import json, os, sys
from fruits import cli

*commands, last = json.loads(sys.argv[1])
for command in commands:
    status = cli.main(command)
    for stream in (sys.stdout, sys.stderr):
        print("{MARK}", status, file=stream, flush=True)
sys.exit(cli.main(last))
"""


@pytest.mark.slow
def test_run_status_forget_and_ctrl_c_as_a_person_types_them(tmp_path):
    """Standard output is the object and nothing else, whatever the JVM, Delta or MLflow print."""
    here = make_place(tmp_path, photo_set(labels=2, training=4, test=2), tracking="", k="2", k_values="1")
    lake = here.options("lake")
    run = ["run", *here.options("images", "weights", "k", "k_values"), "--json"]
    commands = [
        [*run, *lake],
        ["status", *lake],
        ["forget", *lake, "Test/Fruit 0/4.jpg", "--json"],
        [*run, "--lake", str(tmp_path / "another lake")],
    ]
    environment = {name: text for name, text in os.environ.items() if name != "SPARK_REMOTE"}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        cwd=tmp_path,
    )
    said = []
    while sum(line.startswith(MARK) for line in said) < 3 or "bronze: done" not in said[-1]:
        said.append(process.stderr.readline())
        assert said[-1], f"it ended before it was interrupted: {said}"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all that run in it
    out, rest = process.communicate(timeout=60)
    ran, status, forgot, stopped = out.split(f"{MARK} 0\n")
    whole = json.loads(ran)
    assert whole["compare"]["promoted"]["pca"] == "1"
    assert re.search(r"^fruits_pca +1  champion", status, re.M)
    assert json.loads(forgot)["erased"]["gold_pca"] == 1
    errors = "".join(said).split(f"{MARK} 0\n")
    assert [line for line in errors[0].splitlines() if not re.match("(bronze|silver|gold|compare): ", line)] == []
    assert errors[1] == ""
    assert (process.returncode, stopped) == (1, "")
    told = [line for line in (errors[3] + rest).splitlines() if not re.match(r"\w+: (\d+ of |done in )", line)]
    assert told == ["fruits: stopped; the same command again continues where this one was"]
