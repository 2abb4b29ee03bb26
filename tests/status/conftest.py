from tests.service.fixtures import run_daemon
from tests.tls.conftest import authority, context, front_end, server, stranger, tls
from tests.trace.conftest import control

__all__ = [
    "authority",
    "context",
    "control",
    "front_end",
    "run_daemon",
    "server",
    "stranger",
    "tls",
]
