"""The views. `chatredirect.web` calls them; each yields the HTML of one page in pieces.

The objects of their arguments are those of the HTTP API (docs/page.md): `status` and `usage` are
the answers of /api/v1/status and /api/v1/usage, `endpoints` and `pools` the lists of
/api/v1/endpoints and /api/v1/pools.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TypeAlias

from jinja2 import Template

from chatredirect.control.protocol import number_in
from chatredirect.page import live_texts
from chatredirect.page.chart import BAR, HEIGHT, charting
from chatredirect.page.live_texts import live_values
from chatredirect.page.markup import environment
from chatredirect.status.status_text import JsonObject, counts_text, object_in, pool_name

#: Pieces of HTML, in order; the server looks at the time after each.
Html: TypeAlias = Iterator[str]

__all__ = [
    "endpoint_page",
    "live_values",
    "login_page",
    "overview",
    "problem_page",
    "search_page",
    "trace_page",
]

_SOON = 30  # days before a certificate's end from which on it is a trouble
_SECONDS = "600"
_PIECES = 64  # of the templates', that are handed on together: some 0.1 ms of work


def overview(
    status: JsonObject,
    endpoints: Sequence[JsonObject],
    pools: Sequence[JsonObject],
    usage: JsonObject,
) -> Html:
    """`/`: the daemon, its endpoints, pools, certificates, reloads and refusals."""
    shown = sorted(endpoints, key=lambda each: not each.get("trouble"))[: live_texts.MOST_ROWS]
    some_pools = sorted(pools, key=lambda each: each.get("usable") is True)[: live_texts.MOST_ROWS]
    chart = yield from charting(usage)
    yield from _page(
        "overview.html",
        status=status,
        endpoints=shown,
        more_endpoints=number_in(object_in(status, "endpoints"), "count") - len(shown),
        pools=some_pools,
        more_pools=number_in(object_in(status, "pools"), "count") - len(some_pools),
        usage=usage,
        chart=chart,
        live=live_values(status, shown, some_pools),
        soon=_SOON,
    )


def endpoint_page(status: JsonObject, endpoint: JsonObject, usage: JsonObject) -> Html:
    """`/endpoint?sip_address=…`: one endpoint with its callers."""
    chart = yield from charting(usage)
    yield from _page("endpoint.html", status=status, endpoint=endpoint, usage=usage, chart=chart)


def search_page(status: JsonObject, usage: JsonObject) -> Html:
    """`/search?caller=…`: what the ledger knows of callers whose address contains a text."""
    return _page("search.html", status=status, usage=usage, searched=usage["caller"])


def trace_page(status: JsonObject, asked: Mapping[str, str]) -> Html:
    """`/trace`: the live ladder; `asked` has what the form was filled with, by its names."""
    filled = {"from": "", "call_id": "", "endpoint": "", "peer": "", "seconds": _SECONDS, **asked}
    return _page("trace.html", status=status, asked=filled)


def login_page(problem: str, following: str) -> Html:
    """`/login`: the form; `problem` is empty at first, `following` the path to go to afterwards."""
    return _page("login.html", problem=problem, following=following)


def problem_page(status: int, what: str) -> Html:
    """Any page that can't be shown: its HTTP status, and one sentence."""
    return _page("problem.html", code=status, what=what)


def _page(template: str, **context: object) -> Html:
    pieces = _TEMPLATES[template].generate(context)
    while some := "".join(islice(pieces, _PIECES)):
        yield some


def _templates() -> dict[str, Template]:
    """All templates, compiled: none of it is left for when somebody looks."""
    made = environment()
    made.globals.update(
        BAR=BAR,
        HEIGHT=HEIGHT,
        endpoint_id=live_texts.endpoint_id,
        pool_id=live_texts.pool_id,
        pool_name=pool_name,
        counts=partial(counts_text, joint=": "),
    )
    return {name: made.get_template(name) for name in made.list_templates()}


_TEMPLATES: Mapping[str, Template] = _templates()
