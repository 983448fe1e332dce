"""The lanes of `make test`, which run at once: one that fails fails it, and Ctrl-C ends them all."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LANES = {"one": 0.5, "two": 0, "three": 0}  # the first, which is heard at once, speaks when all have started


def make_lanes(*lanes: str) -> subprocess.Popen:
    """Start a rule of these lanes, as a terminal starts one: in a process group of its own."""
    made = subprocess.Popen(
        ["make", "--silent", "-f", "Makefile", "-f", "-", "lanes"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    made.stdin.write(f"lanes:\n\t$(call at_once,{','.join(lanes)})\n")
    made.stdin.close()
    return made


@pytest.mark.parametrize("failing", [None, 0, 1, 2])
def test_a_lane_that_fails_fails_all_and_each_is_heard_in_turn(failing):
    ends = ["false" if place == failing else "true" for place in range(3)]
    made = make_lanes(*(f"sleep {LANES[name]}; echo {name}; {end}" for name, end in zip(LANES, ends, strict=True)))
    assert made.stdout.read() == "one\ntwo\nthree\n"
    assert (made.wait(timeout=30) == 0) is (failing is None)


def test_ctrl_c_reaches_python_in_every_lane_which_can_end_what_it_started(tmp_path):
    started = [tmp_path / name for name in LANES]
    code = "from pathlib import Path; import sys; import time; Path(sys.argv[1]).touch(); time.sleep(4321)"
    made = make_lanes(*(f"{sys.executable} -c '{code}' {file} 2>&1; true" for file in started))
    end = time.monotonic() + 30
    while not all(file.exists() for file in started):
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(made.pid, signal.SIGINT)
    said = made.stdout.read()
    assert len(re.findall("^KeyboardInterrupt$", said, re.M)) == 3, said
    assert made.wait(timeout=30) != 0
    assert "time.sleep(4321)" not in subprocess.check_output(["ps", "-eo", "args"], text=True)
