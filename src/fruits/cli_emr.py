"""`fruits emr …`: an AWS account from this machine; the work is done by fruits.platform."""

import argparse
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from fruits.cli_command import Command
from fruits.cli_emr_notebook import NOTEBOOK

if TYPE_CHECKING:
    from fruits.platform.aws import Aws


def log_in(arguments: argparse.Namespace) -> "AbstractContextManager[Aws]":
    """Log in as the arguments of add_login say."""
    from fruits.platform.aws import open_aws

    return open_aws(arguments.region, arguments.profile, arguments.outside_eu)


def add_login(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes that talks to AWS."""
    parser.add_argument("--region", metavar="REGION", help="AWS region (default: the profile's, or AWS_REGION)")
    parser.add_argument("--profile", metavar="NAME", help="AWS profile (default: the environment, then default)")
    parser.add_argument("--stack", default="fruits", metavar="NAME", help="CloudFormation stack (default: fruits)")
    parser.add_argument(
        "--outside-eu", metavar="REGION", help="the region once more, if it may be outside the European Union"
    )


EMR = Command(
    "the chain on AWS EMR",
    "logs in as boto3 does (profile, environment, role), in a region of the European Union",
    "fruits emr run",
    below=NOTEBOOK,
)
