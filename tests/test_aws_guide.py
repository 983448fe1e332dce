"""docs/aws.md is true as far as can be told without an account: every command and option in it is one there is."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from fruits import cli

GUIDE = (Path(__file__).parents[1] / "docs" / "aws.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.M | re.S)
TYPED = [part for block in BLOCKS for line in block.splitlines() for part in line.split("#")[0].split(" && ")]
NAMED = re.findall(r"`(fruits [^`]+)`", GUIDE.replace("\n", " "))
COMMANDS = sorted({line.strip() for line in [*TYPED, *NAMED] if re.match(r"fruits (?!emr$)", line.strip())})


def test_there_is_something_to_check():
    names = {line.split()[2] for line in COMMANDS if line.startswith("fruits emr ")}
    assert names == set(cli.COMMANDS["emr"].below)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_one_there_is(line):
    words = ["1" if re.fullmatch("[A-Z]", word) else word for word in shlex.split(line)[1:]]  # N, D: some number
    arguments = cli._make_parser().parse_args(words)
    if arguments.command.settings is not None:
        cli.parse(arguments)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_script_is_one_that_a_shell_reads(block):
    assert subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True).stderr == ""
