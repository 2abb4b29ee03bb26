from tests.service.fixtures import run_daemon, run_shared_daemon

__all__ = ["run_daemon", "run_shared_daemon"]
