"""A status for people: 80 columns, troubles first.

It is made of the JSON that came over the control socket. Another version may have sent it, so what
is missing isn't shown.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from chatredirect.control.protocol import Json
from chatredirect.log.escape import escape
from chatredirect.runtime.wording import counted

WIDTH = 80
_SOON = 30  # days before a certificate's end from which on it is a trouble


def draw(status: Mapping[str, Json], console: Console) -> None:
    """Print the control socket's answer."""
    for each in _renderables(status):
        console.print(each)


def endpoint_row(endpoint: Mapping[str, Json]) -> str:
    """One endpoint as a line, for lists that are too long for a table."""
    fields = ("sip_address", "mode", "state", "requests", "pool_fqdn", "trouble")
    return "  ".join(_text(endpoint.get(name)) for name in fields).rstrip()


def pool_row(pool: Mapping[str, Json]) -> str:
    """One pool as a line."""
    return "  ".join((_pool_name(pool), _targets(pool).plain, _dns(pool))).rstrip()


def _renderables(status: Mapping[str, Json]) -> Iterator[RenderableType]:
    yield _overview(status)
    certificates = _list(status, "certificates")
    if certificates:
        yield Text()
        yield _certificates(certificates)
    for name, heading, table in (
        ("endpoints", _endpoints_heading, _endpoints),
        ("pools", _pools_heading, _pools),
    ):
        section = _section(status, name)
        listed = _list(section, "listed")
        yield Text()
        yield heading(section)
        if listed:
            yield table(listed)
        more = _number(section, "count") - len(listed)
        if more > 0:
            yield Text(f"… and {more:,} more: --all shows them")
    yield Text()
    yield _traffic(status)


def _overview(status: Mapping[str, Json]) -> Table:
    table = _plain_table()
    up = _span(status.get("uptime"))
    ending = ", about to stop" if status.get("draining") is True else ""
    pid, version = _text(status.get("pid")), _text(status.get("version"))
    codec = _text(status.get("codec"))
    table.add_row("chatredirect", f"{version}, {codec} codec, up {up}, process {pid}{ending}")
    configuration = _section(status, "configuration")
    files = _number(configuration, "files")
    more = f" and {files - 1:,} more" if files > 1 else ""
    mark = _text(configuration.get("fingerprint"))[:12]
    since = _when(configuration.get("in_force_since"))
    table.add_row(
        "configuration",
        f"{_text(configuration.get('file'))}{more}, {mark}, in force since {since}",
    )
    last = configuration.get("last_reload")
    if isinstance(last, Mapping):
        what = f"{_text(last.get('what'))} {_when(last.get('at'))}"
        table.add_row("last reload", Text(what, style="red" if "refused" in what else ""))
    log = _section(status, "log")
    level = _text(log.get("level"))
    if log.get("until") is not None:
        level += f" until {_when(log.get('until'))}, then {_text(log.get('configured'))}"
    if _number(log, "lines_lost"):
        level += f"; {_number(log, 'lines_lost'):,} lines lost"
    table.add_row("log level", level)
    urls = []
    for each in _list(status, "listeners"):
        number = each.get("connections")
        many = "" if number is None else f" ({_count(number, 'connection')})"
        urls.append(f"{_text(each.get('url'))}{many}")
    table.add_row("listening", ", ".join(urls) or "on nothing")
    return table


def _certificates(certificates: Sequence[Mapping[str, Json]]) -> Table:
    table = _table("certificate", "expires", "")
    for each in certificates:
        days = _number(each, "days_left")
        left = f"in {_count(days, 'day')}" if days >= 0 else "EXPIRED"
        style = "red" if days < _SOON else ""
        date = time.strftime("%Y-%m-%d", time.gmtime(_float(each.get("expires"))))
        table.add_row(_text(each.get("file")), date, Text(left, style=style))
    return table


def _endpoints_heading(section: Mapping[str, Json]) -> Text:
    number = _number(section, "count")
    modes, states = _counts(section.get("by_mode")), _counts(section.get("by_state"))
    text = f"{_count(number, 'endpoint')}: {modes}; {states}" if number else "no endpoints"
    heading = Text(text, style="bold")
    return heading.append_text(_trouble(section))


def _endpoints(listed: Sequence[Mapping[str, Json]]) -> Table:
    table = _table("SIP address", "mode", "state", "requests", "pool, and what is wrong")
    for each in listed:
        wrong = _text(each.get("trouble"))
        where = Text(_text(each.get("pool_fqdn")))
        if wrong:
            where.append(f"\n{wrong}", style="red")
        cells = (_text(each.get(name)) for name in ("sip_address", "mode", "state"))
        table.add_row(*cells, f"{_number(each, 'requests'):,}", where)
    return table


def _pools_heading(section: Mapping[str, Json]) -> Text:
    number, usable = _number(section, "count"), _number(section, "usable")
    heading = Text(f"{_count(number, 'pool')}, {usable:,} usable", style="bold")
    return heading.append_text(_trouble(section))


def _pools(listed: Sequence[Mapping[str, Json]]) -> Table:
    table = _table("pool", "targets", "DNS")
    for each in listed:
        table.add_row(_pool_name(each), _targets(each), _dns(each))
    return table


def _pool_name(pool: Mapping[str, Json]) -> str:
    name = _text(pool.get("pool_fqdn"))
    port, transport = pool.get("port"), pool.get("transport")
    return f"{name}{f':{port}' if port else ''}{f' {_text(transport)}' if transport else ''}"


def _targets(pool: Mapping[str, Json]) -> Text:
    lines = Text()
    for each in _list(pool, "targets"):
        state = _text(each.get("state"))
        shown = f"{_text(each.get('target'))} {state}"
        if state == "down":
            shown += f" ({_text(each.get('last_ping'))})"
        lines.append(("\n" if lines else "") + shown, style="red" if state == "down" else "")
    more = _number(pool, "more_targets")
    if more:
        lines.append(f"\nand {more:,} more")
    if pool.get("usable") is not True:
        why = _text(pool.get("why")).removeprefix(f"{_text(pool.get('pool_fqdn'))}: ")
        lines.append(("\n" if lines else "") + why, style="red")
    return lines


def _dns(pool: Mapping[str, Json]) -> str:
    age, due = pool.get("dns_age"), pool.get("next_refresh")
    parts = [] if age is None else [f"{_span(age)} old"]
    if due is not None:
        parts.append(f"next in {_span(due)}")
    if pool.get("stale") is not None:
        parts.append(f"STALE: {_text(pool.get('stale'))}")
    return ", ".join(parts)


def _traffic(status: Mapping[str, Json]) -> Table:
    table = _plain_table()
    table.add_row("answers", _counts(status.get("answers")) or "none yet")
    for name in ("drops", "malformed"):
        if counts := _counts(status.get(name)):
            table.add_row(name, counts)
    connections = _section(status, "connections")
    text = f"{_number(connections, 'open'):,} of {_number(connections, 'most'):,}"
    peers = [
        f"{_text(each.get('peer'))} {_number(each, 'connections'):,}"
        for each in _list(connections, "by_peer")[:8]
    ]
    if peers:
        others = _number(connections, "peers") - len(peers)
        text += f": {', '.join(peers)}{f', {others:,} more peers' if others > 0 else ''}"
    table.add_row("connections", text)
    for name in ("refused", "closed"):
        if counts := _counts(connections.get(name)):
            table.add_row(f"… {name}", counts)
    for each in _list(connections, "sent_away"):
        why = f"sent too much ({_text(each.get('reason'))}), closed {_when(each.get('at'))}"
        table.add_row("… sent away", f"{_text(each.get('peer'))}: {why}")
    for name in ("lookups", "proxy"):
        section = _section(status, name)
        if section:
            numbers = {
                key: value
                for key, value in section.items()
                if isinstance(value, int) and key != "most"
            }
            table.add_row(name, _counts(numbers) or "none yet")
    return table


def _trouble(section: Mapping[str, Json]) -> Text:
    number = _number(section, "troubled")
    return Text(f"; {number:,} with a trouble", style="bold red") if number else Text()


def _plain_table() -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        number = column == "requests"
        table.add_column(column, overflow="fold", justify="right" if number else "left")
    return table


def _counts(counts: Json) -> str:
    """`302: 12, 404: 3`, the largest first."""
    if not isinstance(counts, Mapping):
        return ""
    found = [(name, number) for name, number in counts.items() if isinstance(number, int)]
    found.sort(key=lambda each: -each[1])
    return ", ".join(f"{_text(name)} {number:,}" for name, number in found if number)


def _count(number: Json, thing: str) -> str:
    return counted(number if isinstance(number, int) else 0, thing)


def _span(seconds: Json) -> str:
    """A duration in its two largest units."""
    left = round(_float(seconds))
    for unit, size, smaller, small in (
        ("d", 86_400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if left >= size:
            rest = left % size // small
            coarse = left >= 10 * size or not rest
            return f"{left // size} {unit}{'' if coarse else f' {rest} {smaller}'}"
    return f"{left} s"


def _when(at: Json) -> str:
    if at is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(_float(at)))


def _text(value: Json) -> str:
    return "" if value is None else escape(str(value))


def _float(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _number(section: Mapping[str, Json], name: str) -> int:
    value = section.get(name)
    return value if isinstance(value, int) else 0


def _section(status: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    value = status.get(name)
    return value if isinstance(value, Mapping) else {}


def _list(section: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    value = section.get(name)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
