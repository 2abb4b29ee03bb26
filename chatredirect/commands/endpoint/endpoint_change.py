"""Changes or removes one endpoint."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from difflib import unified_diff

import typer
from pydantic import ValidationError

from chatredirect.commands.endpoint.keys import OPTIONS, endpoint_of, keys_of, refuse_values
from chatredirect.commands.endpoint.listing import pool_text
from chatredirect.commands.endpoint.new_endpoints import described, typed
from chatredirect.commands.endpoint.proposal import (
    NO,
    CommandTarget,
    Proposal,
    author,
    carry_out,
    configured,
    exclusive,
    file_of,
    find,
    find_by_identity,
    refuse,
    warn_of_endpoints,
    warn_of_past_times,
)
from chatredirect.commands.output import complain, show
from chatredirect.config import EndpointSettings, Settings
from chatredirect.config.document import MAX_FILE
from chatredirect.config.endpoint_text import NotEditableError, Scalar, changed
from chatredirect.config.include_folder import NoFolderError, include_folder
from chatredirect.runtime.regular_file import read_file
from chatredirect.runtime.wording import error_text

_REQUIRED = ("pool_fqdn", "mode", "state")


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """A change of one endpoint: its present settings, and the new files."""

    endpoint: EndpointSettings
    proposal: Proposal

    @property
    def after(self) -> EndpointSettings:
        """The endpoint after the change, if it isn't removed."""
        after = find(self.proposal.settings, self.endpoint.sip_address.key)
        assert after is not None  # a proposed change keeps it
        return after


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """An endpoint's identity, and new values as text by key; an empty text removes the key."""

    where: CommandTarget
    identity: str
    values: Mapping[str, str]

    def propose(self) -> EndpointChange:
        """The file with its new values, and the configuration with it.

        Raises:
            typer.Exit: it isn't possible; the reason has been printed.
            typer.BadParameter: a value is faulty.
        """
        endpoint = endpoint_in_own_file(configured(self.where.config), self.identity)
        file = file_of(endpoint)
        values = self._wanted(endpoint)
        merged = {**keys_of(endpoint), **values}
        try:
            wanted = endpoint_of({k: value for k, value in merged.items() if value is not None})
        except ValidationError as error:
            raise refuse_values(error) from None
        how = f"chatredirect endpoint set {' '.join(OPTIONS[name] for name in values)}"
        try:
            content = read_file(file, MAX_FILE)
            made = changed(content, file, values, author(os.environ, datetime.now(UTC), how))
        except OSError as error:
            raise refuse(f"{file}: {error_text(error)}", NO) from None
        except NotEditableError as error:
            raise refuse(f"{file} {error}: change it there, by hand", NO) from None
        contents = {file: made}
        settings = configured(self.where.config, contents)
        after = find(settings, endpoint.sip_address.key)
        if after is None or not _only_so(endpoint, wanted, after):
            raise refuse(f"{file} is written in an unusual way: change it there, by hand", NO)
        return EndpointChange(endpoint, Proposal(os.path.dirname(file), contents, settings))

    def _wanted(self, endpoint: EndpointSettings) -> dict[str, Scalar | None]:
        """The new values; None to remove a key."""
        for name in _REQUIRED:
            if self.values.get(name) == "":
                raise typer.BadParameter(
                    "is empty, and there must be one", param_hint=OPTIONS[name]
                )
        given = typed({name: value for name, value in self.values.items() if value})
        values: dict[str, Scalar | None] = {name: given.get(name) for name in self.values}
        if "state" in values and endpoint.active_from is not None:
            passed = endpoint.active_from.timestamp() <= time.time()
            if passed:  # else the new state would never be in force
                values.setdefault("active_from", None)
        return values


def _only_so(before: EndpointSettings, wanted: EndpointSettings, after: EndpointSettings) -> bool:
    """Whether an endpoint has the wanted values, and is otherwise unchanged."""
    others = [each.name for each in fields(before) if each.name not in (*OPTIONS, "source")]
    return keys_of(after) == keys_of(wanted) and all(
        getattr(after, name) == getattr(before, name) for name in others
    )


def _folder(where: CommandTarget, identity: str) -> str:
    """The folder of an endpoint's file, if possible without reading all endpoints.

    Raises:
        typer.Exit: there is no such endpoint, or it stands elsewhere; the reason has been printed.
    """
    try:
        folder = include_folder(str(where.config), read_file(where.config, MAX_FILE)).path
    except (OSError, NoFolderError):
        folder = ""
    if folder and os.path.isdir(folder):
        return folder
    return os.path.dirname(file_of(endpoint_in_own_file(configured(where.config), identity)))


def endpoint_in_own_file(settings: Settings, identity: str) -> EndpointSettings:
    """The endpoint with this identity, if a command may change its file.

    Raises:
        typer.Exit: there is none, or it stands elsewhere; the reason has been printed.
    """
    try:
        endpoint = find_by_identity(settings, identity)
    except LookupError as error:
        raise refuse(str(error.args[0]), NO) from None
    file = file_of(endpoint)
    if file == settings.files[0]:
        raise refuse(
            f"{endpoint.sip_address} stands in the main file, {endpoint.source}: change it there, "
            "by hand; commands only change files of include",
            NO,
        )
    if sum(file_of(each) == file for each in settings.endpoints) > 1:
        raise refuse(
            f"{endpoint.sip_address} stands beside others in {endpoint.source}: change it there, "
            "by hand; commands only change files with one endpoint",
            NO,
        )
    if os.path.islink(file):
        target = os.path.realpath(file)
        raise refuse(f"{file} is a symbolic link to {target}: change that one, by hand", NO)
    return endpoint


def show_what_if(work: ChangeRequest) -> EndpointSettings:
    """Print what would change, after all the checks."""
    change = work.propose()
    warn_of_endpoints(change.proposal.settings, change.proposal.contents)
    if work.values.get("active_from"):
        warn_of_past_times(change.proposal, time.time())
    work.where.say(f"What if: would change {change.endpoint.sip_address}")
    for path, content in change.proposal.contents.items():
        before = read_file(path, MAX_FILE).decode().splitlines()
        after = (content or b"").decode().splitlines()
        work.where.say("\n".join(unified_diff(before, after, path, path, lineterm="")))
    return change.after


def change(work: ChangeRequest) -> EndpointSettings:
    """Change the endpoint; return its new settings.

    Raises:
        typer.Exit: it isn't possible; the reason has been printed, and nothing has changed.
    """
    with exclusive(_folder(work.where, work.identity), work.where.config):
        made = work.propose()
        after, now = made.after, time.time()

        def done() -> None:
            warn_of_endpoints(made.proposal.settings, made.proposal.contents)
            if work.values.get("active_from"):
                warn_of_past_times(made.proposal, now)
            work.where.say(f"Changed {described(after, now)}: {file_of(after)}")

        carry_out(made.proposal, work.where, done)
    return after


def removal(where: CommandTarget, identity: str) -> EndpointChange:
    """The removal of an endpoint: its file, and the configuration without it.

    Raises:
        typer.Exit: it isn't there or stands elsewhere; the reason has been printed.
    """
    endpoint = endpoint_in_own_file(configured(where.config), identity)
    contents = {file_of(endpoint): None}
    settings = configured(where.config, contents)
    return EndpointChange(
        endpoint, Proposal(os.path.dirname(file_of(endpoint)), contents, settings)
    )


def remove(where: CommandTarget, identity: str) -> None:
    """Remove an endpoint.

    Raises:
        typer.Exit: it isn't possible; the reason has been printed, and nothing has changed.
    """
    with exclusive(_folder(where, identity), where.config):
        made = removal(where, identity)

        def done() -> None:
            endpoint = made.endpoint
            led = f"{endpoint.sip_address}, which led to {pool_text(endpoint)}"
            show(f"Removed {led}: {file_of(endpoint)}")
            if not made.proposal.settings.endpoints:
                complain("warning: there are no endpoints any more: every request will get 404")

        carry_out(made.proposal, where, done)
