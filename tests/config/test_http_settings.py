"""The section `http`: off unless asked for, and at home unless told otherwise."""

from collections.abc import Callable

import pytest

from chatredirect.config import ConfigError, Settings
from chatredirect.config.http_section import HttpSettings

WithHttp = Callable[..., Settings]


def test_off_unless_asked_for() -> None:
    assert HttpSettings().listen is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"127.0.0.1:9464"', "127.0.0.1:9464"),
        ('":9465"', "127.0.0.1:9465"),
        ("9465", "127.0.0.1:9465"),
        ('"9465"', "127.0.0.1:9465"),
        ("127.0.0.1", "127.0.0.1:9464"),
        ("0.0.0.0:80", "0.0.0.0:80"),
        ('"[::1]:9464"', "[::1]:9464"),
        ('"::1"', "[::1]:9464"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("off", "None"),
        ("null", "None"),
    ],
)
def test_an_address_without_a_host_is_this_machines_own(
    with_http: WithHttp, written: str, meant: str
) -> None:
    assert str(with_http(f"{{listen: {written}}}").http.listen) == meant


@pytest.mark.parametrize(
    ("http", "why"),
    [
        ("{listen: http://127.0.0.1:9464}", 'http.listen: "http://127.0.0.1:9464" is a URL'),
        ("{listen: localhost:9464}", 'http.listen: "localhost" is no IP address'),
        ("{listen: 127.0.0.1:99999}", 'http.listen: "99999" is no port'),
        ("{listen: [1]}", "http.listen: must be ADDRESS:PORT, or off"),
        ("{listen: true}", "http.listen: must be ADDRESS:PORT, or off"),
        ("{listen: 1.5}", "http.listen: must be ADDRESS:PORT, or off"),
        ("{endpoints: -1}", "http.endpoints: must be at least 0, not -1"),
        ("{endpoints: 100000}", "http.endpoints: must be at most 10000"),
        ("{ready_needs_targets: 1}", "http.ready_needs_targets: must be true or false"),
        ("{lisen: off}", 'unknown key "lisen" in http (did you mean "listen"?)'),
        ("9464", "http: must be a mapping"),
    ],
)
def test_faults(with_http: WithHttp, http: str, why: str) -> None:
    with pytest.raises(ConfigError) as raised:
        with_http(http)
    (fault,) = raised.value.faults
    assert fault.message.startswith(why)
    assert fault.line == 2


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:9464", "tcp://0.0.0.0:9464"])
def test_a_port_that_a_listener_has(with_http: WithHttp, listen: str) -> None:
    with pytest.raises(ConfigError) as raised:
        with_http('{listen: ":9464"}', listen=f"[udp://127.0.0.1:9464, {listen}]")
    (fault,) = raised.value.faults
    assert fault.message == f"http.listen: {listen} in line 1 wants the same port: take another one"


def test_udp_has_ports_of_its_own(with_http: WithHttp) -> None:
    with_http('{listen: ":9464"}', listen="[udp://127.0.0.1:9464, tcp://127.0.0.2:9464]")
