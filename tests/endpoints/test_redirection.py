"""`contact: targets` and `contact: addresses`: what a pool's targets become in the answer."""

from chatredirect.config import EndpointSettings
from chatredirect.dns.resolution import Located, LocatedState
from chatredirect.endpoints.redirection import Redirection, contacts_of_targets
from chatredirect.net.target import Target
from chatredirect.pools.pool import Pool


def contacts(form: str) -> list[bytes]:
    """The Contact values for a pool with a host of both families and one of a lower priority."""
    endpoint = EndpointSettings(
        sip_address="sip:ocschat@contoso.com",  # type: ignore[arg-type]  # pydantic reads text
        pool_fqdn="pcpool.contoso.com",
        transport="tcp",
        contact=form,  # type: ignore[arg-type]
    )
    pool = Pool(("pcpool.contoso.com", None, "tcp"), "ipv4")
    targets = (
        Target("tcp", "192.0.2.1", 5062, "fe01.contoso.com", 1, 1),
        Target("tcp", "2001:db8::1", 5062, "fe01.contoso.com", 1, 1),
        Target("tcp", "192.0.2.2", 5060, "fe02.contoso.com", 2, 1),
    )
    pool.take(Located(LocatedState.FOUND, targets, "", 60.0, None, ()), 0.0, 60.0)
    fields = contacts_of_targets(
        Redirection.of(endpoint), pool, b"ocschat", False, b"sip:anna@contoso.com", 1000
    )
    assert fields is not None
    return [line.partition(b": ")[2] for line in fields.split(b"\r\n")[:-1]]


def test_one_contact_for_each_host() -> None:
    """A host with several addresses is one Contact: the client resolves it itself."""
    assert contacts("targets") == [
        b"<sip:ocschat@fe01.contoso.com:5062;transport=tcp>;q=1",
        b"<sip:ocschat@fe02.contoso.com:5060;transport=tcp>;q=0.9",
    ]


def test_one_contact_for_each_address() -> None:
    """For clients without DNS each address is a Contact, the preferred family first."""
    assert contacts("addresses") == [
        b"<sip:ocschat@192.0.2.1:5062;transport=tcp>;q=1",
        b"<sip:ocschat@[2001:db8::1]:5062;transport=tcp>;q=1",
        b"<sip:ocschat@192.0.2.2:5060;transport=tcp>;q=0.9",
    ]
