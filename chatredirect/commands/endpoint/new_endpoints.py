"""Makes endpoints: one from options, or one for each row of a CSV file.

A function that can't do its work prints the error and raises typer.Exit; nothing has changed then.
"""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer
from pydantic import ValidationError

from chatredirect.commands import audit_trail
from chatredirect.commands.as_service import load_as_service
from chatredirect.commands.endpoint.csv_rows import MAX_CSV, CsvFault, Row, read_rows
from chatredirect.commands.endpoint.endpoint_values import (
    OPTIONS,
    Keys,
    described,
    endpoint_of,
    faults,
    for_options,
    keys_of,
    named,
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
    folder_of,
)
from chatredirect.commands.output import complain, failure
from chatredirect.commands.progress import Progress, progress
from chatredirect.config import ConfigError, EndpointSettings, Fault, parse_sip_address
from chatredirect.config.endpoint_file import IncludeFolder, text_of
from chatredirect.config.faults import quoted
from chatredirect.log.audit import AuditedChange
from chatredirect.runtime.regular_file import read_file
from chatredirect.runtime.wording import counted, error_text

_SHOWN = 20  # endpoints or files

_DEFAULT_MODE = (
    "No mode was given, so it is redirect. Group Chat clients follow no SIP redirect: they need "
    "--mode lookup."
)


@dataclass(slots=True)
class NewEndpoints:
    """Endpoints to be made.

    Attributes:
        keys: the values of each endpoint, as they will stand in its file.
        endpoints: the same, validated.
        origin: for each endpoint the file and line that it comes from; an empty file for the
            command line.
        how: the command, for the files' comment.
    """

    where: CommandTarget
    folder: IncludeFolder
    keys: list[Keys]
    endpoints: list[EndpointSettings]
    origin: list[tuple[str, int]]
    how: str

    def propose(self) -> Proposal:
        """The files, and the configuration with them. The folder must be locked."""
        made = author(self.how)
        try:
            taken = os.listdir(self.folder.path or ".")
        except OSError:
            taken = []  # the folder isn't there yet; other errors are reported on writing
        keys = (each.sip_address.key for each in self.endpoints)
        paths = list(self.folder.names(keys, taken))
        texts = (text_of(each, made) for each in self.keys)
        contents: Mapping[str, bytes | None] = dict(zip(paths, texts, strict=True))
        try:
            with progress("checking the configuration with the new endpoints"):
                return Proposal(contents, load_as_service(self.where.config, contents))
        except ConfigError as error:
            raise self._refused(error, paths) from None

    def show_what_if(self) -> list[EndpointSettings]:
        """Print what `make` would do, after all checks; the endpoints that it would make."""
        proposal = self.propose()
        proposal.warn()
        self.where.say(f"What if: would make {named(self.endpoints)}")
        self._explain_mode()
        for path, content in list(proposal.contents.items())[:_SHOWN]:
            self.where.say(f"\n{path}:\n{(content or b'').decode()}".rstrip())
        return proposal.endpoints_after(self.endpoints)

    def make(self) -> list[EndpointSettings]:
        """Make the endpoints, and return them with their source."""
        with exclusive(self.folder.path, self.where.config):
            proposal = self.propose()
            carry_out(proposal, self.where, lambda: self._report(proposal))
        return proposal.endpoints_after(self.endpoints)

    def _report(self, proposal: Proposal) -> None:
        now = time.time()
        audit_trail.record(*self._audited())
        proposal.warn()
        for endpoint, path in list(zip(self.endpoints, proposal.contents, strict=True))[:_SHOWN]:
            self.where.say(f"Made {described(endpoint, now)}: {path}")
        if len(self.endpoints) > _SHOWN:
            self.where.say(f"and {len(self.endpoints) - _SHOWN:,} more in {self.folder.path}")
        self._explain_mode()

    def _explain_mode(self) -> None:
        """Say what the default mode doesn't do, where it was taken."""
        if any("mode" not in each for each in self.keys):
            self.where.say(_DEFAULT_MODE)

    def _audited(self) -> list[AuditedChange]:
        if len(self.endpoints) > audit_trail.MOST:
            count = {"endpoints": len(self.endpoints), "folder": self.folder.path}
            return [AuditedChange("endpoint_new", subject=self.how, now=count)]
        return [
            AuditedChange("endpoint_new", subject=str(each.sip_address), now=keys_of(each))
            for each in self.endpoints
        ]

    def _refused(self, error: ConfigError, paths: list[str]) -> typer.Exit:
        """Print the faults of the present configuration, or else those of the new endpoints."""
        try:
            settings = load_as_service(self.where.config)
        except ConfigError as own:
            return failure(
                "nothing has been made",
                os.EX_CONFIG,
                where=os.fspath(self.where.config),
                remedy="mend the configuration first",
                faults=own.faults,
            )
        there = {each.sip_address.key: each for each in settings.endpoints}
        twice = [
            Fault(
                *place,
                0,
                f"there is an endpoint for {endpoint.sip_address} already: {other.sip_address} at "
                f"{other.source}",
            )
            for endpoint, place in zip(self.endpoints, self.origin, strict=True)
            if (other := there.get(endpoint.sip_address.key)) is not None
        ]
        if twice:
            remedy = "chatredirect endpoint set changes one"
            return failure("nothing has been made", NO, remedy=remedy, faults=twice)
        origins = dict(zip(paths, self.origin, strict=True))
        found = [
            Fault(*origins.get(each.file, (each.file, each.line)), 0, for_options(each.message))
            for each in error.faults
        ]
        why = "the configuration couldn't be used"
        return failure("nothing has been made", os.EX_CONFIG, why=why, faults=found)


def from_options(given: Mapping[str, str], where: CommandTarget) -> NewEndpoints:
    """One endpoint, from options.

    Raises:
        typer.BadParameter: an option is missing or faulty.
    """
    for name in ("sip_address", "pool_fqdn"):
        if name not in given:
            raise typer.BadParameter("is missing", param_hint=OPTIONS[name])
    keys = typed(given)
    try:
        endpoint = endpoint_of(keys)
    except ValidationError as error:
        raise refuse_values(error) from None
    keys["sip_address"] = str(endpoint.sip_address)  # with its scheme
    how = "chatredirect endpoint new"
    return NewEndpoints(where, folder_of(where.config), [keys], [endpoint], [("", 0)], how)


def from_rows(file: Path, given: Mapping[str, str], where: CommandTarget) -> NewEndpoints:
    """An endpoint for each row of a CSV file.

    Raises:
        typer.BadParameter: an option can't be combined with a file.
    """
    for name in ("sip_address", "display_name"):
        if name in given:
            message = "can't go with --from-csv: it is the rows'"
            raise typer.BadParameter(message, param_hint=OPTIONS[name])
    name = "standard input" if str(file) == "-" else str(file)
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(MAX_CSV + 1)
        else:
            data = read_file(file, MAX_CSV, pipe=True)
        rows, notes = read_rows(data)
    except OSError as error:
        raise failure(name, os.EX_DATAERR, where=name, why=error_text(error)) from None
    except CsvFault as fault:
        found = [Fault(name, fault.line, 0, str(fault))]
        nothing = "nothing has been made"
        raise failure(nothing, os.EX_DATAERR, where=name, faults=found) from None
    for note in notes:
        complain(f"{name}: {note}")
    with progress("checking rows", len(rows)) as counter:
        keys, endpoints, wrong = _validated(rows, given, name, counter)
    if wrong:
        many = f"{counted(len(wrong), 'fault')} in {counted(len(rows), 'row')}"
        nothing = "nothing has been made"
        raise failure(many, os.EX_DATAERR, where=name, remedy=nothing, faults=wrong)
    origin = [(name, row.line) for row in rows]
    how = f"chatredirect endpoint new --from-csv {os.path.basename(name)}"
    return NewEndpoints(where, folder_of(where.config), keys, endpoints, origin, how)


def _validated(
    rows: list[Row], given: Mapping[str, str], name: str, counter: Progress
) -> tuple[list[Keys], list[EndpointSettings], list[Fault]]:
    """The values of the rows, their endpoints, and every fault with its row."""
    keys, endpoints, wrong = list[Keys](), list[EndpointSettings](), list[Fault]()
    seen: dict[bytes, int] = {}
    for row in rows:
        counter.advance()
        place = (name, row.line, 0)
        values = typed({**given, **row.values})
        missing = row.fault or _missing(values)
        if missing:
            wrong.append(Fault(*place, missing))
            continue
        first = seen.setdefault(_key(row), row.line)
        try:
            endpoint = endpoint_of(values)
        except ValidationError as error:
            wrong += (Fault(*place, fault) for fault in faults(error))
            continue
        if first != row.line:
            address = quoted(row.values.get("sip_address", ""))
            what = f"{address} is the endpoint of line {first} again"
            wrong.append(Fault(*place, f"sip_address: {what}"))
        values["sip_address"] = str(endpoint.sip_address)  # with its scheme
        keys.append(values)
        endpoints.append(endpoint)
    return keys, endpoints, wrong


def _missing(values: Keys) -> str:
    if "pool_fqdn" not in values:
        return "there is no PersistentChatPoolFqdn, nor --persistent-chat-pool-fqdn for all rows"
    return "" if "sip_address" in values else "there is no SipAddress"


def _key(row: Row) -> bytes:
    """The directory key of a row's address; a key that no address has if that is faulty."""
    try:
        return parse_sip_address(row.values.get("sip_address", "")).key
    except ValueError:
        return b"%d" % row.line
