"""docs/security.md: its numbers are the code's."""

import re
from pathlib import Path

import pytest

from chatredirect.config import LimitSettings, loader
from chatredirect.config.models import ProxySection
from chatredirect.control import said
from chatredirect.control.conversation import Bounds
from chatredirect.control.protocol import UNREAD_SECONDS
from chatredirect.dns import answer, hosts, query_exchange
from chatredirect.http import http_server as http
from chatredirect.log import escape, sink
from chatredirect.net import refusals
from chatredirect.page import live_texts
from chatredirect.runtime import rate_limiter, turns, work_list
from chatredirect.sip import abnf, body, forwarding, headers, xccos, xml_body
from chatredirect.usage import identity, ledger, page_usage
from chatredirect.usage.recorder import BOUNDS, STRANGERS, TRUSTED
from chatredirect.web import access, application, event_stream, sources

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
FIXED: dict[str, list[float]] = {
    "work for all peers in one turn of the event loop": [turns.TURN * 1000],
    "one connection's or socket's share of that": [turns.SHARE * 1000],
    "octets of one connection that are handled before the clock is asked": [turns.FIRST],
    "parameters of one address": [abnf.MAX_PARAMS],
    "addresses in one list": [headers.MAX_ADDRESSES],
    "octets of all Route fields of a request": [forwarding._MAX_ROUTE],
    "elements, attributes, depth of an XML body": [
        xml_body.MAX_ELEMENTS,
        xml_body.MAX_ATTRIBUTES,
        xml_body.MAX_DEPTH,
    ],
    "parts of a multipart body": [body.MAX_PARTS],
    "octets of an INFO's body to a lookup": [xccos.MAX_OCTETS],
    "commands in one XCCOS body": [xccos.MAX_COMMANDS],
    "octets of a DNS answer over UDP": [query_exchange.PAYLOAD],
    "octets of a DNS answer over TCP": [query_exchange.MAX_TCP_ANSWER],
    "records of a DNS answer": [query_exchange.MAX_ANSWER_RECORDS],
    "labels of one name, of all names of a DNS answer": [
        answer.LONGEST_NAME,
        answer.MOST_LABELS,
    ],
    "records of a DNS answer that are used": [answer.MAX_RECORDS],
    "peers that [`status`](commands.md#refused-lately) knows as refused, of each kind": [
        refusals.ROWS
    ],
    "characters of a value that a command [says of its user](audit.md#who)": [said.MAX_TEXT],
    "octets of a request on the control socket": [Bounds().request],
    "clients on the control socket at a time": [Bounds().connections],
    "seconds for a request on the control socket, and for reading its answer": [
        Bounds().request_seconds
    ],
    "octets of a request to `http`": [http.OCTETS],
    "connections to `http` at a time": [http.CONNECTIONS],
    "seconds of a connection to `http`": [http.SECONDS],
    "octets of a request to the page": [application.OCTETS],
    "connections to the page at a time": [application.CONNECTIONS],
    "seconds of a connection to the page, unless it is a stream of events": [application.SECONDS],
    "streams of events to the page at a time": [event_stream.STREAMS],
    "octets that a reader of events may leave unread, and for how many seconds": [
        event_stream.WAITING,
        UNREAD_SECONDS,
    ],
    "octets of the page's login form": [application.FORM],
    "wrong tokens in a row from one address": [access.ATTEMPTS],
    "addresses whose wrong tokens are counted": [access.ADDRESSES],
    "hours that a login lasts": [access.SESSION / 3600],
    "endpoints, and pools, that the page's API lists": [sources.MOST],
    "endpoints, and pools, that the page's overview lists": [live_texts.MOST_ROWS],
    "callers in one answer of the page": [page_usage.MOST_CALLERS],
    "octets of a file of the configuration": [loader.MAX_FILE],
    "octets of a hosts file": [hosts.MAX_OCTETS],
    "`proxy.transactions`": [ProxySection().transactions],
    "things of a lost connection in one slice": [work_list.AT_ONCE],
    "octets of a text in one log line": [escape.MAX_TEXT],
    "log lines that wait": [sink.MAX_LINES],
    "callers, clients a day in the ledger": [
        bound for each in (TRUSTED, STRANGERS) for bound in (each.callers, each.clients)
    ],
    "rows of the ledger that wait to be written": [TRUSTED.rows, STRANGERS.rows],
    "new User-Agents, callers a second that are looked at": [
        rate
        for trusted in (True, False)
        for rate in (BOUNDS[trusted].clients, BOUNDS[trusted].callers)
    ],
    "octets of a User-Agent that are read": [identity.MAX_READ],
    "seconds that a stop waits for the ledger's store": [ledger.GOODBYE],
}
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]*\d[^|]*) \| [^|]+ \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("bound", "given"), ROWS, ids=[row[0] for row in ROWS])
def test_the_pages_numbers(bound: str, given: str) -> None:
    """Every bound that the page gives is the one in the code."""
    numbers = [float(each) for each in re.findall(r"\d+", given)]
    key = re.fullmatch(r"`limits\.(\w+)`", bound)
    if key is None:
        assert numbers == FIXED[bound]
    else:
        assert numbers[0] == getattr(LimitSettings(), key[1])
        assert numbers[1:] in ([], [rate_limiter.SECONDS])


def test_all_are_there() -> None:
    assert {bound for bound, _ in ROWS} >= set(FIXED)
