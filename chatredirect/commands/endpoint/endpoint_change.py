"""Changes or removes one endpoint.

A function that can't do its work prints the error and raises typer.Exit; nothing has changed then.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import unified_diff

import typer
from pydantic import ValidationError

from chatredirect.commands import audit_trail
from chatredirect.commands.endpoint.endpoint_values import (
    OPTIONS,
    described,
    endpoint_of,
    keys_of,
    pool_text,
    refuse_values,
    typed,
)
from chatredirect.commands.endpoint.proposal import (
    NO,
    CommandTarget,
    Proposal,
    author,
    carry_out,
    exclusive,
    file_of,
    find,
    identified,
    proposed,
)
from chatredirect.commands.options import loaded
from chatredirect.commands.output import complain, failure
from chatredirect.config import EndpointSettings, Settings
from chatredirect.config.document import MAX_FILE
from chatredirect.config.endpoint_file import (
    KeyValue,
    NoFolderError,
    NotEditableError,
    changed,
    include_folder,
)
from chatredirect.log.audit import AuditedChange
from chatredirect.runtime.regular_file import read_file
from chatredirect.runtime.wording import error_text

_BY_HAND = "change it there, by hand"
_REQUIRED = ("pool_fqdn", "mode", "state")


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """A changed endpoint as it will be, or the one to be removed; and the files after it."""

    endpoint: EndpointSettings
    proposal: Proposal
    before: EndpointSettings


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """An endpoint's identity, and new values as text by key; an empty text removes the key."""

    where: CommandTarget
    identity: str
    values: Mapping[str, str]

    def propose(self) -> EndpointChange:
        """The file with its new values, and the configuration with it.

        Raises:
            typer.BadParameter: a value is faulty.
        """
        endpoint = _endpoint_in_own_file(loaded(self.where.config), self.identity)
        file = file_of(endpoint)
        values = self._typed(endpoint)
        merged = {**keys_of(endpoint), **values}
        try:
            wanted = endpoint_of({k: value for k, value in merged.items() if value is not None})
        except ValidationError as error:
            raise refuse_values(error) from None
        how = f"chatredirect endpoint set {' '.join(OPTIONS[name] for name in values)}"
        try:
            made = changed(read_file(file, MAX_FILE), file, values, author(how))
        except OSError as error:
            raise failure(file, NO, where=file, why=error_text(error)) from None
        except NotEditableError as error:
            raise failure(f"{file} {error}", NO, where=file, remedy=_BY_HAND) from None
        proposal = proposed(self.where.config, {file: made})
        after = find(proposal.settings, endpoint.sip_address.key)
        if after is None or not _only_so(endpoint, wanted, after):
            unusual = f"{file} is written in an unusual way"
            raise failure(unusual, NO, where=file, remedy=_BY_HAND)
        return EndpointChange(after, proposal, endpoint)

    def _typed(self, endpoint: EndpointSettings) -> dict[str, KeyValue | None]:
        """The new values; None to remove a key."""
        for name in _REQUIRED:
            if self.values.get(name) == "":
                message = "is empty, and there must be one"
                raise typer.BadParameter(message, param_hint=OPTIONS[name])
        given = typed({name: value for name, value in self.values.items() if value})
        values: dict[str, KeyValue | None] = {name: given.get(name) for name in self.values}
        if "state" in values and endpoint.active_from is not None:
            passed = endpoint.active_from.timestamp() <= time.time()
            if passed:  # else the new state would never be in force
                values.setdefault("active_from", None)
        return values

    def show_what_if(self) -> EndpointSettings:
        """Print what `change` would do, after all checks; the endpoint as it would be."""
        change = self.propose()
        change.proposal.warn(of_times=bool(self.values.get("active_from")))
        self.where.say(f"What if: would change {change.endpoint.sip_address}")
        for path, content in change.proposal.contents.items():
            before = read_file(path, MAX_FILE).decode().splitlines()
            after = (content or b"").decode().splitlines()
            self.where.say("\n".join(unified_diff(before, after, path, path, lineterm="")))
        return change.endpoint

    def change(self) -> EndpointSettings:
        """Change the endpoint, and return it."""
        with exclusive(_folder(self.where, self.identity), self.where.config):
            change = self.propose()
            after = change.endpoint

            def done() -> None:
                audit_trail.record(_difference(change.before, after))
                change.proposal.warn(of_times=bool(self.values.get("active_from")))
                self.where.say(f"Changed {described(after, time.time())}: {file_of(after)}")

            carry_out(change.proposal, self.where, done)
        return after


def _only_so(before: EndpointSettings, wanted: EndpointSettings, after: EndpointSettings) -> bool:
    """Whether `after` has the wanted values, and is otherwise as `before`."""
    others = [each.name for each in fields(before) if each.name not in (*OPTIONS, "source")]
    return keys_of(after) == keys_of(wanted) and all(
        getattr(after, name) == getattr(before, name) for name in others
    )


def _difference(before: EndpointSettings, after: EndpointSettings) -> AuditedChange:
    names = [each.name for each in fields(before) if each.name != "source"]
    different = [name for name in names if getattr(before, name) != getattr(after, name)]
    return AuditedChange(
        "endpoint_set",
        subject=str(after.sip_address),
        was={name: getattr(before, name) for name in different},
        now={name: getattr(after, name) for name in different},
    )


def _folder(where: CommandTarget, identity: str) -> str:
    """The folder of an endpoint's file, if possible without reading all endpoints."""
    try:
        folder = include_folder(str(where.config), read_file(where.config, MAX_FILE)).path
    except (OSError, NoFolderError):
        folder = ""
    if folder and os.path.isdir(folder):
        return folder
    return os.path.dirname(file_of(_endpoint_in_own_file(loaded(where.config), identity)))


def _endpoint_in_own_file(settings: Settings, identity: str) -> EndpointSettings:
    """The endpoint with this identity, if a command may change its file."""
    endpoint = identified(settings, identity)
    file = file_of(endpoint)
    if file == settings.files[0]:
        raise failure(
            f"{endpoint.sip_address} stands in the main file, {endpoint.source}",
            NO,
            where=endpoint.source,
            remedy="change it there, by hand; commands only change files of include",
        )
    if sum(file_of(each) == file for each in settings.endpoints) > 1:
        raise failure(
            f"{endpoint.sip_address} stands beside others in {endpoint.source}",
            NO,
            where=endpoint.source,
            remedy="change it there, by hand; commands only change files with one endpoint",
        )
    if os.path.islink(file):
        target = os.path.realpath(file)
        what, remedy = f"{file} is a symbolic link to {target}", "change that one, by hand"
        raise failure(what, NO, where=file, remedy=remedy)
    return endpoint


def removal(where: CommandTarget, identity: str) -> EndpointChange:
    """The removal of an endpoint's file, and the configuration without it."""
    endpoint = _endpoint_in_own_file(loaded(where.config), identity)
    proposal = proposed(where.config, {file_of(endpoint): None})
    return EndpointChange(endpoint, proposal, endpoint)


def remove(where: CommandTarget, identity: str) -> EndpointSettings:
    """Remove an endpoint, and return it as it was."""
    with exclusive(_folder(where, identity), where.config):
        made = removal(where, identity)

        def done() -> None:
            endpoint = made.endpoint
            address, was = str(endpoint.sip_address), keys_of(endpoint)
            gone = AuditedChange("endpoint_remove", subject=address, was=was)
            audit_trail.record(gone)
            led = f"{endpoint.sip_address}, which led to {pool_text(endpoint)}"
            where.say(f"Removed {led}: {file_of(endpoint)}")
            if not made.proposal.settings.endpoints:
                complain("warning: there are no endpoints any more: every request will get 404")

        carry_out(made.proposal, where, done)
    return made.endpoint
