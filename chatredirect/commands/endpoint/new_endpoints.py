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

from chatredirect.commands.endpoint.csv_rows import MAX_CSV, CsvFault, Row, read_rows
from chatredirect.commands.endpoint.endpoint_values import (
    OPTIONS,
    Keys,
    described,
    endpoint_of,
    faults,
    for_options,
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
from chatredirect.commands.output import complain, config_error_text, failure
from chatredirect.config import ConfigError, EndpointSettings, load, parse_sip_address
from chatredirect.config.endpoint_file import IncludeFolder, text_of
from chatredirect.config.faults import quoted
from chatredirect.runtime.regular_file import read_file
from chatredirect.runtime.wording import counted, error_text

_SHOWN = 20  # endpoints or files


@dataclass(slots=True)
class NewEndpoints:
    """Endpoints to be made.

    Attributes:
        keys: the values of each endpoint, as they will stand in its file.
        endpoints: the same, validated.
        origin: for each endpoint the prefix of messages about it, `list.csv:17: `; empty for
            the command line.
        how: the command, for the files' comment.
    """

    where: CommandTarget
    folder: IncludeFolder
    keys: list[Keys]
    endpoints: list[EndpointSettings]
    origin: list[str]
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
            return Proposal(contents, load(self.where.config, contents))
        except ConfigError as error:
            raise self._refused(error, paths) from None

    def show_what_if(self) -> list[EndpointSettings]:
        """Print what `make` would do, after all checks; the endpoints that it would make."""
        proposal = self.propose()
        proposal.warn()
        self.where.say(f"What if: would make {named(self.endpoints)}")
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
        proposal.warn()
        for endpoint, path in list(zip(self.endpoints, proposal.contents, strict=True))[:_SHOWN]:
            self.where.say(f"Made {described(endpoint, now)}: {path}")
        if len(self.endpoints) > _SHOWN:
            self.where.say(f"and {len(self.endpoints) - _SHOWN:,} more in {self.folder.path}")

    def _refused(self, error: ConfigError, paths: list[str]) -> typer.Exit:
        """Print the faults of the present configuration, or else those of the new endpoints."""
        try:
            settings = load(self.where.config)
        except ConfigError as own:
            complain(config_error_text(own), prefix="")
            return failure("nothing has been made: mend the configuration first", os.EX_CONFIG)
        there = {each.sip_address.key: each for each in settings.endpoints}
        twice = [
            f"{place}there is an endpoint for {endpoint.sip_address} already: "
            f"{other.sip_address} at {other.source}"
            for endpoint, place in zip(self.endpoints, self.origin, strict=True)
            if (other := there.get(endpoint.sip_address.key)) is not None
        ]
        if twice:
            complain("\n".join(twice), prefix="" if self.origin[0] else "chatredirect: ")
            return failure("nothing has been made; chatredirect endpoint set changes one", NO)
        origins = dict(zip(paths, self.origin, strict=True))
        for fault in error.faults:
            place = origins.get(fault.file, f"{fault.location}: ")
            text = f"{place}{for_options(fault.message)}"
            complain(text, prefix="" if place else "chatredirect: ")
        return failure("nothing has been made: the configuration couldn't be used", os.EX_CONFIG)


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
    return NewEndpoints(where, folder_of(where.config), [keys], [endpoint], [""], how)


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
        raise failure(f"{name}: {error_text(error)}", os.EX_DATAERR) from None
    except CsvFault as fault:
        text = f"{name}:{fault.line}: {fault}; nothing has been made"
        raise failure(text, os.EX_DATAERR) from None
    for note in notes:
        complain(f"{name}: {note}")
    keys, endpoints, wrong = _validated(rows, given, name)
    if wrong:
        complain("\n".join(wrong), prefix="")
        many = f"{counted(len(wrong), 'fault')} in {counted(len(rows), 'row')}"
        raise failure(f"{many}; nothing has been made", os.EX_DATAERR)
    origin = [f"{name}:{row.line}: " for row in rows]
    how = f"chatredirect endpoint new --from-csv {os.path.basename(name)}"
    return NewEndpoints(where, folder_of(where.config), keys, endpoints, origin, how)


def _validated(
    rows: list[Row], given: Mapping[str, str], name: str
) -> tuple[list[Keys], list[EndpointSettings], list[str]]:
    """The values of the rows, their endpoints, and every fault with its row."""
    keys, endpoints, wrong = list[Keys](), list[EndpointSettings](), list[str]()
    seen: dict[bytes, int] = {}
    for row in rows:
        place = f"{name}:{row.line}"
        values = typed({**given, **row.values})
        missing = row.fault or _missing(values)
        if missing:
            wrong.append(f"{place}: {missing}")
            continue
        first = seen.setdefault(_key(row), row.line)
        try:
            endpoint = endpoint_of(values)
        except ValidationError as error:
            wrong += (f"{place}: {fault}" for fault in faults(error))
            continue
        if first != row.line:
            address = quoted(row.values.get("sip_address", ""))
            what = f"{address} is the endpoint of line {first} again"
            wrong.append(f"{place}: sip_address: {what}")
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
