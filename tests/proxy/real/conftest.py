from tests.service.fixtures import run_daemon, run_shared_daemon
from tests.tls.conftest import authority, context, front_end, server, stranger, tls

__all__ = [
    "authority", "context", "front_end", "run_daemon", "run_shared_daemon", "server", "stranger",
    "tls",
]  # fmt: skip
