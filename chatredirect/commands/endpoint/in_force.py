"""Whether an endpoint's file says what the running service has in force."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chatredirect.config import EndpointSettings, Settings
from chatredirect.config.control_socket import configured_socket
from chatredirect.control.client import ControlError, ask
from chatredirect.control.protocol import Json

_SECONDS = 5.0
_ASKED = 20
"""Endpoints that the daemon is asked about by name; of more, only whether any file differs."""


@dataclass(frozen=True, slots=True)
class FileInForce:
    """What is in force of one endpoint.

    Attributes:
        same: whether it is what the file says; None if that isn't known.
        why: why it isn't, or isn't known.
        differs: the keys with other values.
    """

    same: bool | None
    why: str = ""
    differs: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For a list of properties."""
        word = {True: "yes", False: "no", None: "unknown"}[self.same]
        return f"{word}: {self.why}" if self.why else word

    def as_json(self) -> dict[str, object]:
        """For scripts."""
        return {"in_force": self.same, "differs": list(self.differs)}


def in_force(
    config: Path, socket: Path | None, settings: Settings, endpoints: Sequence[EndpointSettings]
) -> list[FileInForce]:
    """What the daemon has in force of each endpoint; unknown if it can't be asked. Never raises."""
    path = configured_socket(config) if socket is None else str(socket)
    if path is None:
        return [FileInForce(None, "control.socket is off")] * len(endpoints)
    try:
        few = endpoints if len(endpoints) <= _ASKED else ()
        wanted: dict[str, Json] = {"sip_addresses": [str(each.sip_address) for each in few]}
        whole = ask(path, "endpoints", wanted, timeout=_SECONDS)
        unknown = _unknown(whole.get("file"), config)
        if unknown is not None:
            return [unknown] * len(endpoints)
        if whole.get("fingerprint") == settings.fingerprint:
            return [FileInForce(True)] * len(endpoints)
    except ControlError as error:
        return [FileInForce(None, error.what)] * len(endpoints)
    served = whole.get("endpoints")
    if len(endpoints) > _ASKED or not isinstance(served, dict):
        return [FileInForce(None, "files differ")] * len(endpoints)
    return [_compared(each, served.get(str(each.sip_address))) for each in endpoints]


def _unknown(served: Json, config: Path) -> FileInForce | None:
    """The result if the daemon serves another file; None if it serves this one."""
    if not isinstance(served, str):
        return FileInForce(None, "the daemon is of another version")
    try:
        same = os.path.samefile(served, config)
    except OSError:
        same = served == os.path.abspath(config)
    return None if same else FileInForce(None, f"the daemon serves {served}")


def _compared(endpoint: EndpointSettings, served: Json) -> FileInForce:
    if not isinstance(served, dict):
        why = "the service doesn't have this endpoint: chatredirect reload"
        return FileInForce(False, why)
    differs = tuple(name for name, value in endpoint.values().items() if served.get(name) != value)
    if not differs:
        return FileInForce(True)
    what = ", ".join(f"{name} is {_shown(served.get(name))}" for name in differs)
    return FileInForce(False, f"{what} in force: chatredirect reload", differs)


def _shown(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "not set"
    return "not set" if value is None else str(value)
