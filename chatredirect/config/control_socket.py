"""Finds the control socket's path in a configuration, for commands that talk to the daemon.

A command must find the socket of a daemon whose file has become faulty meanwhile, and without the
time that a hundred thousand endpoints take: so it reads the file only as far as `control.socket`.
"""

import os
from collections.abc import Iterator

import yaml
from yaml.events import (
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)

from chatredirect.config.document import MAX_FILE
from chatredirect.config.models import DEFAULT_SOCKET
from chatredirect.runtime.regular_file import opened


def configured_socket(file: str | os.PathLike[str]) -> str | None:
    """The control socket that a configuration names; None if it has been switched off.

    The default if the file says nothing, or can't be read.
    """
    try:
        with opened(file, MAX_FILE) as descriptor, open(descriptor, "rb", closefd=False) as stream:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            found = _socket(yaml.parse(stream, Loader=loader))
    except (OSError, ValueError, yaml.YAMLError):
        return DEFAULT_SOCKET
    if found is None:
        return DEFAULT_SOCKET
    switched_off = not found.style and found.value.lower() in ("off", "no", "false")
    return None if switched_off or found.value == "off" else found.value


def _socket(events: Iterator[Event]) -> ScalarEvent | None:
    """The value at `control.socket`."""
    for event in events:
        if isinstance(event, MappingStartEvent):
            return _value(events, ("control", "socket"))
        if isinstance(event, ScalarEvent | CollectionStartEvent):
            return None
    return None


def _value(events: Iterator[Event], path: tuple[str, ...]) -> ScalarEvent | None:
    """What is at a path of keys; the mapping's start has been read."""
    for key in events:
        if not isinstance(key, ScalarEvent):
            return None  # the mapping's end, or a key that is none
        value = next(events)
        if key.value == path[0]:
            if len(path) == 1:
                return value if isinstance(value, ScalarEvent) else None
            return _value(events, path[1:]) if isinstance(value, MappingStartEvent) else None
        _skip(events, value)
    return None


def _skip(events: Iterator[Event], first: Event) -> None:
    depth = int(isinstance(first, CollectionStartEvent))
    while depth:
        event = next(events)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
