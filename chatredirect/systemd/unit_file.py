"""Reads the service's unit file: its user, its sandbox, and the configuration that it serves.

The files are read, and systemd isn't asked: `check` works in an image that isn't booted too.
"""

import os
import re
import shlex
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product

UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Where systemd looks for units, the first one wins (systemd.unit(5), unit file load path)."""
_CREDENTIAL_STORES = ("/etc/credstore", "/run/credstore", "/usr/lib/credstore")
_NAME = "chatredirect"
_MAX_FILE = 65_536  # octets
_SPECIFIER = re.compile("%[A-Za-z%]")
_QUOTES = "\"'"
_YES = ("yes", "true", "on", "1")
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108  # named, not used


@dataclass(frozen=True, slots=True)
class ServiceUnit:
    """What of the unit decides which files the service can use; `keys` are those of [Service].

    Attributes:
        sockets: whether its socket unit is enabled.
    """

    keys: dict[str, list[str]] = field(default_factory=dict)
    sockets: bool = False
    name: str = f"{_NAME}.service"

    @property
    def user(self) -> str:
        """`User=`; root without it."""
        return self._last("User") or "root"

    @property
    def group(self) -> str | None:
        """`Group=`; None for the user's own."""
        return self._last("Group")

    @property
    def more_groups(self) -> list[str]:
        """`SupplementaryGroups=`."""
        return self._words("SupplementaryGroups")

    @property
    def config(self) -> str | None:
        """The file behind `--config` in `ExecStart=`."""
        words = shlex.split(self._last("ExecStart") or "")
        named = (after for word, after in pairwise(words) if word == "--config")
        return next(named, None)

    @property
    def binds_low_ports(self) -> bool:
        """Whether it may listen on ports below 1024 by itself."""
        return self.user == "root" or "CAP_NET_BIND_SERVICE" in self._words("AmbientCapabilities")

    def hides(self, path: str) -> str | None:
        """The key of the sandbox that keeps a file from the service; None if none does."""
        if self._last("ProtectHome") in (*_YES, "tmpfs") and _is_below(path, _HOMES):
            return "ProtectHome"
        if self._last("PrivateTmp") in (*_YES, "disconnected") and _is_below(path, _TEMPORARY):
            return "PrivateTmp"
        return None

    def forbids_writing(self, path: str) -> bool:
        """Whether the sandbox makes a folder read-only."""
        if self._last("ProtectSystem") != "strict":
            return False
        return not _is_below(path, [*self.own_folders, *self._words("ReadWritePaths")])

    @property
    def own_folders(self) -> list[str]:
        """The folders that systemd makes for the service, with the right owner."""
        runtime = [f"/run/{each}" for each in self._words("RuntimeDirectory")]
        return runtime + [f"/var/lib/{each}" for each in self._words("StateDirectory")]

    @property
    def environment(self) -> dict[str, str]:
        """`Environment=` and, on top, `EnvironmentFile=` (systemd.exec(5))."""
        words = [word for value in self.keys.get("Environment", ()) for word in _split(value)]
        for path in self.keys.get("EnvironmentFile", ()):
            words += _lines(path.removeprefix("-"))
        pairs = (word.partition("=") for word in words)
        return {name: value for name, equals, value in pairs if equals}

    @property
    def credentials(self) -> dict[str, str]:
        """The files of `LoadCredential=` that are there, by the credentials' names."""
        found = {}
        for value in self.keys.get("LoadCredential", ()):
            name, _, source = value.partition(":")
            places = [os.path.join(each, source or name) for each in _CREDENTIAL_STORES]
            path = next(filter(os.path.isfile, places), None)
            if path is not None:
                found[name] = path
        return found

    def _last(self, name: str) -> str | None:
        values = self.keys.get(name)
        return values[-1] if values else None

    def _words(self, name: str) -> list[str]:
        return [word for value in self.keys.get(name, ()) for word in value.split()]


def installed_unit(
    folders: Sequence[str] = UNIT_FOLDERS, instance: str | None = None
) -> ServiceUnit | None:
    """The installed unit with its drop-ins; None if there is none.

    Args:
        folders: where to look.
        instance: the name of an instance, whose unit is the template.
    """
    name = _NAME if instance is None else f"{_NAME}@{instance}"
    template = _NAME if instance is None else f"{_NAME}@"
    main = next(
        (path for each in folders if os.path.isfile(path := f"{each}/{template}.service")), None
    )
    if main is None:
        return None
    keys: dict[str, list[str]] = {}
    for path in (main, *_drop_ins(folders, dict.fromkeys((template, name)))):
        for key, value in _service_keys(path):
            if value:
                keys.setdefault(key, []).append(value.replace("%i", instance or ""))
            else:
                keys[key] = []  # an empty value takes earlier ones away
    enabled = ("sockets.target.wants", f"{name}.service.requires")
    sockets = any(
        os.path.lexists(f"{each}/{link}/{name}.socket") for each in folders for link in enabled
    )
    return ServiceUnit(keys, sockets, f"{name}.service")


def _drop_ins(folders: Sequence[str], units: Iterable[str]) -> list[str]:
    """The drop-ins in the order of their names; the first folder's wins where names are equal.

    Those of an instance, the last of the units, win over those of its template.
    """
    found: dict[str, str] = {}
    for folder, unit in product(reversed(folders), units):
        inner = f"{folder}/{unit}.service.d"
        if os.path.isdir(inner):
            names = (each for each in os.listdir(inner) if each.endswith(".conf"))
            found |= {name: f"{inner}/{name}" for name in names}
    return [found[name] for name in sorted(found)]


def _service_keys(path: str) -> Iterator[tuple[str, str]]:
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(_MAX_FILE)
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped
        elif section == "[Service]" and not stripped.startswith(("#", ";")):
            name, equals, value = stripped.partition("=")
            if equals:
                yield name.strip(), value.strip()


def _split(value: str) -> list[str]:
    """The words of a value, with those specifiers that can be known here (systemd.unit(5))."""
    host = socket.gethostname()
    known = {"%H": host, "%l": host.partition(".")[0], "%%": "%"}
    try:
        words = shlex.split(value)
    except ValueError:  # a quote that doesn't end: systemd refuses the line as well
        return []
    return [_SPECIFIER.sub(lambda found: known.get(found[0], found[0]), word) for word in words]


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(_MAX_FILE)
    except OSError:
        return []
    lines = (line.strip() for line in text.splitlines())
    assignments = (line.partition("=") for line in lines if not line.startswith(("#", ";")))
    return [f"{name}={value.strip().strip(_QUOTES)}" for name, sign, value in assignments if sign]


def _is_below(path: str, folders: Sequence[str]) -> bool:
    return any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in folders)
