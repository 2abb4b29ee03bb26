"""docs/troubleshooting.md has every answer of chatredirect's own, as a trace shows it."""

import ast
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

import pytest

import chatredirect
from chatredirect.config.endpoint import RedirectStatus
from chatredirect.proxy.outgoing_request import TOKEN_PARAM
from chatredirect.responses import explain
from chatredirect.sip import errors
from tests.service.client import Udp, request, talk
from tests.service.daemon import ROOT, Daemon, endpoint, eventually
from tests.service.fixtures import Run
from tests.trace.trace_process import looking

PACKAGE = Path(chatredirect.__file__).parent
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
#: Statuses whose reason is always in words of the moment: a pool's, a state's, a target's.
_WITH_A_REASON = {480: "480, …` with a reason", 500: "500, …` with a target and a reason"}
#: Its reason is a target that said nothing.
_NO_RESPONSE = {408: "408, …: no response"}


def _own_answers() -> Iterator[str]:
    """Status and reason of each answer that the code can give."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        refused = dict(_refused(tree))
        for call in _calls(tree, "PlannedResponse"):
            if call not in refused:
                yield from _planned(call, "")
        for response, reason in refused.items():
            if ast.unparse(response.func) == "unsupported":
                yield f"420, {reason}"
            elif reason:  # else it is `_no_dialog`'s
                yield from _planned(response, reason)
        for call in _calls(tree, "_no_dialog"):
            assert isinstance(call.args[0], ast.Constant)
            yield f"481, {call.args[0].value}"
        for call in _calls(tree, "send_final_response"):
            assert isinstance(call.args[0], ast.Constant)
            yield _reasoned(int(str(call.args[0].value)))
        for call in _calls(tree, "_unavailable"):
            status, why = call.args[1], call.args[2]
            if isinstance(status, ast.Constant) and isinstance(why, ast.Constant):
                yield f"{status.value}, {why.value}"
            elif isinstance(why, ast.Constant):
                yield f"480, {why.value}"
        for call in [*_calls(tree, "BadCommand"), *_calls(tree, "BadXml")]:
            if isinstance(call.args[0], ast.Constant):
                yield f"400, {call.args[0].value}"
    yield from (f"400, {phrase}" for phrase in ("Malformed XML", "XML Too Complex"))
    for fault in vars(errors).values():
        if isinstance(fault, type) and issubclass(fault, errors.SipError) and fault.status:
            yield f"{fault.status}, malformed: {fault.phrase}"


def _refused(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """The response of each RequestRefused, and its reason; "" if a caller gives that."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            assigned = {
                ast.unparse(node.targets[0]): node.value
                for node in ast.walk(function)
                if isinstance(node, ast.Assign)
            }
            for call in _calls(function, "RequestRefused"):
                response, reason = call.args
                response = assigned.get(ast.unparse(response), response)
                if isinstance(response, ast.Call):
                    yield response, str(reason.value) if isinstance(reason, ast.Constant) else ""


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name:
            yield node


def _planned(call: ast.Call, reason: str) -> Iterator[str]:
    if not isinstance(call.args[0], ast.Constant):
        if ast.unparse(call.args[0]) == "redirection.status":
            yield from (f"{status} to …" for status in get_args(RedirectStatus))
        return  # the status of a SipError, or `_unavailable`'s
    status = int(str(call.args[0].value))
    phrases = [*(each.value for each in call.keywords if each.arg == "phrase"), *call.args[2:3]]
    if phrases and isinstance(phrases[0], ast.Constant):
        yield f"{status}, {phrases[0].value}"
    elif not phrases and reason and status != 480:
        yield f"{status}, {reason}" if status != 200 else "200, answered here"
    elif not phrases:
        yield _reasoned(status)


def _reasoned(status: int) -> str:
    if status == 301:
        return "301 to …"
    if status == 488:
        return "488, no m=message, no m=x-ms-message"
    others = _WITH_A_REASON | _NO_RESPONSE
    known = explain._REASONS.get(status, "answered here")
    return others.get(status) or f"{status}, {known.partition(':')[0]}"


@pytest.mark.parametrize("answer", sorted(set(_own_answers())))
def test_the_page_has_every_own_answer(answer: str) -> None:
    assert f"`{answer}" in PAGE


def test_what_is_looked_for() -> None:
    """Answers of every kind of place in the code are among those that are looked for."""
    found = set(_own_answers())
    assert {"503, overload", "503, draining", "481, forged_route", "483, max_forwards"} <= found
    assert {"302 to …", "488, no m=message, no m=x-ms-message", "400, Not XCCOS"} <= found
    assert "513, malformed: Too Many Via Values" in found
    assert len(found) > 60


# -- what a trace shows ------------------------------------------------------------------------

LOOK, PASS, SILENT = "sip:look@contoso.com", "sip:pass@contoso.com", "sip:silent@contoso.com"
SDP = (
    "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=session\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m={media}\r\na=accept-types:text/plain\r\n"
)
CONTACT = "Contact: <sip:user1@192.0.2.1>\r\n"
SDP_TYPE = "Content-Type: application/sdp\r\n"
VIA = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{n}{m};rport"


def _chat(more: str = "", **keys: str) -> bytes:
    body = SDP.format(media="message 5060 sip null")
    return request(uri=LOOK, more=f"{CONTACT}{SDP_TYPE}{more}", **({"body": body} | keys))


CASES = {
    "200, answered here": [request("OPTIONS")],
    "302 to": [request()],
    "404, no endpoint has this URI": [request(uri="sip:nobody@contoso.com")],
    "404, it is disabled": [request(uri="sip:off@contoso.com")],
    "405, the method isn't one of the endpoint's": [request("PUBLISH", "sip:few@contoso.com")],
    "480, SIPS Not Allowed": [request(uri="sips:udp@contoso.com")],
    "481, it is in a dialog, or about a request, that isn't known here": [
        request("BYE", to="<{uri}>;tag=gone")
    ],
    "400, Bad Session Description": [_chat(body="v=1")],
    "400, Bad Multipart Body": [
        request(uri=LOOK, more=f"{CONTACT}Content-Type: multipart/mixed\r\n", body="none")
    ],
    "415, its body isn't understood": [
        request(uri=LOOK, more=f"{CONTACT}Content-Type: text/plain\r\n", body="hello")
    ],
    "420, it requires an extension that isn't supported": [_chat("Require: timer\r\n")],
    "482, it has come before, by another way or from another peer": [
        request(uri=LOOK, more=CONTACT, number=900_001),
        request(uri=LOOK, more=CONTACT, number=900_001, via=VIA.replace("{m}", "other")),
    ],
    "488, no m=message, no m=x-ms-message": [_chat(body=SDP.format(media="audio 5060 RTP/AVP 0"))],
    "513, what a lookup keeps of its header fields is too long": [
        _chat(f"Record-Route: <sip:{'p' * 60}.contoso.com;lr>\r\n" * 60)
    ],
    "403, Route Leads Elsewhere": [request(uri=PASS, more="Route: <sip:192.0.2.77;lr>\r\n")],
    "420, proxy_require": [request(uri=PASS, more="Proxy-Require: foo\r\n")],
    "483, max_forwards": [request(uri=PASS, more="Max-Forwards: 0\r\n")],
    "400, malformed: Bad Request-URI": [request(uri="sip:@contoso.com")],
    "400, malformed: Missing To": [request(to=None)],
    "400, malformed: Missing Call-ID": [request(call_id=None)],
    "400, Missing Contact": [request(uri=LOOK)],
    "400, malformed: Bad CSeq": [request(cseq="x {method}")],
    "400, malformed: CSeq Method Mismatch": [request(cseq="1 BYE")],
    "400, malformed: Repeated": [request(more="Call-ID: again\r\n")],
    "400, malformed: Bad Content-Length": [request(more="Content-Length: 7\r\n")],
    "400, malformed: Truncated Body": [request().replace(b"Length: 0", b"Length: 9")],
    "400, malformed: Bad Header Line": [request(more="no colon here\r\n")],
    "414, malformed: Request-URI Too Long": [request(uri=f"sip:{'u' * 2100}@contoso.com")],
    "416, malformed: Unsupported URI Scheme": [request(uri="tel:+15551234")],
    "505, malformed: Version Not Supported": [request(version="SIP/3.0")],
    "513, malformed: Header Line Too Long": [request(more=f"Subject: {'s' * 9000}\r\n")],
    "513, malformed: Too Many Header Fields": [request(more="Subject: s\r\n" * 200)],
}


@pytest.fixture(scope="module")
def served(run_shared_daemon: Run, shared_control: str) -> Iterator[Daemon]:
    """A daemon with an endpoint of each kind, and a pool that takes requests and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pool:
        pool.bind(("127.0.0.1", 0))
        there = {"pool_fqdn": "silent.contoso.com", "port": pool.getsockname()[1]}
        hosts = {"pcpool.contoso.com": ["192.0.2.20"], "silent.contoso.com": ["127.0.0.1"]}
        yield run_shared_daemon(
            control={"socket": shared_control},
            dns={"hosts": hosts},
            limits={"dialogs": 3},
            proxy={"transactions": 1},
            endpoints=[
                endpoint(),
                endpoint("sip:off@contoso.com", state="disabled"),
                endpoint("sip:few@contoso.com", methods=["INVITE"]),
                endpoint("sip:udp@contoso.com", port=5060, transport="udp"),
                endpoint(LOOK, mode="lookup"),
                endpoint(PASS, mode="proxy"),
                endpoint(SILENT, mode="proxy", transport="udp", **there),
            ],
        )


def _shown(daemon: Daemon, control: str, folder: Path, said: str, messages: list[bytes]) -> None:
    with looking(folder, control, "--peer", "127.0.0.1") as trace:
        with talk("udp", daemon.address()) as client:
            assert isinstance(client, Udp)
            for message in messages:
                client.send(message)
            words = re.escape(said).replace(r"\ ", r"\s+")
            trace.shows("* ")
            for _ in range(200):
                if re.search(words, trace.text):
                    return
                client.socket.settimeout(0.05)
                with suppress(TimeoutError):
                    client.socket.recv(65536)
        raise AssertionError(f"{said!r} isn't in\n{trace.text}")


@pytest.mark.parametrize("said", CASES)
def test_a_trace_shows_what_the_page_says(
    served: Daemon, shared_control: str, tmp_path: Path, said: str
) -> None:
    general = re.sub(r"(malformed: (?:Missing|Bad)) (?:To|Call-ID|CSeq)$", r"\1 …", said)
    assert f"`{general}" in PAGE
    _shown(served, shared_control, tmp_path, said, CASES[said])


TEXT = "Content-Type: text/plain\r\n"
#: Within a lookup's dialog: method, CSeq number, header lines, body.
WITHIN = {
    "413, its body is longer than a lookup takes": ("INFO", 2, TEXT, "x" * 16_400),
    "400, Malformed XML": ("INFO", 3, TEXT, "<x"),
    "400, Not XCCOS": ("INFO", 4, TEXT, "<x/>"),
    "400, DTD In XML Refused": ("INFO", 5, TEXT, "<!DOCTYPE x><x/>"),
    "415, Unknown Charset": ("INFO", 6, "Content-Type: text/plain;charset=x-none\r\n", "<x/>"),
    "415, its body isn't understood": ("INFO", 7, "Content-Type: image/png\r\n", "png"),
    "420, it requires an extension": ("UPDATE", 8, f"{CONTACT}Require: timer\r\n", ""),
    "405, the method isn't one of the endpoint's": ("MESSAGE", 9, TEXT, "hello"),
    "500, CSeq Out Of Order": ("INFO", 1, "", ""),
}


def test_within_a_dialog(run_daemon: Run, control: str, tmp_path: Path) -> None:
    """What a lookup says no to after its INVITE was accepted."""
    served = run_daemon(control={"socket": control}, endpoints=[endpoint(LOOK, mode="lookup")])
    number = 900_100
    with (
        looking(tmp_path, control, "--peer", "127.0.0.1") as trace,
        talk("udp", served.address()) as client,
    ):
        assert isinstance(client, Udp)
        client.send(request(uri=LOOK, more=CONTACT, number=number))
        client.socket.settimeout(30)
        while True:
            answer, _ = client.socket.recvfrom(65536)
            if answer.startswith(b"SIP/2.0 200 "):
                break
        found = re.search(rb"\r\nTo: [^\r]*;tag=([^\r;]+)", answer)
        assert found is not None
        to = f"<{LOOK}>;tag={found[1].decode()}"
        client.send(request("ACK", LOOK, to=to, number=number))
        for said, (method, cseq, more, body) in WITHIN.items():
            via = VIA.replace("{m}", f"in{cseq}")
            client.send(
                request(method, LOOK, to=to, number=number, via=via, cseq=f"{cseq} {method}",
                        more=more, body=body)
            )  # fmt: skip
            eventually(
                lambda said=said: said in re.sub(r"\s+", " ", trace.text), f"{said} in {trace.text}"
            )
            assert f"`{said}" in PAGE
        client.send(
            request("BYE", LOOK, to=to, number=number, via=VIA.replace("{m}", "bye"), cseq="10 BYE")
        )
        trace.shows("BYE")


def test_a_route_that_was_signed_elsewhere(
    served: Daemon, shared_control: str, tmp_path: Path
) -> None:
    """As after a restart with another secret."""
    host, port = served.address()
    route = f"Route: <sip:{host}:{port};lr;{TOKEN_PARAM.decode()}forged>\r\n"
    asked = request("INFO", PASS, to="<{uri}>;tag=there", more=route)
    assert "`481, forged_route`" in PAGE
    _shown(served, shared_control, tmp_path, "481, forged_route", [asked])


def test_full_tables(served: Daemon, shared_control: str, tmp_path: Path) -> None:
    """The proxy's only place is taken by a request that the pool lets wait; then the lookups'."""
    waits = [request(uri=SILENT, more=CONTACT) for _ in range(2)]
    _shown(served, shared_control, tmp_path, "503, overload", waits)
    calls = [request(uri=LOOK, more=CONTACT) for _ in range(5)]
    _shown(served, shared_control, tmp_path, "480, too many dialogs at the moment", calls)
    for said in ("`503, overload`", "`480, too many dialogs at the moment`"):
        assert said in PAGE
