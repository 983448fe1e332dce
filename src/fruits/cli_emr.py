"""`fruits emr …`: an AWS account from this machine; the work is done by fruits.platform."""

from fruits.cli_command import Command
from fruits.cli_emr_data import DATA
from fruits.cli_emr_notebook import NOTEBOOK
from fruits.cli_emr_release import RELEASE
from fruits.cli_emr_runs import RUNS
from fruits.cli_emr_setup import SETUP

EMR = Command(
    "the chain on AWS EMR",
    "logs in as boto3 does (profile, environment, role), in a region of the European Union",
    "fruits emr run",
    below=SETUP | RELEASE | DATA | RUNS | NOTEBOOK,
)
