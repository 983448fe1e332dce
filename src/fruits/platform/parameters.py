"""Settings from wherever this machine gives them: widgets and job parameters on Databricks, `--name value` elsewhere."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from types import TracebackType
from typing import Any

from fruits.errors import FruitsError, SettingError
from fruits.settings import Settings, as_text, from_text


def add_arguments(parser: argparse.ArgumentParser, names: Sequence[str] = ()) -> None:
    """Add an option per setting, or for the named ones only."""
    for setting in fields(Settings):
        if names and setting.name not in names:
            continue
        default = as_text(setting.default)
        shown = f" (default: {default})" if default else ""
        parser.add_argument(
            f"--{setting.name.replace('_', '-')}",
            *([f"--{setting.name}"] if "_" in setting.name else []),
            dest=setting.name,
            metavar=setting.name.upper(),
            default="",
            help=f"{setting.metadata['help']}{': ' if setting.metadata['choices'] else ''}"
            f"{' | '.join(setting.metadata['choices'])}{shown}".replace("%", "%%"),
        )


def parse(arguments: argparse.Namespace) -> Settings:
    """Make settings from parsed arguments that add_arguments declared."""
    names = {setting.name for setting in fields(Settings)}
    return from_text({name: text for name, text in vars(arguments).items() if name in names})


def read(dbutils: Any = None, argv: Sequence[str] | None = None) -> Settings:
    """Read the settings of a notebook: widgets where there is a `dbutils`, the command line where there is none.

    On a command line a wrong setting ends the script with one line and status 2, and a FruitsError that the script does
    not catch is one line and status 1.

    Args:
        dbutils: `globals().get("dbutils")` of the notebook.
        argv: arguments; those of the process by default.
    """
    if dbutils is not None:
        for setting in fields(Settings):
            dbutils.widgets.text(setting.name, as_text(setting.default), setting.name)
        return from_text({setting.name: dbutils.widgets.get(setting.name) for setting in fields(Settings)})
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    sys.excepthook = _print_short
    try:
        return parse(parser.parse_args(argv))
    except SettingError as error:
        parser.error(str(error))


def _print_short(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, FruitsError):
        print(f"fruits: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
