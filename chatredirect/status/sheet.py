"""A status for people: as wide as the terminal, troubles first; in a pipe a line for each row.

It is made of the JSON that came over the control socket. Another version may have sent it, so what
is missing isn't shown.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from chatredirect.control.protocol import Json, number_in
from chatredirect.runtime.wording import counted, local_time, span
from chatredirect.status.status_text import (
    JsonObject,
    counts_text,
    object_in,
    objects_in,
    pool_dns,
    pool_name,
    printed,
    target_lines,
    why_unusable,
)

WIDTH = 80
_REFUSED = 10  # rows of peers that were refused
_NAMED = 3  # names of a certificate
_BESIDE = ", "  # between what a terminal shows below each other
_SOON = 30  # days before a certificate's end from which on it is a trouble


def draw(status: JsonObject, console: Console, *, one_line: bool = False) -> None:
    """Print the control socket's answer; `one_line`: each row in one line, for grep and awk."""
    for each in _renderables(status, _BESIDE if one_line else "\n"):
        console.print(each)


def endpoint_row(endpoint: JsonObject) -> str:
    """One endpoint as a line, for lists that are too long for a table."""
    fields = ("sip_address", "mode", "state", "requests", "pool_fqdn", "trouble")
    return "  ".join(printed(endpoint.get(name)) for name in fields).rstrip()


def pool_row(pool: JsonObject) -> str:
    """One pool as a line."""
    return "  ".join((pool_name(pool), _targets(pool, _BESIDE).plain, pool_dns(pool))).rstrip()


def _renderables(status: JsonObject, joint: str) -> Iterator[RenderableType]:
    yield _overview(status)
    certificates = objects_in(status, "certificates")
    if certificates:
        yield Text()
        yield _certificates(certificates)
    yield from _refused(status)
    for name, heading, table in (
        ("endpoints", _endpoints_heading, _endpoints),
        ("pools", _pools_heading, _pools),
    ):
        section = object_in(status, name)
        listed = objects_in(section, "listed")
        yield Text()
        yield heading(section)
        if listed:
            yield table(listed, joint)
        more = number_in(section, "count") - len(listed)
        if more > 0:
            yield Text(f"… and {more:,} more: --all shows them")
    yield Text()
    yield _traffic(status)


def _overview(status: JsonObject) -> Table:
    table = _plain_table()
    up = span(_float(status.get("uptime")))
    ending = ", about to stop" if status.get("draining") is True else ""
    pid, version = printed(status.get("pid")), printed(status.get("version"))
    codec = printed(status.get("codec"))
    table.add_row("chatredirect", f"{version}, {codec} codec, up {up}, process {pid}{ending}")
    configuration = object_in(status, "configuration")
    files = number_in(configuration, "files")
    more = f" and {files - 1:,} more" if files > 1 else ""
    mark = printed(configuration.get("fingerprint"))[:12]
    since = _when(configuration.get("in_force_since"))
    table.add_row(
        "configuration",
        f"{printed(configuration.get('file'))}{more}, {mark}, in force since {since}",
    )
    if configuration.get("files_differ") is True:
        text = "the files say something else now: chatredirect reload --what-if"
        table.add_row("", Text(text, style="yellow"))
    last = configuration.get("last_reload")
    if isinstance(last, Mapping):
        what = f"{printed(last.get('what'))} {_when(last.get('at'))}"
        table.add_row("last reload", Text(what, style="red" if "refused" in what else ""))
    log = object_in(status, "log")
    level = printed(log.get("level"))
    if log.get("until") is not None:
        level += f" until {_when(log.get('until'))}, then {printed(log.get('configured'))}"
    if number_in(log, "lines_lost"):
        level += f"; {number_in(log, 'lines_lost'):,} lines lost"
    table.add_row("log level", level)
    urls = []
    for each in objects_in(status, "listeners"):
        number = each.get("connections")
        many = "" if number is None else f" ({_count(number, 'connection')})"
        urls.append(f"{printed(each.get('url'))}{many}")
    table.add_row("listening", ", ".join(urls) or "on nothing")
    return table


def _certificates(certificates: Sequence[JsonObject]) -> Table:
    table = _table("certificate", "expires", "")
    for each in certificates:
        days = number_in(each, "days_left")
        left = f"in {_count(days, 'day')}" if days >= 0 else "EXPIRED"
        style = "red" if days < _SOON else ""
        date = time.strftime("%Y-%m-%d", time.gmtime(_float(each.get("expires"))))
        table.add_row(printed(each.get("file")), date, Text(left, style=style))
    return table


def _refused(status: JsonObject) -> Iterator[RenderableType]:
    section = object_in(status, "refused")
    peers, limits = objects_in(section, "peers"), objects_in(section, "limits")
    others = section.get("others")
    now = _float(status.get("now"))
    since = _float(object_in(status, "configuration").get("in_force_since"))
    if peers:
        yield Text()
        yield Text("refused lately", style="bold red")
        table = _table("peer, and its names", "times", "last", "why, and the key to change")
        for each in peers[:_REFUSED]:
            table.add_row(*_refused_row(each, now, since))
        yield table
        more = len(peers) - _REFUSED
        if more > 0:
            yield Text(f"… and {counted(more, 'row')} more: --json shows them")
    if isinstance(others, int) and others:
        yield Text(f"… and {counted(others, 'refusal')} of others")
    if limits:
        yield Text()
        yield Text("limits that were reached", style="bold red")
        table = _table("limit", "value", "times", "last", "last peer")
        for each in limits:
            value, last = each.get("limit"), each.get("last")
            table.add_row(
                printed(each.get("key")),
                f"{value:,}" if isinstance(value, int | float) else "-",
                f"{number_in(each, 'count'):,}",
                "-" if last is None else f"{span(now - _float(last))} ago",
                printed(each.get("peer")),
            )
        yield table


def _refused_row(row: JsonObject, now: float, since: float) -> tuple[RenderableType, ...]:
    given = row.get("names")
    names = [printed(each) for each in given] if isinstance(given, list | tuple) else []
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    peer = "\n".join(
        [f"{printed(row.get('transport'))} {printed(row.get('peer'))}", *names[:_NAMED], *more]
    )
    key, value, last = printed(row.get("key")), printed(row.get("value")), _float(row.get("last"))
    why = Text(printed(row.get("why")))
    if key:
        why.append(f"\n{key}{f': {value}' if value else ''}", style="bold")
    elif detail := printed(row.get("detail")):
        why.append(f"\n{detail}")
    if last < since:
        why.append("\nbefore the configuration that is in force", style="dim")
    return peer, f"{number_in(row, 'count'):,}", f"{span(now - last)} ago", why


def _endpoints_heading(section: JsonObject) -> Text:
    number = number_in(section, "count")
    modes, states = counts_text(section.get("by_mode")), counts_text(section.get("by_state"))
    text = f"{_count(number, 'endpoint')}: {modes}; {states}" if number else "no endpoints"
    heading = Text(text, style="bold")
    return heading.append_text(_trouble(section))


def _endpoints(listed: Sequence[JsonObject], joint: str) -> Table:
    table = _table("SIP address", "mode", "state", "requests", "pool, and what is wrong")
    for each in listed:
        wrong = printed(each.get("trouble"))
        where = Text(printed(each.get("pool_fqdn")))
        if wrong:
            where.append(f"{joint}{wrong}", style="red")
        cells = (printed(each.get(name)) for name in ("sip_address", "mode", "state"))
        table.add_row(*cells, f"{number_in(each, 'requests'):,}", where)
    return table


def _pools_heading(section: JsonObject) -> Text:
    number, usable = number_in(section, "count"), number_in(section, "usable")
    heading = Text(f"{_count(number, 'pool')}, {usable:,} usable", style="bold")
    return heading.append_text(_trouble(section))


def _pools(listed: Sequence[JsonObject], joint: str) -> Table:
    table = _table("pool", "targets", "DNS")
    for each in listed:
        table.add_row(pool_name(each), _targets(each, joint), pool_dns(each))
    return table


def _targets(pool: JsonObject, joint: str) -> Text:
    lines = target_lines(pool)
    if pool.get("usable") is not True:
        lines.append((why_unusable(pool), True))
    shown = Text()
    for line, bad in lines:
        shown.append((joint if shown else "") + line, style="red" if bad else "")
    return shown


def _traffic(status: JsonObject) -> Table:
    table = _plain_table()
    table.add_row("answers", counts_text(status.get("answers")) or "none yet")
    for title, name in (("no answer", "drops"), ("malformed", "malformed")):
        if counts := counts_text(status.get(name)):
            table.add_row(title, counts)
    connections = object_in(status, "connections")
    text = f"{number_in(connections, 'open'):,} of {number_in(connections, 'most'):,}"
    peers = [
        f"{printed(each.get('peer'))} {number_in(each, 'connections'):,}"
        for each in objects_in(connections, "by_peer")[:8]
    ]
    if peers:
        others = number_in(connections, "peers") - len(peers)
        text += f": {', '.join(peers)}{f', {others:,} more peers' if others > 0 else ''}"
    table.add_row("connections", text)
    for name in ("refused", "closed"):
        if counts := counts_text(connections.get(name)):
            table.add_row(f"… {name}", counts)
    for each in objects_in(connections, "sent_away"):
        why = f"sent too much ({printed(each.get('reason'))}), closed {_when(each.get('at'))}"
        table.add_row("… sent away", f"{printed(each.get('peer'))}: {why}")
    for name in ("lookups", "proxy"):
        section = object_in(status, name)
        if section:
            numbers = {
                key: value
                for key, value in section.items()
                if isinstance(value, int) and key != "most"
            }
            table.add_row(name, counts_text(numbers) or "none yet")
    return table


def _trouble(section: JsonObject) -> Text:
    number = number_in(section, "troubled")
    return Text(f"; {number:,} with a trouble", style="bold red") if number else Text()


def _plain_table() -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        number = column in {"requests", "times", "value"}
        table.add_column(column, overflow="fold", justify="right" if number else "left")
    return table


def _count(number: Json, thing: str) -> str:
    return counted(number if isinstance(number, int) else 0, thing)


def _when(at: Json) -> str:
    if at is None:
        return "-"
    return local_time(_float(at))


def _float(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
