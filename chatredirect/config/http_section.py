"""The section `http`: the listener for metrics and health."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, PlainValidator, StrictBool, StrictInt
from pydantic.dataclasses import dataclass

from chatredirect.config.address_syntax import parse_http
from chatredirect.config.document import Document, Mapping
from chatredirect.config.faults import Fault
from chatredirect.config.fields import STRICT, invalid
from chatredirect.net.addresses import HostPort, ListenUrl

_ANY = ("0.0.0.0", "::")  # noqa: S104  compared, not bound


def _read(value: object) -> HostPort | None:
    """Where to listen; None for nowhere. Raises ValueError."""
    if value is None or value is False or value == "off":  # YAML reads a plain off as false
        return None
    if isinstance(value, HostPort):
        return value
    if isinstance(value, str) or type(value) is int:  # a port alone is a number to YAML
        return parse_http(str(value))
    raise ValueError("must be ADDRESS:PORT, or off")


def _listen(value: object) -> HostPort | None:
    try:
        return _read(value)
    except ValueError as error:
        raise invalid(str(error)) from None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class HttpSettings:
    """Metrics and health over HTTP. `listen` is None if they are off.

    `endpoints` and `pools` are how many may have series of their own; `ready_needs_targets` is
    whether one endpoint without a target makes the whole not ready.
    """

    listen: Annotated[HostPort | None, PlainValidator(_listen)] = None
    endpoints: Annotated[StrictInt, Field(ge=0, le=10_000)] = 1000
    pools: Annotated[StrictInt, Field(ge=0, le=10_000)] = 1000
    ready_needs_targets: StrictBool = False


def http_faults(main: Document, listen: list[tuple[int, ListenUrl]]) -> Iterator[Fault]:
    """Faults between this section and the listeners.

    Args:
        main: the main file.
        listen: the listeners that could be read, each with its number.
    """
    section = main.root.get("http") if isinstance(main.root, Mapping) else None
    try:
        wanted = _read(section.get("listen")) if isinstance(section, Mapping) else None
    except ValueError:
        return  # validation reports it
    if wanted is None or wanted.port == 0:
        return
    for index, url in listen:
        together = url.host == wanted.host or url.host in _ANY or wanted.host in _ANY
        if url.transport != "udp" and url.port == wanted.port and together:
            line, _ = main.position(("listen", index))
            message = f"http.listen: {url} in line {line} wants the same port: take another one"
            yield main.fault(("http", "listen"), message)
            return
