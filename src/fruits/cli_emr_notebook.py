"""`fruits emr notebook`: the chain as one notebook for EMR Studio, JupyterHub and JupyterLab."""

import argparse
import os
import platform
import re
from pathlib import Path
from typing import Any

import fruits
from fruits.cli_command import Command
from fruits.errors import FruitsError, SettingError
from fruits.platform.parameters import parse

SETTINGS = ("images", "lake", "weights", "input_size", "k", "k_values", "tracking")
SHOWN = ("weights", "k", "k_values")  # in the parameters cell, given or not: what people change


def _write_notebook(arguments: argparse.Namespace) -> dict[str, Any]:
    settings, file = parse(arguments), Path(arguments.file)
    if file.suffix != ".ipynb" or file.is_dir():
        raise SettingError(f"{arguments.file!r} is not a file name that ends in .ipynb; try fruits.ipynb")
    if not file.parent.is_dir():
        raise SettingError(f"{str(file.parent)!r} is not a folder to write to; make it first")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|YOUR-BUCKET", arguments.bucket):
        raise SettingError(f"{arguments.bucket!r} is no name of a bucket; `fruits emr status` says the stack's")
    if arguments.execute and arguments.kernel != "python":
        raise SettingError(
            "--execute runs a notebook on this machine, where --kernel sparkmagic has no Livy; leave one"
        )
    from fruits.views.notebook_emr import Place, compose
    from fruits.views.notebooks import execute, save

    place = Place(arguments.kernel, arguments.bucket, fruits.__version__, arguments.architecture, arguments.cluster)
    told = {name: getattr(settings, name) for name in SETTINGS if name in SHOWN or getattr(arguments, name)}
    note = _describe_run(arguments.language) if arguments.execute else ""
    notebook = compose(_find_sources(), place, arguments.language, told, note)
    if arguments.execute:
        execute(notebook, Path.cwd())
    save(notebook, file)
    return {"notebook": str(file), "kernel": arguments.kernel, "cells": len(notebook.cells)}


def _describe_run(language: str) -> str:
    """Say on what machine a notebook is executed, without its name."""
    from fruits.views.notebook_texts import TEXTS

    return TEXTS[language]["executed"].format(
        cores=os.cpu_count(), system=platform.system(), machine=platform.machine()
    )


def _find_sources() -> Path:
    folder = Path(fruits.__file__).parents[2] / "notebooks"
    if not folder.is_dir():
        raise FruitsError("notebooks/ is not beside the package; run this in a clone of the project")
    return folder


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", default="fruits.ipynb", metavar="OUT.ipynb", help="default: fruits.ipynb")
    parser.add_argument(
        "--kernel",
        choices=("python", "sparkmagic"),
        default="sparkmagic",
        help="sparkmagic (PySpark over Livy) in EMR Studio and JupyterHub, python in JupyterLab (default: sparkmagic)",
    )
    parser.add_argument("--language", choices=("en", "fr"), default="en", help="of its words (default: en)")
    parser.add_argument("--bucket", default="YOUR-BUCKET", metavar="NAME", help="the stack's, as the deploy said")
    parser.add_argument(
        "--architecture", choices=("x86_64", "arm64"), default="x86_64", help="the application's (default: x86_64)"
    )
    parser.add_argument("--cluster", action="store_true", help="for EMR on EC2, as JupyterHub is; else EMR Serverless")
    parser.add_argument("--execute", action="store_true", help="run it here first, and keep what its cells say")


NOTEBOOK = {
    "notebook": Command(
        "the chain as one notebook",
        "for EMR Studio, JupyterHub and JupyterLab; asks nothing of AWS",
        "fruits emr notebook fruits.ipynb --bucket BUCKET --language fr",
        _write_notebook,
        settings=SETTINGS,
        extra=_add_arguments,
    )
}
