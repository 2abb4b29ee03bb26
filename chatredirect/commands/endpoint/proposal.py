"""A change of endpoints' files: validated, written together, and undone if the daemon refuses it.

Every command proposes the new content of files. It is validated together with the whole
configuration, under a lock, so that commands wait for one another.
"""

import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import typer

from chatredirect.commands.endpoint.files import (
    BusyError,
    FilingError,
    WrittenFiles,
    locked,
    write_all,
)
from chatredirect.commands.endpoint.keys import for_options
from chatredirect.commands.fault_text import config_error_text
from chatredirect.commands.options import control_socket
from chatredirect.commands.output import complain, show
from chatredirect.config import (
    ConfigError,
    EndpointSettings,
    Settings,
    load,
    parse_sip_address,
    warnings,
)
from chatredirect.config.document import MAX_FILE
from chatredirect.config.faults import quoted
from chatredirect.config.include_folder import IncludeFolder, NoFolderError, include_folder
from chatredirect.config.moment import written
from chatredirect.runtime.regular_file import read_file
from chatredirect.runtime.wording import counted, error_text

NO = 1
"""Exit status: the answer is no, and nothing has been changed."""
_RELOAD_SECONDS = 300.0

_MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """The configuration that a command changes, and whether the daemon then reloads it.

    Attributes:
        config: the main file.
        socket: the daemon's control socket; None for the configuration's.
        reload: whether the daemon reloads its configuration afterwards.
        as_json: whether standard output has JSON only; messages go to standard error then.
    """

    config: Path
    socket: Path | None
    reload: bool
    as_json: bool = False

    def say(self, text: str) -> None:
        """Print what has been done."""
        if self.as_json:
            complain(text, prefix="")
        else:
            show(text)


@dataclass(frozen=True, slots=True)
class Proposal:
    """New content of included files, and the configuration with it.

    Attributes:
        folder: the files' folder.
        contents: by path; None to remove a file.
        settings: the whole configuration with these files.
    """

    folder: str
    contents: Mapping[str, bytes | None]
    settings: Settings


def refuse(message: str, status: int) -> typer.Exit:
    """Print why nothing is changed; the exception to raise."""
    complain(message)
    return typer.Exit(status)


def configured(config: Path, draft: Mapping[str, bytes | None] | None = None) -> Settings:
    """The configuration, as it is or with the content of `draft`.

    Raises:
        typer.Exit: it can't be used; the reason has been printed.
    """
    try:
        return load(config, draft)
    except ConfigError as error:
        complain(config_error_text(error), prefix="")
        if draft is not None:
            complain("nothing has been changed")
        raise typer.Exit(os.EX_CONFIG) from None


def folder_of(config: Path) -> IncludeFolder:
    """The folder for new endpoints.

    Raises:
        typer.Exit: there is none; the reason has been printed.
    """
    try:
        content = read_file(config, MAX_FILE)
    except (OSError, ValueError):
        configured(config)  # reports it better
        raise
    try:
        return include_folder(os.fspath(config), content)
    except NoFolderError as error:
        configured(config)  # a faulty file is reported first
        raise refuse(str(error), os.EX_CONFIG) from None


def find(settings: Settings, key: bytes) -> EndpointSettings | None:
    """The endpoint with this directory key."""
    return next((each for each in settings.endpoints if each.sip_address.key == key), None)


def file_of(endpoint: EndpointSettings) -> str:
    """The file that an endpoint is in."""
    return endpoint.source.rpartition(":")[0]


@contextmanager
def exclusive(folder: str, config: Path) -> Iterator[None]:
    """Lock the folder, so that what was read is still true when files are written.

    Raises:
        typer.Exit: that isn't possible; the reason has been printed.
    """
    waiting = "another chatredirect endpoint is at work; waiting for it"
    try:
        with locked(folder or ".", os.path.dirname(config) or ".", lambda: complain(waiting)):
            yield
    except BusyError:
        message = f"another chatredirect endpoint holds {folder}: try again when it is done"
        raise refuse(message, os.EX_TEMPFAIL) from None
    except FilingError as error:
        raise _unwritable(error) from None


def carry_out(proposal: Proposal, where: CommandTarget, done: Callable[[], None]) -> None:
    """Write the change, and have the daemon reload it if that is wanted.

    Args:
        proposal: the change; its folder is locked.
        where: the configuration.
        done: prints the result once the change can't be undone any more.

    Raises:
        typer.Exit: it couldn't be written, or the daemon refused it; nothing has changed then.
    """
    socket = control_socket(where.config, where.socket) if where.reload else None
    try:
        filed = write_all(
            proposal.folder or ".",
            proposal.contents,
            _pattern(proposal, where.config),
            keep=socket is not None,
        )
    except FilingError as error:
        raise _unwritable(error) from None
    if socket is None:
        done()
        if proposal.settings.watch:
            where.say("A running service takes it up by itself: it watches its files.")
        else:
            where.say("It counts from the service's next reload on: chatredirect reload")
        return
    _reload(socket, filed, done)
    where.say("The running service has taken it up.")


def _reload(socket: str, filed: WrittenFiles, done: Callable[[], None]) -> None:
    from chatredirect.commands.fault_text import fault_lines
    from chatredirect.commands.reload_command import faults_of_refusal
    from chatredirect.control.client import ControlError, ask

    try:
        ask(socket, "reload", timeout=_RELOAD_SECONDS)
    except ControlError as error:
        faults = faults_of_refusal(error.faults)
        if faults:
            complain("\n".join(fault_lines(faults, "error")), prefix="")
        if not error.refused:
            filed.forget()
            done()
            complain(f"{error}\nThe change stays: it counts from the service's next reload on.")
            raise typer.Exit(error.status) from None
        try:
            filed.undo()
        except FilingError as failed:
            raise _unwritable(
                failed, "the daemon refused the change, which stays because"
            ) from None
        raise refuse(
            f"the running daemon refused it, so the change has been taken back: {error}",
            error.status,
        ) from None
    filed.forget()
    done()


def warn_of_endpoints(settings: Settings, contents: Mapping[str, bytes | None]) -> None:
    """Print the warnings about the endpoints in these files only."""
    found = [each for each in warnings(settings) if contents.get(each.file) is not None]
    for each in found[:20]:
        complain(f"warning: {for_options(each.message)}")
    if len(found) > 20:
        complain(f"and {counted(len(found) - 20, 'warning')} more: chatredirect check")


def warn_of_past_times(proposal: Proposal, now: float) -> None:
    """Warn of a given time that has passed: a mistyped year would open an endpoint at once."""
    times = {
        each.active_from
        for each in proposal.settings.endpoints
        if each.active_from is not None and proposal.contents.get(file_of(each)) is not None
    }
    passed = sorted(each for each in times if each.timestamp() <= now)
    if passed:
        more = f" (and {counted(len(passed) - 1, 'time')} more)" if len(passed) > 1 else ""
        complain(f"warning: {written(passed[0])}{more} has passed: active at once")


def _pattern(proposal: Proposal, config: Path) -> str:
    """The file whose owner and permissions new ones get: one in the folder, else the main file."""
    ours = set(proposal.contents)
    beside = (path for path in proposal.settings.files[1:] if path not in ours)
    return next((path for path in beside if os.path.dirname(path) == proposal.folder), str(config))


def _unwritable(failed: FilingError, what: str = "nothing has been changed:") -> typer.Exit:
    error = failed.error
    if isinstance(error, PermissionError):
        return refuse(
            f"{what} user {os.geteuid()} isn't permitted to write {failed.path}: use sudo",
            os.EX_NOPERM,
        )
    return refuse(f"{what} {failed.path}: {error_text(error)}", os.EX_IOERR)


def author(environ: Mapping[str, str], now: datetime, command: str) -> str:
    """`alice with sudo on 2026-11-22 08:31:05 UTC: chatredirect endpoint new`.

    Args:
        environ: the process's environment.
        now: with its offset from UTC.
        command: the command line, shortened.
    """
    name = _printable(_user())
    before = _printable(environ.get("SUDO_USER", ""))
    who = f"{before} with sudo" if before and before != name and os.geteuid() == 0 else name
    when = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{who} on {when}: {_printable(command, 200)}"


def _user() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user needn't have a name
        return f"user {uid}"


def _printable(text: str, most: int = _MAX_NAME) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)[:most]


class NoSuchEndpointError(LookupError):
    """There is no endpoint with this identity."""


def find_by_identity(settings: Settings, identity: str) -> EndpointSettings:
    """The endpoint that an identity means.

    Raises:
        NoSuchEndpointError: there is none.
        LookupError: it is ambiguous, or no SIP address; the message says what to write instead.
    """
    if identity.upper().startswith("CN="):
        raise LookupError(
            f"{quoted(identity)} is a name in Active Directory, where nothing is kept: "
            "give the SIP address"
        )
    try:
        key = parse_sip_address(identity).key
    except ValueError as error:
        unread = str(error)
    else:
        for each in settings.endpoints:
            if each.sip_address.key == key:
                return each
        unread = ""
    name = identity.casefold()
    named = [each for each in settings.endpoints if (each.display_name or "").casefold() == name]
    if len(named) == 1:
        return named[0]
    if named:
        addresses = ", ".join(str(each.sip_address) for each in named[:5])
        raise LookupError(f"several endpoints are called {quoted(identity)}: {addresses}")
    if unread and "@" in identity:
        raise LookupError(unread)
    raise NoSuchEndpointError(
        f"there is no endpoint {quoted(identity)}: chatredirect endpoint get lists all"
    )
