"""Making endpoints, one or as many as a CSV file has rows."""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import typer
from pydantic import ValidationError

from chatredirect.commands.endpoint.csv_rows import MAX_CSV, CsvFault, Row, read_rows
from chatredirect.commands.endpoint.keys import (
    OPTIONS,
    Keys,
    endpoint_of,
    faults,
    for_options,
    refuse_values,
)
from chatredirect.commands.endpoint.listing import as_json as endpoint_json
from chatredirect.commands.endpoint.listing import pool_text, sheet, state_text
from chatredirect.commands.endpoint.proposal import (
    NO,
    CommandTarget,
    Proposal,
    author,
    carry_out,
    exclusive,
    folder_of,
    refuse,
    warn_of_endpoints,
    warn_of_past_times,
)
from chatredirect.commands.fault_text import config_error_text
from chatredirect.commands.output import complain
from chatredirect.config import ConfigError, EndpointSettings, load, parse_sip_address
from chatredirect.config.endpoint_text import text_of
from chatredirect.config.faults import quoted
from chatredirect.config.include_folder import IncludeFolder
from chatredirect.runtime.regular_file import read_file
from chatredirect.runtime.wording import counted, error_text

_WORDS = ("mode", "transport", "state")  # keywords, which PowerShell takes in any case
_SHOWN = 20  # endpoints, or files, that are named


@dataclass(slots=True)
class NewEndpoints:
    """Endpoints to be made.

    Attributes:
        where: the configuration.
        folder: the files' folder.
        keys: the endpoints' values, as they will stand in their files.
        endpoints: the same, validated.
        origin: for each endpoint where it comes from, `list.csv:17`; empty for the command line.
        how: the command, for the files' comment.
    """

    where: CommandTarget
    folder: IncludeFolder
    keys: list[Keys]
    endpoints: list[EndpointSettings]
    origin: list[str]
    how: str

    def propose(self) -> Proposal:
        """The files, and the configuration with them; call it with the folder locked.

        Raises:
            typer.Exit: it isn't possible; the reason has been printed.
        """
        made = author(os.environ, datetime.now(UTC), self.how)
        try:
            taken = os.listdir(self.folder.path or ".")
        except OSError:
            taken = []  # it isn't there yet; an error is reported when the file is written
        keys = (each.sip_address.key for each in self.endpoints)
        paths = list(self.folder.names(keys, taken))
        texts = (text_of(each, made) for each in self.keys)
        contents: Mapping[str, bytes] = dict(zip(paths, texts, strict=True))
        try:
            settings = load(self.where.config, contents)
        except ConfigError as error:
            raise self._refused(error, paths) from None
        return Proposal(self.folder.path, dict(contents), settings)

    def _refused(self, error: ConfigError, paths: list[str]) -> typer.Exit:
        """Print the faults: those of the present configuration, or those of the new endpoints."""
        try:
            settings = load(self.where.config)
        except ConfigError as own:
            complain(config_error_text(own), prefix="")
            return refuse("nothing has been made: mend the configuration first", os.EX_CONFIG)
        there = {each.sip_address.key: each for each in settings.endpoints}
        twice = [
            f"{place}there is an endpoint for {endpoint.sip_address} already: "
            f"{other.sip_address} at {other.source}"
            for endpoint, place in zip(self.endpoints, self.origin, strict=True)
            if (other := there.get(endpoint.sip_address.key)) is not None
        ]
        if twice:
            complain("\n".join(twice), prefix="" if self.origin[0] else "chatredirect: ")
            return refuse("nothing has been made; chatredirect endpoint set changes one", NO)
        origins = dict(zip(paths, self.origin, strict=True))
        for fault in error.faults:
            place = origins.get(fault.file, f"{fault.location}: ")
            complain(
                f"{place}{for_options(fault.message)}", prefix="" if place else "chatredirect: "
            )
        return refuse("nothing has been made: the configuration couldn't be used", os.EX_CONFIG)


def from_options(given: Mapping[str, str], where: CommandTarget) -> NewEndpoints:
    """One endpoint, from options.

    Raises:
        typer.BadParameter: an option is missing or faulty.
        typer.Exit: there is no folder for it; the reason has been printed.
    """
    for name, option in (
        ("sip_address", "--sip-address"),
        ("pool_fqdn", "--persistent-chat-pool-fqdn"),
    ):
        if name not in given:
            raise typer.BadParameter("is missing", param_hint=option)
    keys = typed(given)
    try:
        endpoint = endpoint_of(keys)
    except ValidationError as error:
        raise refuse_values(error) from None
    keys["sip_address"] = str(endpoint.sip_address)  # with its scheme
    how = "chatredirect endpoint new"
    return NewEndpoints(where, folder_of(where.config), [keys], [endpoint], [""], how)


def typed(given: Mapping[str, str]) -> Keys:
    """Given text as values: the port as a number, keywords in lower case."""
    keys: Keys = {name: given[name].strip() for name in OPTIONS if name in given}
    for name in _WORDS:
        if name in keys:
            keys[name] = str(keys[name]).lower()
    port = str(keys.get("port", ""))
    if port.isascii() and port.isdigit() and len(port) < 10:
        keys["port"] = int(port)
    return keys


def from_rows(file: Path, given: Mapping[str, str], where: CommandTarget) -> NewEndpoints:
    """An endpoint for each row of a CSV file.

    Raises:
        typer.BadParameter: an option can't go with a file.
        typer.Exit: a row is faulty; every fault has been printed.
    """
    for name in ("sip_address", "display_name"):
        if name in given:
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter("can't go with --from-csv: it is the rows'", param_hint=option)
    name = "standard input" if str(file) == "-" else str(file)
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(MAX_CSV + 1)
        else:
            data = read_file(file, MAX_CSV, pipe=True)
        rows, notes = read_rows(data)
    except OSError as error:
        raise refuse(f"{name}: {error_text(error)}", os.EX_DATAERR) from None
    except CsvFault as fault:
        raise refuse(
            f"{name}:{fault.line}: {fault}; nothing has been made", os.EX_DATAERR
        ) from None
    for note in notes:
        complain(f"{name}: {note}")
    keys, endpoints, wrong = _validated(rows, given, name)
    if wrong:
        complain("\n".join(wrong), prefix="")
        many = f"{counted(len(wrong), 'fault')} in {counted(len(rows), 'row')}"
        raise refuse(f"{many}; nothing has been made", os.EX_DATAERR)
    origin = [f"{name}:{row.line}: " for row in rows]
    how = f"chatredirect endpoint new --from-csv {os.path.basename(name)}"
    return NewEndpoints(where, folder_of(where.config), keys, endpoints, origin, how)


def _validated(
    rows: list[Row], given: Mapping[str, str], name: str
) -> tuple[list[Keys], list[EndpointSettings], list[str]]:
    """The rows' endpoints; and every fault, with its row."""
    keys, endpoints, wrong = list[Keys](), list[EndpointSettings](), list[str]()
    seen: dict[bytes, int] = {}
    for row in rows:
        if row.fault:
            wrong.append(f"{name}:{row.line}: {row.fault}")
            continue
        values = typed({**given, **row.values})
        if "pool_fqdn" not in values:
            what = (
                "there is no PersistentChatPoolFqdn, nor --persistent-chat-pool-fqdn for all rows"
            )
            wrong.append(f"{name}:{row.line}: {what}")
            continue
        if "sip_address" not in values:
            wrong.append(f"{name}:{row.line}: there is no SipAddress")
            continue
        first = seen.setdefault(_key(row), row.line)
        try:
            endpoint = endpoint_of(values)
        except ValidationError as error:
            wrong += (f"{name}:{row.line}: {fault}" for fault in faults(error))
            continue
        if first != row.line:
            what = (
                f"{quoted(row.values.get('sip_address', ''))} is the endpoint of line {first} again"
            )
            wrong.append(f"{name}:{row.line}: sip_address: {what}")
        values["sip_address"] = str(endpoint.sip_address)  # with its scheme
        keys.append(values)
        endpoints.append(endpoint)
    return keys, endpoints, wrong


def _key(row: Row) -> bytes:
    """The directory key of a row's address; a unique one if the address is faulty."""
    try:
        return parse_sip_address(row.values.get("sip_address", "")).key
    except ValueError:
        return b"%d" % row.line  # no address is like that


def show_what_if(work: NewEndpoints) -> list[EndpointSettings]:
    """Print what would be made, after all the checks."""
    proposal = work.propose()
    warn_of_endpoints(proposal.settings, proposal.contents)
    warn_of_past_times(proposal, time.time())
    work.where.say(f"What if: would make {named(work.endpoints)}")
    for path, content in list(proposal.contents.items())[:_SHOWN]:
        work.where.say(f"\n{path}:\n{(content or b'').decode()}".rstrip())
    return _of(work, proposal)


def make(work: NewEndpoints) -> list[EndpointSettings]:
    """Make the endpoints.

    Raises:
        typer.Exit: it isn't possible; the reason has been printed, and nothing has changed.
    """
    with exclusive(work.folder.path, work.where.config):
        proposal = work.propose()
        now = time.time()

        def done() -> None:
            warn_of_endpoints(proposal.settings, proposal.contents)
            warn_of_past_times(proposal, now)
            for endpoint, path in list(zip(work.endpoints, proposal.contents, strict=True))[
                :_SHOWN
            ]:
                work.where.say(f"Made {described(endpoint, now)}: {path}")
            if len(work.endpoints) > _SHOWN:
                work.where.say(f"and {len(work.endpoints) - _SHOWN:,} more in {work.folder.path}")

        carry_out(proposal, work.where, done)
    return _of(work, proposal)


def _of(work: NewEndpoints, proposal: Proposal) -> list[EndpointSettings]:
    """The endpoints as in the new configuration, with their source."""
    made = {each.sip_address.key: each for each in proposal.settings.endpoints}
    return [made[each.sip_address.key] for each in work.endpoints]


def described(endpoint: EndpointSettings, now: float) -> str:
    """An endpoint, its mode and pool, and its state if that isn't active."""
    state = state_text(endpoint, now)
    also = "" if state == "active" else f", {state}"
    return f"{endpoint.sip_address} ({endpoint.mode} to {pool_text(endpoint)}{also})"


def named(endpoints: list[EndpointSettings]) -> str:
    """One endpoint by its address, more by their number."""
    if len(endpoints) == 1:
        return f"{endpoints[0].sip_address}, which leads to {pool_text(endpoints[0])}"
    return counted(len(endpoints), "endpoint")


def shown(endpoints: list[EndpointSettings], *, as_json: bool) -> str:
    """Everything about the endpoints, as text or JSON."""
    now = time.time()
    if as_json:
        found = [endpoint_json(each, now) for each in endpoints]
        return json.dumps({"endpoints": found}, indent=2)
    return "\n\n".join("\n".join(sheet(each, now)) for each in endpoints)
