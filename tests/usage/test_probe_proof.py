"""Our own probe is no user, and nobody else passes for one (docs/commands.md, usage)."""

from pathlib import Path

import pytest

from chatredirect.config.usage_section import StoreAddress
from chatredirect.responses.counters import Counters
from chatredirect.usage.probe_proof import LIFE, ProbeNonces, proof_of
from chatredirect.usage.recorder import UsageRecorder
from tests.held_clock import HeldClock
from tests.lookup.in_memory_lookups import Client, InMemoryLookups
from tests.probe.conftest import Probe, probe, run_daemon
from tests.proxy.in_memory_proxy import Caller, InMemoryProxy
from tests.service.fixtures import Run
from tests.sip.in_memory_server import request, serve
from tests.usage.uses import uses_by_caller

__all__ = ["probe", "run_daemon"]
CHAT = b"sip:ocschat@contoso.com"
AGENT = "User-Agent: chatredirect/0.1.0\r\n"


def head(proof: bytes) -> bytes:
    return b"INVITE x SIP/2.0\r\nChatredirect-Probe: " + proof + b"\r\nTo: <sip:a@b>"


def test_a_proof_is_for_one_call_and_for_a_short_time() -> None:
    clock = HeldClock(1_000_000.0)
    nonces = ProbeNonces(clock)
    assert not nonces.prove(head(proof_of("", b"call")), b"call"), "no nonce was given"
    proof = head(proof_of(nonces.give(), b"call"))
    assert nonces.prove(proof, b"call")
    assert not nonces.prove(proof, b"another")
    assert not nonces.prove(head(b"0" * 64), b"call")
    assert not nonces.prove(b"INVITE x SIP/2.0", b"call")
    clock.now += LIFE / 2
    later = head(proof_of(nonces.give(), b"call"))
    assert nonces.prove(proof, b"call")
    clock.now += LIFE / 2
    assert not nonces.prove(proof, b"call")
    assert nonces.prove(later, b"call")


def test_a_nonce_lives_for_half_its_life_at_least() -> None:
    clock = HeldClock(1_000_000.0)
    nonces = ProbeNonces(clock)
    nonces.give()
    clock.now += LIFE / 2 - 0.1
    proof = head(proof_of(nonces.give(), b"call"))
    clock.now += LIFE / 2 - 0.1
    for _ in range(3):
        nonces.give()
    assert nonces.prove(proof, b"call")


def record(counters: Counters) -> UsageRecorder:
    counters.usage = UsageRecorder(lambda: 1_000_000.0)
    counters.usage.on = True
    return counters.usage


def field(recorder: UsageRecorder, call_id: bytes, *, right: bool) -> str:
    proof = proof_of(recorder.probes.give(), call_id if right else call_id + b"x")
    return f"{AGENT}Chatredirect-Probe: {proof.decode()}\r\n"


@pytest.mark.parametrize("right", [True, False])
def test_a_redirected_probe(right: bool) -> None:
    served = serve()
    recorder = record(served.counters)
    more = field(recorder, b"probe1", right=right).strip().encode()
    for _ in range(2):
        answer = served.ask(request(b"INVITE", CHAT, more, call_id=b"probe1"))
        assert answer is not None
        assert answer.status == 302
    served.ask(request(b"INVITE", CHAT, more, call_id=b"probe2"))
    assert recorder.take().total == (1 if right else 2)


@pytest.mark.parametrize("right", [True, False])
def test_a_lookup_of_a_probe(right: bool) -> None:
    lookups = InMemoryLookups()
    recorder = record(lookups.counters)
    client = Client(lookups)
    client.invite(more=field(recorder, client.call_id.encode(), right=right))
    client.ack()
    client.look_up()
    assert recorder.take().total == (not right)


@pytest.mark.parametrize("right", [True, False])
def test_a_proxied_probe(right: bool) -> None:
    proxy = InMemoryProxy()
    recorder = record(proxy.counters)
    caller = Caller(proxy)
    proxy.send(caller.write("INVITE", more=field(recorder, caller.call_id.encode(), right=right)))
    proxy.answer(0, proxy.target().one(), 200, more="Contact: <sip:room@192.0.2.20:5070>\r\n")
    assert recorder.take().total == (not right)


def test_a_probe_beside_a_daemon(probe: Probe, run_daemon: Run, tmp_path: Path) -> None:
    """The nonce comes over the control socket; without it the probe counts."""
    store = StoreAddress("sqlite", str(tmp_path / "usage.db"))
    socket = tmp_path / "control.sock"
    daemon = run_daemon(usage={"store": str(store)}, control={"socket": str(socket)})
    _, port = daemon.address("udp")
    for path, caller in ((socket, "sip:not@contoso.com"), (tmp_path / "no", "sip:ann@contoso.com")):
        probed = probe(
            *("sip:ocschat@contoso.com", "--via", f"udp://127.0.0.1:{port}", "--from", caller),
            config="listen: [udp://127.0.0.1:0]\n"
            f"control: {{socket: {path}}}\ndns: {{nameservers: ['127.0.0.1:1']}}\n"
            "endpoints: []\n",
        )
        assert probed.status == 0, probed.err
    assert daemon.stop() == 0
    assert uses_by_caller(store) == {"sip:ann@contoso.com": 1}
