"""docs/security.md: its numbers are the code's."""

import re
from pathlib import Path

import pytest

from chatredirect.config import LimitSettings, loader
from chatredirect.config.models import ProxySection
from chatredirect.control.control_server import Bounds
from chatredirect.dns import answer, hosts, query_exchange
from chatredirect.http import http_server as http
from chatredirect.log import escape, sink
from chatredirect.runtime import rate_limiter, turns, work_list
from chatredirect.sip import abnf, body, forwarding, headers, xccos, xml_body

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
    "octets of a request on the control socket": [Bounds().request],
    "clients on the control socket at a time": [Bounds().connections],
    "seconds for a request on the control socket, and for reading its answer": [
        Bounds().request_seconds
    ],
    "octets of a request to `http`": [http.OCTETS],
    "connections to `http` at a time": [http.CONNECTIONS],
    "seconds of a connection to `http`": [http.SECONDS],
    "octets of a file of the configuration": [loader.MAX_FILE],
    "characters of a hosts file that are read": [hosts.MAX_OCTETS],
    "`proxy.transactions`": [ProxySection().transactions],
    "things of a lost connection in one slice": [work_list.AT_ONCE],
    "octets of a text in one log line": [escape.MAX_TEXT],
    "log lines that wait": [sink.MAX_LINES],
}
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]*\d[^|]*) \| [^|]+ \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("bound", "said"), ROWS, ids=[row[0] for row in ROWS])
def test_the_pages_numbers(bound: str, said: str) -> None:
    """Every bound that the page gives is the one in the code."""
    numbers = [float(each) for each in re.findall(r"\d+", said)]
    key = re.fullmatch(r"`limits\.(\w+)`", bound)
    if key is None:
        assert numbers == FIXED[bound]
    else:
        assert numbers[0] == getattr(LimitSettings(), key[1])
        assert numbers[1:] in ([], [rate_limiter.SECONDS])


def test_all_are_there() -> None:
    assert {bound for bound, _ in ROWS} >= set(FIXED)
