from tests.service.fixtures import run_daemon, run_shared_daemon
from tests.tls.conftest import authority, context, front_end, server, tls

__all__ = [
    "authority", "context", "front_end", "run_daemon", "run_shared_daemon", "server", "tls",
]  # fmt: skip
