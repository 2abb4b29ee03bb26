"""A change of endpoints' files: validated, written together, and undone if the daemon refuses it.

A command proposes the new content of files. The proposal is validated with the whole configuration
while the folder is locked, so that commands wait for one another.

A function that can't do its work prints the error and raises typer.Exit; nothing has changed then.
"""

import os
import pwd
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import typer

from chatredirect.commands.as_service import load_as_service
from chatredirect.commands.endpoint.endpoint_values import for_options
from chatredirect.commands.endpoint.files import (
    BusyError,
    FilingError,
    WrittenFiles,
    locked,
    write_all,
)
from chatredirect.commands.options import control_socket, loaded
from chatredirect.commands.output import complain, config_failure, failure, show
from chatredirect.commands.progress import progress
from chatredirect.config import (
    ConfigError,
    EndpointSettings,
    Settings,
    parse_sip_address,
    warnings,
)
from chatredirect.config.document import MAX_FILE
from chatredirect.config.endpoint import written
from chatredirect.config.endpoint_file import IncludeFolder, NoFolderError, include_folder
from chatredirect.config.faults import quoted
from chatredirect.runtime.regular_file import read_file
from chatredirect.runtime.wording import counted, error_text

NO = 1
"""Exit status: the command is understood, but not possible. Nothing has been changed."""
_RELOAD_SECONDS = 300.0
_SHOWN = 20  # warnings
_MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """The configuration that a command changes, and whether the daemon then reloads it.

    Attributes:
        socket: the daemon's control socket; None for the configuration's.
        as_json: whether standard output has JSON only; messages go to standard error then.
    """

    config: Path
    socket: Path | None
    reload: bool
    as_json: bool = False

    def say(self, text: str) -> None:
        """Print a message about the change."""
        if self.as_json:
            complain(text, prefix="")
        else:
            show(text)


@dataclass(frozen=True, slots=True)
class Proposal:
    """New content of included files, and the configuration with it.

    Attributes:
        contents: by path, all in one folder; None to remove a file.
        settings: the whole configuration with these files.
    """

    contents: Mapping[str, bytes | None]
    settings: Settings

    @property
    def folder(self) -> str:
        """The files' folder; empty for the current one."""
        return os.path.dirname(next(iter(self.contents)))

    def endpoints_after(self, endpoints: Sequence[EndpointSettings]) -> list[EndpointSettings]:
        """The endpoints with these addresses as they are in the new configuration."""
        after = {each.sip_address.key: each for each in self.settings.endpoints}
        return [after[each.sip_address.key] for each in endpoints]

    def warn(self, *, of_times: bool = True) -> None:
        """Print the configuration's warnings about the new files.

        Args:
            of_times: whether to warn of times that have passed: a mistyped year opens an
                endpoint at once.
        """
        found = [each for each in warnings(self.settings) if self._writes(each.file)]
        for each in found[:_SHOWN]:
            complain(f"warning: {for_options(each.message)}")
        if len(found) > _SHOWN:
            complain(f"and {counted(len(found) - _SHOWN, 'warning')} more: chatredirect check")
        if of_times:
            self._warn_of_past_times()

    def _warn_of_past_times(self) -> None:
        now = time.time()
        passed = sorted(
            {
                each.active_from
                for each in self.settings.endpoints
                if each.active_from is not None
                and each.active_from.timestamp() <= now
                and self._writes(file_of(each))
            }
        )
        if passed:
            more = f" (and {counted(len(passed) - 1, 'time')} more)" if len(passed) > 1 else ""
            complain(f"warning: {written(passed[0])}{more} has passed: active at once")

    def _writes(self, file: str) -> bool:
        return self.contents.get(file) is not None

    def pattern(self, config: Path) -> str:
        """The file whose owner and permissions new files get: one in the folder, else `config`."""
        others = (path for path in self.settings.files[1:] if path not in self.contents)
        return next((path for path in others if os.path.dirname(path) == self.folder), str(config))


def proposed(config: Path, contents: Mapping[str, bytes | None]) -> Proposal:
    """The proposal of these contents, if the configuration can be used with them."""
    try:
        return Proposal(contents, load_as_service(config, contents))
    except ConfigError as error:
        exit_ = config_failure(error)
        complain("nothing has been changed")
        raise exit_ from None


def folder_of(config: Path) -> IncludeFolder:
    """The folder for new endpoints."""
    try:
        content = read_file(config, MAX_FILE)
    except (OSError, ValueError):
        loaded(config)  # reports the error better
        raise
    try:
        return include_folder(os.fspath(config), content)
    except NoFolderError as error:
        loaded(config)  # a faulty file is reported first
        raise failure(str(error), os.EX_CONFIG) from None


def find(settings: Settings, key: bytes) -> EndpointSettings | None:
    """The endpoint with this directory key, if there is one."""
    return next((each for each in settings.endpoints if each.sip_address.key == key), None)


def file_of(endpoint: EndpointSettings) -> str:
    """The path of an endpoint's file."""
    return endpoint.source.rpartition(":")[0]


@contextmanager
def exclusive(folder: str, config: Path) -> Iterator[None]:
    """Lock the folder, so that no other command changes it between reading and writing."""
    waiting = "another chatredirect endpoint is at work; waiting for it"
    try:
        with locked(folder or ".", os.path.dirname(config) or ".", lambda: complain(waiting)):
            yield
    except BusyError:
        raise failure(
            f"another chatredirect endpoint holds {folder}",
            os.EX_TEMPFAIL,
            where=folder,
            remedy="try again when it is done",
        ) from None
    except FilingError as error:
        raise _unwritable(error) from None


def carry_out(proposal: Proposal, where: CommandTarget, done: Callable[[], None]) -> None:
    """Write the files of a locked folder, and have the daemon reload them if that is wanted.

    Args:
        done: prints the result, once the change is final.
    """
    socket = control_socket(where.config, where.socket) if where.reload else None
    try:
        pattern = proposal.pattern(where.config)
        with progress("writing files", len(proposal.contents)) as files:
            filed = write_all(proposal.folder or ".", proposal.contents, pattern, files.advance)
    except FilingError as error:
        raise _unwritable(error) from None
    if socket is None:
        filed.forget()
        done()
        if proposal.settings.watch:
            where.say("A running service takes it up by itself: it watches its files.")
        else:
            where.say("It counts from the service's next reload on: chatredirect reload")
        return
    _reload(socket, filed, done)
    where.say("The running service has taken it up.")


def _reload(socket: str, filed: WrittenFiles, done: Callable[[], None]) -> None:
    from chatredirect.commands.daemon_request import faults_of
    from chatredirect.control.client import ControlError, ask

    try:
        with progress("the service reloads"):
            ask(socket, "reload", timeout=_RELOAD_SECONDS)
    except ControlError as error:
        if not error.refused:
            filed.forget()
            done()
            stays = "the change stays: it counts from the service's next reload on"
            remedy = f"{error.remedy}; {stays}" if error.remedy else stays
            raise failure(
                error.what, error.status, where=error.where, why=error.why, remedy=remedy
            ) from None
        try:
            filed.undo()
        except FilingError as failed:
            what = "the daemon refused the change, which stays because"
            raise _unwritable(failed, what) from None
        raise failure(
            "the running daemon refused it, so the change has been taken back",
            error.status,
            where=str(error.where),
            why=str(error),
            faults=faults_of(error.faults),
        ) from None
    filed.forget()
    done()


def _unwritable(failed: FilingError, what: str = "nothing has been changed:") -> typer.Exit:
    error = failed.error
    if isinstance(error, PermissionError):
        return failure(
            f"{what} user {os.geteuid()} isn't permitted to write {failed.path}",
            os.EX_NOPERM,
            where=failed.path,
            remedy="use sudo",
        )
    why = error_text(error)
    return failure(f"{what} {failed.path}", os.EX_IOERR, where=failed.path, why=why)


def author(command: str) -> str:
    """`alice with sudo on 2026-11-22 08:31:05 UTC: chatredirect endpoint new`."""
    name = _printable(_user())
    before = _printable(os.environ.get("SUDO_USER", ""))
    who = f"{before} with sudo" if before and before != name and os.geteuid() == 0 else name
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
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
    """There is no endpoint with this identity; the arguments say so, and what to do."""


def find_by_identity(settings: Settings, identity: str) -> EndpointSettings:
    """The endpoint with this SIP address, or else with this display name.

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
        found = find(settings, key)
        if found is not None:
            return found
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
    what = f"there is no endpoint {quoted(identity)}"
    raise NoSuchEndpointError(what, "chatredirect endpoint get lists all")


def identified(settings: Settings, identity: str) -> EndpointSettings:
    """The endpoint with this SIP address, or else with this display name."""
    try:
        return find_by_identity(settings, identity)
    except LookupError as error:
        what, *remedy = map(str, error.args)
        raise failure(what, NO, remedy="; ".join(remedy)) from None
