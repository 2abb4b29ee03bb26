"""`chatredirect usage`: who uses the endpoints, and whether they may be turned off."""

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from chatredirect.commands.help_text import Command, Group
from chatredirect.commands.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    loaded,
    one_of,
)
from chatredirect.commands.output import complain, failure, show, show_object
from chatredirect.commands.usage_rows import csv_of, table
from chatredirect.runtime.wording import counted, is_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chatredirect.config import Settings
    from chatredirect.config.usage_section import StoreAddress
    from chatredirect.usage.reader import Ledgers
    from chatredirect.usage.store_faults import StoreFault

_DAY = 86400
_CANT_READ = os.EX_UNAVAILABLE

EndpointsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint", metavar="SIP_ADDRESS", help="Only this endpoint; may be given several times."
    ),
]
StoresOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--store",
        metavar="FILE",
        help="A ledger's file, or its address as in usage.store, instead of the configuration's; "
        "several are added up.",
    ),
]

app = typer.Typer(
    invoke_without_command=True,
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def usage(
    context: typer.Context,
    endpoint: EndpointsOption = None,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="The beginning of the period: 30d, or 2026-11-01.")
    ] = "30d",
    by: Annotated[
        Literal["day", "week", "endpoint", "client", "caller"],
        typer.Option(
            help="What each row is about.",
            **one_of("day", "week", "endpoint", "client", "caller"),
        ),
    ] = "endpoint",
    store: StoresOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    as_csv: Annotated[
        bool,
        typer.Option("--csv", help="Print CSV, its lines ending with LF.", show_default=False),
    ] = False,
) -> None:
    """Show who uses the endpoints, from the ledger, whether the daemon runs or not.

    Uses are those of trusted peers; strangers, of whom nobody knows who they are, are counted
    apart. A terminal shows bars, a pipe whole lines. Times and days are UTC's.

    Exit status: 0; 2 if an option can't be read, 69 if the ledger can't be read, 78 if the
    configuration can't be used, or keeps none.
    """
    if context.invoked_subcommand is not None:
        return
    from chatredirect.usage.grouping import day_of, grouped, written_day

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    today = int(time.time()) // _DAY
    try:
        begin = day_of(since, today)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
    wanted = _addresses(endpoint)
    settings = None if store else _settings(config)
    with _reading():
        rows = grouped(_ledgers(_stores(store, settings)), by, begin, wanted)
    if as_json:
        listed = [row.as_json(by) for row in rows]
        show_object("usage", {"by": by, "since": written_day(begin), "rows": listed})
    elif as_csv:
        show(csv_of([row.as_json(by) for row in rows], by))
    elif rows:
        show(table(rows, by, bars=is_terminal(sys.stdout)))
    else:
        known = () if settings is None else _served(settings)
        strange = [each for each in wanted if settings is not None and each not in known]
        remark = f"; the configuration has no endpoint {' or '.join(strange)}" if strange else ""
        complain(f"no uses since {written_day(begin)}{remark}")


@app.command(cls=Command)
def verdict(
    endpoint: EndpointsOption = None,
    quiet_for: Annotated[
        str, typer.Option(metavar="DAYS", help="The period without a call: 30d.")
    ] = "30d",
    store: StoresOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Say of each endpoint whether it is in use, quiet, or safe to turn off, and what to do next.

    Strangers don't decide where an endpoint serves trusted peers alone: From proves nothing. What
    the ledger can't know is said, and then an endpoint is quiet at best.

    Exit status: 0 if all are safe to turn off, 1 if one isn't, or isn't known; 2 if an option can't
    be read, 69 if the ledger can't be read, 78 if the configuration can't be used, or keeps none.
    """
    from chatredirect.config.faults import did_you_mean
    from chatredirect.usage.verdicts import changed_at, verdicts_on

    days = _days(quiet_for)
    settings = _settings(config)
    if settings is not None and not store and days > settings.usage.keep:
        raise typer.BadParameter(
            f"uses are kept for {settings.usage.keep} days (usage.keep): what was before isn't "
            "known",
            param_hint="--quiet-for",
        )
    now = time.time()
    served = {} if settings is None else _served(settings)
    wanted = {each: served.get(each, False) for each in _addresses(endpoint) or served}
    with _reading():
        changed = {} if settings is None else changed_at(settings.endpoints)
        verdicts = verdicts_on(wanted, _ledgers(_stores(store, settings)), now, days, changed)
    for each in verdicts:
        if each.endpoint not in served and each.last is None and each.strangers is None:
            # a misspelt one has no uses, and would be safe to turn off some day
            raise failure(
                f"there is no endpoint {each.endpoint}",
                1,
                where=each.endpoint,
                why="neither the configuration nor the ledger has it"
                + did_you_mean(each.endpoint, served),
                remedy="chatredirect endpoint get lists them",
            )
    if as_json:
        show_object("usage-verdict", {"verdicts": [each.as_json() for each in verdicts]})
    elif not verdicts:
        complain("no verdict: the configuration has no endpoint, and the ledger has no use")
    else:
        off = set() if settings is None else _disabled(settings, now)
        lines = (each.sentences(disabled=each.endpoint in off) for each in verdicts)
        show("\n".join(line for some in lines for line in some))
    if not verdicts or any(each.state != "safe to turn off" for each in verdicts):
        raise typer.Exit(1)


@app.command(cls=Command)
def forget(
    sip_address: Annotated[
        str, typer.Argument(metavar="CALLER", help="The SIP address that is removed.")
    ],
    store: StoresOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Remove one person's name from the ledger; the uses stay, as those of "removed".

    In a ledger of pseudonyms the person is found by the key. Backups, and the log, aren't touched.

    Exit status: 0 if something was removed, 1 if there was nothing; 2 if it is no SIP address, 69
    if the ledger can't be changed, 78 if the configuration can't be used, or keeps none.
    """
    from chatredirect.commands import audit_trail
    from chatredirect.config.usage_section import STATE_DIRECTORY, UsageSettings
    from chatredirect.log.audit import AuditedChange
    from chatredirect.usage.identity import UNREADABLE, canonical_caller
    from chatredirect.usage.pseudonyms import pseudonyms_of
    from chatredirect.usage.reader import check_there
    from chatredirect.usage.store import UsageStore
    from chatredirect.usage.store_faults import StoreFault

    uri = sip_address if sip_address.lower().startswith(("sip:", "sips:")) else f"sip:{sip_address}"
    # a name with escapes is as a table shows it, and no URI
    name = uri if "\\" in uri else canonical_caller(uri.encode())
    if name == UNREADABLE:
        raise typer.BadParameter(f"{sip_address!r} is no SIP address", param_hint="CALLER")
    settings = _settings(config)
    removed = 0
    section = UsageSettings() if settings is None else settings.usage
    stores, own = _stores(store, settings), section.address(STATE_DIRECTORY)
    for address in stores:
        try:
            check_there(address)
            keys = [each for each in (address, own) if each is not None]
            names = {name, *pseudonyms_of(name, section, keys)}
            removed += sum(UsageStore(address).forget(each) for each in names)
        except StoreFault as fault:
            raise _store_failure(fault) from None
        except (OSError, ValueError) as error:
            raise failure(
                "the key of the pseudonyms can't be used",
                _CANT_READ,
                where="usage.key_file",
                why=str(error),
                remedy="restore it from a backup, or run this as a user who may read it",
            ) from None
    if not removed:
        known = ", ".join(map(str, stores))
        raise failure(f"the ledger knows nothing of {name}", 1, where=known)
    # without the name, which is to be forgotten
    audit_trail.record(AuditedChange("usage_forget", subject="one person", now={"rows": removed}))
    if as_json:
        show_object("usage-forget", {"caller": name, "rows": removed})
    else:
        rows = counted(removed, "row")
        show(f'Removed {name} from the ledger: {rows}, now of the caller "removed".')


def _settings(config: Path) -> "Settings | None":
    """The configuration; None if it is the default one and isn't there."""
    return None if config == DEFAULT_CONFIG and not config.exists() else loaded(config)


def _stores(given: "Sequence[str] | None", settings: "Settings | None") -> "list[StoreAddress]":
    from chatredirect.config.usage_section import (
        STATE_DIRECTORY,
        StoreAddress,
        UsageSettings,
        parse_store,
    )

    try:
        stores = [
            parse_store(each if "://" in each else f"sqlite://{os.path.abspath(each)}")
            for each in given or ()
        ]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--store") from None
    if stores:
        return list(dict.fromkeys(stores))
    section = UsageSettings() if settings is None else settings.usage
    address: StoreAddress | None = section.address(STATE_DIRECTORY)
    if address is None:
        raise failure(
            "no ledger is kept",
            os.EX_CONFIG,
            where="usage.store",
            why="usage.store is off",
            remedy="name a ledger with --store, or set usage.store and restart the daemon",
        )
    return [address]


def _ledgers(stores: "Sequence[StoreAddress]") -> "Ledgers":
    from chatredirect.usage.reader import Ledgers

    return Ledgers(tuple(stores))


@contextmanager
def _reading() -> "Iterator[None]":
    """Show how long the ledger is read, and tell its faults."""
    from chatredirect.commands.progress import progress
    from chatredirect.usage.store_faults import StoreFault

    try:
        with progress("reading the ledger"):
            yield
    except StoreFault as fault:
        raise _store_failure(fault) from None


def _store_failure(fault: "StoreFault") -> typer.Exit:
    what = f"the ledger {fault.address} can't be used"
    return failure(what, _CANT_READ, where=fault.address, why=fault.why, remedy=fault.remedy)


def _addresses(given: "Sequence[str] | None") -> list[str]:
    from chatredirect.config import parse_sip_address

    try:
        return [str(parse_sip_address(each)) for each in given or ()]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--endpoint") from None


def _served(settings: "Settings") -> dict[str, bool]:
    """The configuration's endpoints, and whether each serves trusted peers alone."""
    return {str(each.sip_address): each.trusted_only for each in settings.endpoints}


def _disabled(settings: "Settings", now: float) -> set[str]:
    """The configuration's endpoints that are disabled, and stay so."""
    return {
        str(each.sip_address)
        for each in settings.endpoints
        if each.active_from is None and each.state_at(now) == "disabled"
    }


def _days(text: str) -> int:
    digits = text.removesuffix("d")
    if not (digits.isascii() and digits.isdecimal() and 1 <= int(digits[:5]) <= 3650):
        raise typer.BadParameter(f"{text!r} is no number of days: 30d", param_hint="--quiet-for")
    return int(digits)
