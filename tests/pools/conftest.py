from tests.dns.conftest import servers

__all__ = ["servers"]
