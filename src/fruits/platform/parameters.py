"""Settings from where this machine gives them: widgets and job parameters on Databricks, `--name value` elsewhere."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from types import TracebackType
from typing import Any, NoReturn

from fruits.errors import FruitsError, SettingError
from fruits.settings import Settings, as_text, from_text, names


class Parser(argparse.ArgumentParser):
    """A command line whose errors are one line, and whose options are never abbreviated."""

    def __init__(self, **options: Any) -> None:
        """Keep the line breaks of description and epilog."""
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """End with one line and status 2."""
        self.exit(2, f"fruits: {message}; see {self.prog} --help\n")


def add_arguments(parser: argparse.ArgumentParser, only: Sequence[str] = (), defaults: bool = True) -> None:
    """Add an option per setting, or for the named ones only; without `defaults`, the help does not promise any."""
    group = parser.add_argument_group("settings")
    for setting in fields(Settings):
        if only and setting.name not in only:
            continue
        default, choices = as_text(setting.default), setting.metadata["choices"]
        shown = f" (default: {default})" if default and defaults else ""
        option = f"--{setting.name.replace('_', '-')}"
        group.add_argument(
            option,
            dest=setting.name,
            metavar="|".join(choices) or setting.name.rpartition("_")[2].upper(),
            default="",
            help=f"{setting.metadata['help']}{shown}".replace("%", "%%"),
        )
        if "_" in setting.name:  # as widgets and job parameters spell it
            group.add_argument(
                f"--{setting.name}", dest=setting.name, default=argparse.SUPPRESS, help=argparse.SUPPRESS
            )


def parse(arguments: argparse.Namespace) -> Settings:
    """Make settings from parsed arguments that add_arguments declared."""
    known = names()
    return from_text({name: text for name, text in vars(arguments).items() if name in known})


def read(dbutils: Any = None, argv: Sequence[str] | None = None) -> Settings:
    """Read the settings of a notebook: widgets where there is a `dbutils`, the command line where there is none.

    On a command line a wrong setting ends the script with one line and status 2, and so does a SettingError that the
    script does not catch; another FruitsError is one line and status 1.

    Args:
        dbutils: `globals().get("dbutils")` of the notebook.
        argv: arguments; those of the process by default.
    """
    if dbutils is not None:
        for setting in fields(Settings):
            dbutils.widgets.text(setting.name, as_text(setting.default), setting.name)
        return from_text({name: dbutils.widgets.get(name) for name in names()})
    parser = Parser()
    add_arguments(parser)
    sys.excepthook = _end_short
    try:
        return parse(parser.parse_args(argv))
    except SettingError as error:
        parser.exit(2, f"fruits: {error}\n")


def hand_over(dbutils: Any, summary: dict[str, Any], **values: Callable[[], Any]) -> None:
    """End a notebook with its summary as its result, which a job's output shows; elsewhere it was printed already.

    Args:
        dbutils: `globals().get("dbutils")` of the notebook.
        summary: what the step gave.
        values: what conditions of the job read as `{{tasks.<task>.values.<name>}}`, as JSON; functions, since it costs
            something to know and elsewhere nobody asks.
    """
    if dbutils is None:
        return
    told = {name: value() for name, value in values.items()}
    for name, value in told.items():
        dbutils.jobs.taskValues.set(key=name, value=json.dumps(value))
    dbutils.notebook.exit(json.dumps(summary | told, ensure_ascii=False, default=str))


def _end_short(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, FruitsError):
        sys.__excepthook__(kind, error, trace)
        return
    print(f"fruits: {error}", file=sys.stderr)
    # What an excepthook raises decides the status; without, it would be 1.
    raise SystemExit(2 if issubclass(kind, SettingError) else 1)
