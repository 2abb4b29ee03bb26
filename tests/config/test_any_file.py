"""Whatever is in the file: settings, or ConfigError with faults that have a place. Nothing else."""

import time
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatredirect.config import (
    ConfigError,
    DnsSettings,
    EndpointSettings,
    Fault,
    HealthSettings,
    LimitSettings,
    LogSettings,
    Settings,
    load,
    warnings,
)

MODELS = (Settings, EndpointSettings, DnsSettings, HealthSettings, LogSettings, LimitSettings)
KEYS = [*sorted({field.name for model in MODELS for field in fields(model)}), "tls", "<<", "x"]
TEXTS = [
    *(
        "udp://127.0.0.1:5060",
        "tcp://[::1]",
        "tls://0.0.0.0",
        "sip:a@b.c",
        "a@b.c",
        "b.c",
        "127.0.0.1",
    ),
    *(
        "::1",
        "10.0.0.0/8",
        "[::1]:53",
        "redirect",
        "tls",
        "INVITE",
        "json",
        "\x1b",
        "é",
        "",
        "a" * 300,
    ),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(TEXTS)
    | st.text(max_size=20)
    | st.dates()
    | st.binary(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=30,
)
FILES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=12)


#: What YAML takes for the end of a line.
BREAKS = [each.encode() for each in ("\n", "\r", "\x85", "\u2028", "\u2029")]


def faults(path: Path, data: bytes) -> tuple[Fault, ...]:
    path.write_bytes(data)
    try:
        return warnings(load(path))
    except ConfigError as error:
        return error.faults


def check(path: Path, data: bytes) -> None:
    lines = sum(map(data.count, BREAKS)) + 2
    for fault in faults(path, data):
        assert fault.file == str(path)
        assert 0 <= fault.line <= lines
        assert str(fault).isprintable()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "main.yaml"


QUICK = settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)


@QUICK
@given(content=FILES, flow=st.booleans())
def test_any_values(path: Path, content: dict[str, object], flow: bool) -> None:
    text = yaml.safe_dump(content, default_flow_style=flow, allow_unicode=True)
    check(path, text.encode("utf-8", "surrogateescape"))


@QUICK
@given(data=st.binary(max_size=200))
def test_any_bytes(path: Path, data: bytes) -> None:
    check(path, data)


GOOD = (Path(__file__).parents[2] / "config/production.yaml").read_bytes()
PIECES = [
    b"*a",
    b"&a ",
    b"{",
    b"[",
    b"]",
    b"\t",
    b"\n",
    b": ",
    b"- ",
    b"!!x ",
    b"'",
    b"#",
    b"\xff",
    b"<<: ",
]


@QUICK
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(GOOD)), st.integers(0, 5), st.sampled_from(PIECES)),
        min_size=1,
        max_size=4,
    )
)
def test_any_damage(path: Path, changes: list[tuple[int, int, bytes]]) -> None:
    """A good file in which an editor slipped."""
    data = GOOD
    for at, length, piece in changes:
        data = data[:at] + piece + data[at + length :]
    check(path, data)


def test_a_hundred_thousand_unknown_keys(tmp_path: Path) -> None:
    """Placing a fault and looking for what was meant cost the same for each, however many."""

    def seconds(keys: int) -> float:
        file = tmp_path / f"{keys}.yaml"
        file.write_text(
            "listen: [udp://127.0.0.1:5060]\n" + "".join(f"k{n}: 1\n" for n in range(keys))
        )
        began = time.process_time()
        with pytest.raises(ConfigError) as refused:
            load(file)
        assert len(refused.value.faults) == keys
        return time.process_time() - began

    few = min(seconds(5_000) for _ in range(3))
    assert seconds(100_000) < 20 * few * 5  # it was quadratic: 400 times
