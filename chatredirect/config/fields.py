"""Types of values that several sections have, with their parsers."""

import os
import re
from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias, TypeVar, get_args

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, Strict, StrictStr
from pydantic_core import PydanticCustomError

from chatredirect.config.address_syntax import (
    parse_address,
    parse_advertise,
    parse_host_name,
    parse_listen,
    parse_nameserver,
    parse_network,
    parse_peer_name,
)
from chatredirect.config.faults import quoted
from chatredirect.config.service_environment import names_credential
from chatredirect.net.addresses import HostPort, IPAddress, IPNetwork, ListenUrl

_T = TypeVar("_T")
Family: TypeAlias = Literal["ipv4", "ipv6"]

STRICT = ConfigDict(extra="forbid")  # of every section: an unknown key is a fault
TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")  # a method or an option tag (RFC 3261 §25.1)


def invalid(message: str) -> PydanticCustomError:
    """A validation error whose message is ready for people."""
    return PydanticCustomError("explained", "{message}", {"message": message})


def parsed(parse: Callable[[_T], object], value: _T) -> object:
    """What `parse` returns; its ValueError becomes a validation error."""
    try:
        return parse(value)
    except ValueError as error:
        raise invalid(str(error)) from None


def from_text(parse: Callable[[str], object], *made: type[object]) -> PlainValidator:
    """A validator that hands text to `parse` and lets values of the types `made` through."""

    def validate(value: object) -> object:
        if isinstance(value, str):
            return parsed(parse, value)
        if isinstance(value, made):
            return value
        raise PydanticCustomError("string_type", "must be text")

    return PlainValidator(validate)


def is_off(value: object) -> bool:
    """Whether a value switches something off; YAML reads a plain `off` as false."""
    return value is None or value is False or value == "off"


def or_off(parse: Callable[[object], object]) -> PlainValidator:
    """A validator that makes None of what is off, and hands other values to `parse`."""
    return PlainValidator(lambda value: None if is_off(value) else parsed(parse, value))


def not_empty(instead: str) -> AfterValidator:
    """A validator of lists; `instead` says what to do about an empty one."""

    def validate(values: tuple[object, ...]) -> tuple[object, ...]:
        if not values:
            raise invalid(f"the list is empty: {instead}")
        return values

    return AfterValidator(validate)


def _absolute_or_credential(path: str) -> str:
    if "\0" in path or not (os.path.isabs(path) or names_credential(path)):
        raise invalid(f"{quoted(path)} must be an absolute path, or credential:NAME")
    return path


Seconds: TypeAlias = Annotated[float, Strict(), Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Port: TypeAlias = Annotated[int, Strict(), Field(ge=1, le=65535)]
Listen: TypeAlias = Annotated[ListenUrl, from_text(parse_listen, ListenUrl)]
NameServer: TypeAlias = Annotated[HostPort, from_text(parse_nameserver, HostPort)]
Advertise: TypeAlias = Annotated[HostPort, from_text(parse_advertise, HostPort)]
Address: TypeAlias = Annotated[IPAddress, from_text(parse_address, *get_args(IPAddress))]
Network: TypeAlias = Annotated[IPNetwork, from_text(parse_network, *get_args(IPNetwork))]
HostName: TypeAlias = Annotated[str, from_text(parse_host_name)]
PeerName: TypeAlias = Annotated[str, from_text(parse_peer_name)]
FileName: TypeAlias = Annotated[StrictStr, Field(min_length=1)]
SecretFile: TypeAlias = Annotated[FileName, AfterValidator(_absolute_or_credential)]
Addresses: TypeAlias = Annotated[
    tuple[Address, ...], not_empty("give the name at least one IP address")
]
