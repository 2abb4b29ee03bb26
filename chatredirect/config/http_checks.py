"""Checks of the section `http` with the rest: ports, and what keeps the page from strangers."""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from typing import TypeVar

from chatredirect.config.address_syntax import parse_http, parse_page
from chatredirect.config.document import Document, Path
from chatredirect.config.faults import Fault
from chatredirect.config.fields import is_off
from chatredirect.config.secret_files import is_exposed
from chatredirect.config.service_environment import ServiceEnvironment
from chatredirect.net.addresses import HostPort, ListenUrl, PageAddress

_ANY = ("0.0.0.0", "::")  # noqa: S104  compared, not bound
_T = TypeVar("_T")


def http_faults(
    main: Document, environment: ServiceEnvironment, listen: Sequence[tuple[int, ListenUrl]]
) -> Iterator[Fault]:
    """Every fault; `listen` has the numbered listeners for SIP."""
    metrics = _read(main, "listen", parse_http)
    page = _read(main, "page_listen", parse_page)
    if metrics is not None:
        yield from _port_taken(main, "listen", metrics, listen)
    if page is None:
        return
    yield from _port_taken(main, "page_listen", page, listen)
    if metrics is not None and _same_port(metrics, page):
        message = f"http.page_listen: http.listen wants {metrics}, the same port: take another one"
        yield main.fault(("http", "page_listen"), message)
    yield from _open_to_strangers(main, page)
    token_file = main.value("http", "token_file")
    if isinstance(token_file, str):
        why = _fault_of_token(token_file, environment)
        if why is not None:
            yield main.fault(("http", "token_file"), f"http.token_file: {why}")


def _fault_of_token(file: str, environment: ServiceEnvironment) -> str | None:
    """Why a file can't hold the token. One that isn't there is no fault: the daemon makes it."""
    try:
        path = environment.placed("", file)
    except ValueError as error:
        return str(error)
    return f"every user can read or write {path}: chmod o= {path}" if is_exposed(path) else None


def _read(main: Document, key: str, parse: Callable[[object], _T]) -> _T | None:
    value = main.value("http", key)
    try:
        return None if is_off(value) else parse(value)
    except ValueError:
        return None  # validation reports it


def _port_taken(
    main: Document,
    key: str,
    wanted: HostPort | PageAddress,
    listen: Sequence[tuple[int, ListenUrl]],
) -> Iterator[Fault]:
    """An HTTP listener and one for SIP can't have the same port."""
    for index, url in listen:
        if url.transport != "udp" and _same_port(url, wanted):
            line, _ = main.position(("listen", index))
            message = f"http.{key}: {url} in line {line} wants the same port: take another one"
            yield main.fault(("http", key), message)
            return


def _same_port(
    one: ListenUrl | HostPort | PageAddress, other: ListenUrl | HostPort | PageAddress
) -> bool:
    together = one.host == other.host or one.host in _ANY or other.host in _ANY
    return one.port == other.port and bool(one.port) and together


def _open_to_strangers(main: Document, page: PageAddress) -> Iterator[Fault]:
    """The token, and the names of callers, must not cross a network in the clear."""
    path: Path = ("http", "page_listen")
    loopback = ip_address(page.host).is_loopback
    if not page.tls and not loopback and main.value("http", "behind_proxy") is not True:
        yield main.fault(
            path,
            f"http.page_listen: {page} would send the token and callers' names in the clear: write "
            f"{PageAddress(page.host, page.port, tls=True)}, an address of loopback, or "
            "behind_proxy: true if a reverse proxy in front speaks TLS",
        )
    if page.tls and main.value("tls", "certificate") is None:
        message = (
            f"http.page_listen: {page} needs a certificate: "
            "write tls: {certificate: FILE, private_key: FILE}"
        )
        yield main.fault(path, message)
