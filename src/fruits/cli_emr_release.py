"""`fruits emr build` and `publish`: what runs start from, made on this machine and put into the stack's bucket."""

import argparse
import re
from pathlib import Path
from typing import Any

import fruits
from fruits.cli_command import Command
from fruits.cli_emr_login import add_login, log_in
from fruits.errors import SettingError
from fruits.platform.parameters import parse
from fruits.views import emr_release as views

ARCHITECTURES = ("arm64", "x86_64")


def _build(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.emr_release import build_release

    settings = parse(arguments)
    network = None
    if settings.weights != "fruits":  # the package has that one
        from fruits.vision.backbone import identify_backbone, load_network

        backbone = identify_backbone(settings)
        network = (backbone.id, load_network(backbone))
    return build_release(arguments.architecture, network, arguments.to)


def _publish(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.aws import find_stack
    from fruits.platform.emr_publish import publish_release

    if not re.fullmatch(r"\d[\w.+-]*", arguments.version, re.A):
        raise SettingError(f"version={arguments.version!r} is no version; try {fruits.__version__}")
    with log_in(arguments) as aws:
        folder = Path(arguments.source).expanduser() / arguments.version
        return publish_release(aws, find_stack(aws, arguments.stack), arguments.version, folder)


def _build_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--architecture", choices=ARCHITECTURES, default="arm64", help="as of the stack (default: arm64)")
    add("--to", default="dist/emr", metavar="DIR", help="folder of releases (default: dist/emr)")


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--version", default=fruits.__version__, metavar="V", help=f"to publish (default: {fruits.__version__})")
    add("--from", dest="source", default="dist/emr", metavar="DIR", help="folder of releases (default: dist/emr)")
    add_login(parser)


RELEASE = {
    "build": Command(
        "make a release: package, wheels, network, checksums",
        "into dist/emr/VERSION, with pip; again for another architecture adds that",
        "fruits emr build --architecture arm64",
        _build,
        views.show_build,
        settings=("weights",),
        extra=_build_arguments,
    ),
    "publish": Command(
        "a release -> the stack's bucket",
        "only what is not there; what is published is never overwritten with other content",
        "fruits emr publish",
        _publish,
        views.show_publish,
        settings=None,
        extra=_publish_arguments,
    ),
}
