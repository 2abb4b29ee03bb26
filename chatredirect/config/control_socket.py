"""Finds the control socket's path in a configuration, for commands that talk to the daemon.

The file is read only as far as `control.socket`: it may have become faulty since the daemon read
it, and a hundred thousand endpoints take seconds.
"""

import os
from collections.abc import Iterator

import yaml

from chatredirect.config.document import LOADER, MAX_FILE
from chatredirect.config.models import DEFAULT_SOCKET, placed_socket
from chatredirect.runtime.regular_file import opened


def configured_socket(file: str | os.PathLike[str]) -> str | None:
    """The control socket that a configuration names; None if it is switched off.

    A relative path is relative to the file's folder. The default if the file names none, or can't
    be read.
    """
    try:
        with opened(file, MAX_FILE) as descriptor, open(descriptor, "rb", closefd=False) as stream:
            found = _socket(yaml.parse(stream, Loader=LOADER))
    except (OSError, ValueError, yaml.YAMLError):
        return DEFAULT_SOCKET
    if found is None:
        return DEFAULT_SOCKET
    switched_off = not found.style and found.value.lower() in ("off", "no", "false")
    if switched_off or found.value == "off":
        return None
    try:
        return placed_socket(found.value, file)
    except ValueError:  # the daemon didn't start with this file
        return found.value


def _socket(events: Iterator[yaml.Event]) -> yaml.ScalarEvent | None:
    root = next((event for event in events if isinstance(event, yaml.NodeEvent)), None)
    mapping = isinstance(root, yaml.MappingStartEvent)
    return _value(events, ("control", "socket")) if mapping else None


def _value(events: Iterator[yaml.Event], path: tuple[str, ...]) -> yaml.ScalarEvent | None:
    """The value at a path of keys in a mapping whose start event has been read."""
    for key in events:
        if not isinstance(key, yaml.ScalarEvent):
            return None  # the mapping's end, or a key that is none
        value = next(events)
        if key.value == path[0]:
            if len(path) == 1:
                return value if isinstance(value, yaml.ScalarEvent) else None
            return _value(events, path[1:]) if isinstance(value, yaml.MappingStartEvent) else None
        _skip(events, value)
    return None


def _skip(events: Iterator[yaml.Event], first: yaml.Event) -> None:
    depth = int(isinstance(first, yaml.CollectionStartEvent))
    while depth:
        event = next(events)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
