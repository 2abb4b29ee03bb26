"""Reads the commands as a tree of plain data from the functions that typer makes commands of."""

import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import OptionInfo, ParameterInfo


@dataclass(frozen=True, slots=True)
class Parameter:
    """An option or an argument.

    Attributes:
        names: an option's spellings, such as ``("--config", "-c")``; an argument has none.
        metavar: what stands for its value; empty for a flag.
        help: one or more sentences; may be empty.
        choices: the values that it takes; empty if it takes others too.
    """

    names: tuple[str, ...]
    metavar: str
    help: str
    choices: tuple[str, ...]
    is_path: bool
    required: bool
    repeated: bool

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar


@dataclass(frozen=True, slots=True)
class ManualCommand:
    """A command, or a group of commands, whose `commands` aren't empty."""

    name: str
    help: str
    options: tuple[Parameter, ...]
    arguments: tuple[Parameter, ...]
    commands: tuple["ManualCommand", ...]

    def each(self, above: str = "") -> Iterator[tuple[str, "ManualCommand"]]:
        """This command and all below it, each after the words that lead to it."""
        path = f"{above} {self.name}".lstrip()
        yield path, self
        for command in self.commands:
            yield from command.each(path)


_HELP = Parameter(("--help", "-h"), "", "Show what the command takes.", (), False, False, False)


def tree(app: typer.Typer, name: str) -> ManualCommand:
    """The commands of a typer application, or of a group within one, without hidden ones."""
    commands = []
    for info in app.registered_commands:
        if not info.hidden:
            assert info.callback is not None
            typed = info.name or info.callback.__name__.lower().replace("_", "-")
            commands.append(_command(typed, info.callback, info.help))
    for group in app.registered_groups:
        if not group.hidden and group.typer_instance is not None:
            commands.append(tree(group.typer_instance, str(_given(group.name))))
    function = app.registered_callback.callback if app.registered_callback is not None else None
    return _command(name, function, _given(app.info.help), tuple(commands))


def _given(value: object) -> object:
    """A setting of typer's, which may be wrapped in a marker for an unset default."""
    return getattr(value, "value", value)


def _command(
    name: str, function: object, text: object, commands: tuple[ManualCommand, ...] = ()
) -> ManualCommand:
    options, arguments = _parameters(function)
    description = inspect.cleandoc(str(text or inspect.getdoc(function) or ""))
    return ManualCommand(name, description, options, arguments, commands)


def _parameters(function: object) -> tuple[tuple[Parameter, ...], tuple[Parameter, ...]]:
    options: list[Parameter] = []
    arguments: list[Parameter] = []
    if callable(function):
        hints = get_type_hints(function, include_extras=True)
        for name, parameter in inspect.signature(function).parameters.items():
            of, info = _declared(hints.get(name))
            if info is None or info.hidden:
                continue
            required = parameter.default is inspect.Parameter.empty
            wanted = options if isinstance(info, OptionInfo) else arguments
            wanted.append(_parameter(name, of, info, required))
    return (*options, _HELP), tuple(arguments)


def _declared(hint: object) -> tuple[object, ParameterInfo | None]:
    """The type of a parameter, and its typer option or argument out of `Annotated`."""
    if get_origin(hint) is Annotated:
        of, *notes = get_args(hint)
        for note in notes:
            if isinstance(note, ParameterInfo):
                return of, note
    return hint, None


def _parameter(name: str, hint: object, info: ParameterInfo, required: bool) -> Parameter:
    of, repeated = _bare(hint)
    choices = tuple(map(str, get_args(of))) if get_origin(of) is Literal else ()
    metavar = (info.metavar or _metavar(of, name, choices)).strip("[]")
    if not choices and "|" in metavar:  # words that the configuration checks, not typer
        choices = tuple(metavar.split("|"))
    is_path = metavar in {"DIRECTORY", "FILE", "PATH"}
    names: tuple[str, ...] = ()
    if isinstance(info, OptionInfo):
        names = _names(info, name, flag=of is bool)
        if of is bool:
            metavar = ""
    return Parameter(names, metavar, info.help or "", choices, is_path, required, repeated)


def _bare(hint: object) -> tuple[object, bool]:
    """A type without `| None`, `list[...]` and `tuple[..., ...]`; whether it was one of the two."""
    if get_origin(hint) in {Union, types.UnionType}:
        (hint,) = [each for each in get_args(hint) if each is not types.NoneType][:1]
    if get_origin(hint) in {list, tuple}:
        return get_args(hint)[0], True
    return hint, False


def _metavar(of: object, name: str, choices: tuple[str, ...]) -> str:
    if choices:
        return "|".join(choices)
    if of is int:
        return "NUMBER"
    if isinstance(of, type) and issubclass(of, Path):
        return "FILE"
    return name.upper()


def _names(info: OptionInfo, name: str, *, flag: bool) -> tuple[str, ...]:
    # Of an annotation, typer keeps the first spelling where a default stands otherwise.
    said = (info.default, *(info.param_decls or ()))
    declared = [each for each in said if isinstance(each, str) and each.startswith("-")]
    if not declared:
        long = name.lower().replace("_", "-")
        declared = [f"--{long}/--no-{long}"] if flag else [f"--{long}"]
    return tuple(re.sub(r"\s", "", part) for each in declared for part in each.split("/"))
