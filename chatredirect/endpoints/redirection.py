"""The mode `redirect`: an endpoint's 3xx, prepared in advance (RFC 3261 §8.3).

Everything but the user part is known when the configuration is read, so a request costs one
formatting of bytes. With `contact: targets` and `contact: addresses` the Contacts follow DNS and
health, and are written for each caller anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from chatredirect.config.endpoint import ContactForm, EndpointSettings
from chatredirect.net.target import Target
from chatredirect.pools.pool import Pool
from chatredirect.sip.client_request import hostport


@dataclass(frozen=True, slots=True)
class Redirection:
    """What the 3xx of one endpoint is made of.

    Attributes:
        status: 300, 301, 302 or 305.
        form: what the Contact names: the pool, its targets, or their addresses.
        sip_tail: what follows the user in the Contact for a `sip:` request, with its CRLF.
        sips_tail: the same for a `sips:` request; None if there is no secure Contact.
    """

    status: int
    form: ContactForm
    sip_tail: bytes
    sips_tail: bytes | None

    @classmethod
    def of(cls, settings: EndpointSettings) -> "Redirection":
        """Read an endpoint's settings."""
        host = hostport(settings.pool_fqdn, settings.port)
        transport = settings.transport
        # RFC 3261 §26.2.2: transport=tls is deprecated beside sips; RFC 5630 §3.1.1: no UDP
        secure = b"" if transport in (None, "tls") else _transport(transport)
        return cls(
            status=settings.redirect_status,
            form=settings.contact,
            sip_tail=b"@%b%b>\r\n" % (host, _transport(transport)),
            sips_tail=None if transport == "udp" else b"@%b%b>\r\n" % (host, secure),
        )


def contact_of_pool(redirection: Redirection, user: bytes, sips: bool) -> bytes | None:
    """The Contact header field that names the pool; None if a `sips:` request can't have one.

    `user` is the user part of the Request-URI as it was written.
    """
    if not sips:
        return b"Contact: <sip:%b%b" % (user, redirection.sip_tail)
    if redirection.sips_tail is None:
        return None
    return b"Contact: <sips:%b%b" % (user, redirection.sips_tail)


def contacts_of_targets(
    redirection: Redirection, pool: Pool, user: bytes, sips: bool, caller: bytes, room: int
) -> bytes | None:
    """One Contact header field per working target, the best first; None if there is none.

    Args:
        redirection: the endpoint's redirection.
        pool: the endpoint's pool.
        user: the user part of the Request-URI as it was written.
        sips: whether the Request-URI is a SIPS URI; then no UDP targets (RFC 5630 §3.1.1).
        caller: the From URI: each caller has its own order of targets, which stays the same.
        room: octets for all; the targets that don't fit are left out, except the first.
    """
    fields = b""
    targets = [each for each in pool.order(caller) if not sips or each.transport != "udp"]
    if redirection.form == "targets":  # a host with several addresses is one Contact
        hosts = {(each.host, each.port, each.transport): each for each in reversed(targets)}
        targets = list(reversed(hosts.values()))
    for target, quality in zip(targets, _qualities(targets), strict=True):
        host = target.host if redirection.form == "targets" else target.address
        field = b"Contact: <%b:%b@%b%b>;q=%b\r\n" % (
            b"sips" if sips else b"sip",
            user,
            hostport(host, target.port),
            b"" if sips and target.transport == "tls" else _transport(target.transport),
            quality,
        )
        if fields and len(fields) + len(field) > room:
            break
        fields += field
    return fields or None


def _qualities(targets: list[Target]) -> Iterator[bytes]:
    """q-values from 1.0 down, one for each priority (RFC 3261 §20.10)."""
    priorities = sorted({target.priority for target in targets})
    for target in targets:
        quality = 1 - priorities.index(target.priority) / max(len(priorities), 10)
        yield f"{max(quality, 0.001):.3f}".rstrip("0").rstrip(".").encode("ascii")


def _transport(transport: str | None) -> bytes:
    return b"" if transport is None else b";transport=%b" % transport.encode("ascii")
