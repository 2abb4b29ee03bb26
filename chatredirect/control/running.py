"""Finds running daemons that a control socket doesn't lead to, from /proc.

For an error message alone: a daemon that runs and can't be asked needs another remedy than one that
doesn't run. Of another user's process the arguments can be read, but not its folder; where /proc
hides other users' processes (hidepid), none is found.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DEFAULT_CONFIG = "/etc/chatredirect/chatredirect.yaml"
CONFIG_VARIABLE = "CHATREDIRECT_CONFIG"
"""The environment variable that names another configuration."""
_PROC = "/proc"
_MAX_OCTETS = 65_536  # of a command line, or an environment


@dataclass(frozen=True, slots=True)
class RunningDaemon:
    """A process that runs `chatredirect run`; `config` is its configuration's absolute path."""

    pid: int
    config: str

    def __str__(self) -> str:
        """For an error message."""
        return f"process {self.pid} with {self.config}"


def daemons_at(path: str, daemons: Iterable[RunningDaemon]) -> list[RunningDaemon]:
    """Those daemons whose configuration, as it is now, names the control socket `path`."""
    # it brings pydantic: not for the commands that only want the names above
    from chatredirect.config.control_socket import configured_socket  # noqa: PLC0415

    return [each for each in daemons if configured_socket(each.config) == path]


def daemons_of(config: str | os.PathLike[str]) -> list[RunningDaemon]:
    """The running daemons with this configuration file."""
    wanted = os.path.realpath(config)
    return [each for each in running_daemons() if os.path.realpath(each.config) == wanted]


def running_daemons() -> Iterator[RunningDaemon]:
    """Every process that runs `chatredirect run`, as far as it can be seen."""
    for name in os.listdir(_PROC):
        if name.isdigit():
            config = config_of(_arguments(name))
            if config == "":
                config = _environment(name).get(CONFIG_VARIABLE, DEFAULT_CONFIG)
            place = None if config is None else _absolute(name, config)
            if place is not None:
                yield RunningDaemon(int(name), place)


def config_of(arguments: list[str]) -> str | None:
    """The configuration that a command line names, "" if it names none.

    None if it isn't that of `chatredirect run`.
    """
    for at, word in enumerate(arguments[:6]):  # an interpreter with its options may stand before
        program = os.path.basename(word) == "chatredirect" or arguments[at - 1 : at + 1] == [
            "-m",
            "chatredirect",
        ]
        if program and arguments[at + 1 : at + 2] == ["run"]:
            return _option(arguments[at + 2 :])
    return None


def _option(arguments: list[str]) -> str:
    for at, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in ("--config", "-c"):
            return value if equals else next(iter(arguments[at + 1 :]), "")
    return ""


def _arguments(pid: str) -> list[str]:
    return _strings(f"{_PROC}/{pid}/cmdline")


def _environment(pid: str) -> dict[str, str]:
    pairs = (each.partition("=") for each in _strings(f"{_PROC}/{pid}/environ"))
    return {name: value for name, _, value in pairs}


def _strings(file: str) -> list[str]:
    try:
        with open(file, "rb") as stream:
            octets = stream.read(_MAX_OCTETS)
    except OSError:  # the process has ended, or is hidden
        return []
    return [os.fsdecode(each) for each in octets.split(b"\0")[:-1]]


def _absolute(pid: str, path: str) -> str | None:
    if path.startswith("/"):
        return path
    try:
        return os.path.normpath(os.path.join(os.readlink(f"{_PROC}/{pid}/cwd"), path))
    except OSError:  # another user's process
        return None
