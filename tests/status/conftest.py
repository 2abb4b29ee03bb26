from tests.service.fixtures import run_daemon, run_shared_daemon
from tests.tls.conftest import authority, context, front_end, server, stranger, tls
from tests.trace.conftest import control, shared_control

__all__ = [
    "authority",
    "context",
    "control",
    "front_end",
    "run_daemon",
    "run_shared_daemon",
    "server",
    "shared_control",
    "stranger",
    "tls",
]
