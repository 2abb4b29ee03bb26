"""DNS and targets fail under the running daemon, and every request of a steady load is answered."""

from tests.dns.conftest import Servers
from tests.pools.faults import NO_NAME, TARGET_STOPS, run_faults
from tests.pools.real_targets import Kamailio
from tests.service.fixtures import Run, run_daemon

__all__ = ["run_daemon"]


async def test_no_request_is_lost(run_daemon: Run, servers: Servers, kamailio: Kamailio) -> None:
    """Whatever fails, each request is answered: a redirect, or 480 where there is no target."""
    daemon, phases = await run_faults(run_daemon, servers, kamailio)
    assert sum(phase.sent for phase in phases) > 3000
    assert [phase.name for phase in phases if phase.missing] == []
    for phase in phases:
        unavailable = phase.name in (TARGET_STOPS, NO_NAME)
        assert set(phase.statuses) == ({302, 480} if unavailable else {302}), phase.name
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log_text
