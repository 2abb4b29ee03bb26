"""Reads the commands as a tree of plain data from the functions that typer makes commands of."""

import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import OptionInfo, ParameterInfo

Named: TypeAlias = Literal["endpoint", "pool", ""]
_NAMED: dict[str, Named] = {
    **dict.fromkeys(("SIP_URI", "SIP_ADDRESS", "IDENTITY"), "endpoint"),
    **dict.fromkeys(("FQDN", "POOL_FQDN"), "pool"),
}
_OTHERS = frozenset(("--sip-address", "--from"))
"""Options whose URI is no endpoint's: that of a new one, or a caller."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An option or an argument.

    Attributes:
        names: an option's spellings, such as ``("--config", "-c")``; an argument has none.
        metavar: what stands for its value; empty for a flag.
        help: one or more sentences; may be empty.
        choices: the values that it takes; empty if it takes others too.
        named: what it names that the daemon knows.
        default: the value without it; empty if that says nothing.
        environment: the variable that gives its value; empty if there is none.
        group: the heading above it; empty for the usual one.
    """

    names: tuple[str, ...]
    metavar: str
    help: str
    choices: tuple[str, ...]
    is_path: bool
    required: bool
    repeated: bool
    named: Named = ""
    default: str = ""
    environment: str = ""
    group: str = ""

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar


@dataclass(frozen=True, slots=True)
class CommandDescription:
    """A command, or a group of commands, whose `commands` aren't empty."""

    name: str
    help: str
    options: tuple[Parameter, ...]
    arguments: tuple[Parameter, ...]
    commands: tuple["CommandDescription", ...]

    def each(self, above: str = "") -> Iterator[tuple[str, "CommandDescription"]]:
        """This command and all below it, each after the words that lead to it."""
        path = f"{above} {self.name}".lstrip()
        yield path, self
        for command in self.commands:
            yield from command.each(path)


_HELP = Parameter(("--help", "-h"), "", "Show what the command takes.", (), False, False, False)


def tree(app: typer.Typer, name: str) -> CommandDescription:
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
    name: str, function: object, text: object, commands: tuple[CommandDescription, ...] = ()
) -> CommandDescription:
    options, arguments = parameters_of(function)
    description = inspect.cleandoc(str(text or inspect.getdoc(function) or ""))
    return CommandDescription(name, description, options, arguments, commands)


def parameters_of(function: object) -> tuple[tuple[Parameter, ...], tuple[Parameter, ...]]:
    """The options, `--help` among them, and the arguments of a command's function."""
    options: list[Parameter] = []
    arguments: list[Parameter] = []
    if callable(function):
        hints = get_type_hints(function, include_extras=True)
        for name, parameter in inspect.signature(function).parameters.items():
            of, info = _declared(hints.get(name))
            if info is None or info.hidden:
                continue
            default = parameter.default
            wanted = options if isinstance(info, OptionInfo) else arguments
            wanted.append(_parameter(name, of, info, default))
    return (*options, _HELP), tuple(arguments)


def _declared(hint: object) -> tuple[object, ParameterInfo | None]:
    """The type of a parameter, and its typer option or argument out of `Annotated`."""
    if get_origin(hint) is Annotated:
        of, *notes = get_args(hint)
        for note in notes:
            if isinstance(note, ParameterInfo):
                return of, note
    return hint, None


def _parameter(name: str, hint: object, info: ParameterInfo, default: object) -> Parameter:
    of, repeated = _bare(hint)
    choices = tuple(map(str, get_args(of))) if get_origin(of) is Literal else ()
    metavar = (info.metavar or _metavar(of, name, choices)).strip("[]")
    # words that the option's parser knows; in capitals kinds of values, as in ADDRESS|NAME
    if not choices and "|" in metavar and not metavar.isupper():
        choices = tuple(metavar.split("|"))
    is_path = metavar in {"DIRECTORY", "FILE", "PATH"}
    names: tuple[str, ...] = ()
    if isinstance(info, OptionInfo):
        names = _names(info, name, flag=of is bool)
        if of is bool:
            metavar = ""
    return Parameter(
        names,
        metavar,
        info.help or "",
        choices,
        is_path,
        required=default is inspect.Parameter.empty,
        repeated=repeated,
        named="" if _OTHERS.intersection(names) else _NAMED.get(metavar, ""),
        default=str(default) if metavar and _is_shown(default, info) else "",
        environment=str(info.envvar) if info.envvar and info.show_envvar else "",
        group=str(info.rich_help_panel or ""),
    )


def _is_shown(default: object, info: ParameterInfo) -> bool:
    """Whether a default is shown: one that says something."""
    return bool(info.show_default) and default not in (None, (), "", inspect.Parameter.empty)


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
