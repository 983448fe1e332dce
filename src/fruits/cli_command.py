"""What a command of `fruits` is, and how commands become a command line."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fruits.platform.parameters import Parser, add_arguments
from fruits.views.summaries import show_pairs


@dataclass(frozen=True)
class Command:
    """One thing to type.

    Attributes:
        help: what it does, in a few words.
        more: the rest of it.
        example: a line to copy.
        work: arguments to result; None for nothing to show. Something under `failed` or `not_found` makes the exit
            status 1.
        show: result to words.
        settings: names of the settings it takes, empty for all; None for none.
        extra: adds arguments that are no settings.
        below: commands of its own, by name; one of them is then asked for instead.
    """

    help: str
    more: str
    example: str
    work: Callable[[argparse.Namespace], dict[str, Any] | None] = lambda arguments: None
    show: Callable[[dict[str, Any]], str] = show_pairs
    settings: Sequence[str] | None = ()
    extra: Callable[[argparse.ArgumentParser], Any] = lambda parser: None
    below: Mapping[str, "Command"] = field(default_factory=dict)


def argument(*names: str, **options: Any) -> Callable[[argparse.ArgumentParser], Any]:
    """Give what adds one argument to a command line."""
    return lambda parser: parser.add_argument(*names, **options)


def join(*adders: Callable[[argparse.ArgumentParser], Any]) -> Callable[[argparse.ArgumentParser], None]:
    """Give what adds all that several add, in their order."""

    def add(parser: argparse.ArgumentParser) -> None:
        for each in adders:
            each(parser)

    return add


def add_commands(parser: Parser, commands: Mapping[str, Command], required: bool = False) -> None:
    """Add commands, and those below them, to a command line; the one asked for is `command` of what it parses to."""
    places = parser.add_subparsers(title="commands", metavar="COMMAND", required=required)
    for name, command in commands.items():
        about = f"{command.help}{command.more and ': '}{command.more}"
        examples = [each.example for each in command.below.values()] or [command.example]
        epilog = "\n".join(f"example: {line}" for line in examples)
        each = places.add_parser(name, help=command.help, description=about, epilog=epilog)
        if command.below:
            add_commands(each, command.below, required=True)
            continue
        command.extra(each)
        if command.settings is not None:
            add_arguments(each, command.settings)
        each.add_argument("--json", action="store_true", help="end with one JSON object on standard output")
        each.set_defaults(command=command)
