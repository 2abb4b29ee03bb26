"""The part of a status about refusals: whom, why, how often, and the key to change."""

import resource
from collections.abc import Mapping
from dataclasses import dataclass

from chatredirect.config import Settings
from chatredirect.control.protocol import Json
from chatredirect.net.refusals import RefusalReason as Reason
from chatredirect.net.refusals import RefusedPeer
from chatredirect.service.read_model import ReadModel

_FILES = "LimitNOFILE"  # of the unit: no key of ours


@dataclass(frozen=True, slots=True)
class RefusalWording:
    """A reason for people.

    Attributes:
        key: the configuration key with which the peer would not be refused; empty if none helps.
        value: what to write there, or to add to its list; `NAME` and `HOST` are the peer's,
            `DETAIL` is the last refusal's.
    """

    why: str
    key: str = ""
    value: str = ""


_ALLOWED = "tls.allowed_peers"
_WORDING: Mapping[Reason, RefusalWording] = {
    Reason.NAME_NOT_ALLOWED: RefusalWording(
        "no name of its certificate is allowed", _ALLOWED, "NAME"
    ),
    Reason.NO_IDENTITY: RefusalWording(
        "its certificate has no name that counts", "tls.common_name", "true"
    ),
    Reason.NO_CERTIFICATE: RefusalWording(
        "it showed no certificate", "tls.verify_peer", "optional"
    ),
    Reason.UNKNOWN_AUTHORITY: RefusalWording("its certificate is of an unknown CA", "tls.ca"),
    Reason.CERTIFICATE_PURPOSE: RefusalWording(
        "its certificate is for another purpose", "tls.any_purpose", "true"
    ),
    Reason.CERTIFICATE_REFUSED: RefusalWording("its certificate isn't valid"),
    Reason.OUR_CERTIFICATE: RefusalWording("it refused our certificate", "tls.certificate"),
    Reason.NO_COMMON_CIPHER: RefusalWording("no TLS cipher in common", "tls.ciphers"),
    Reason.NO_COMMON_VERSION: RefusalWording("no TLS version in common", "tls.minimum_version"),
    Reason.NOT_TLS: RefusalWording("it doesn't speak TLS on a TLS listener", "listen"),
    Reason.TLS_HERE: RefusalWording("it speaks TLS on a listener without TLS", "listen"),
    Reason.HANDSHAKE_FAILED: RefusalWording("the TLS handshake failed"),
    Reason.SERVER_NAME: RefusalWording(
        "a pool's server has another name in its certificate", "pool_fqdn", "NAME"
    ),
    Reason.NOT_TRUSTED: RefusalWording("it isn't a trusted peer", "trusted_peers", "HOST"),
    Reason.ROUTE: RefusalWording("its Route leads past the endpoint's pool"),
    Reason.OTHER_PEER: RefusalWording("another peer has sent this request before"),
    Reason.FORGED_ROUTE: RefusalWording("its Route isn't signed with our secret", "secret"),
    Reason.PROXY_REQUIRE: RefusalWording(
        "it requires an extension of the proxy", "proxy.proxy_require", "DETAIL"
    ),
    Reason.RESPONSE_ELSEWHERE: RefusalWording("it answered a request that went elsewhere"),
}


def refused(model: ReadModel) -> Json:
    """Peers that were refused in the last day, and limits that were reached since the start."""
    refusals = model.counters.refusals
    return {
        "peers": [_row(each) for each in refusals.rows()],
        "others": refusals.others,
        "limits": _limits(model),
    }


def wording(reason: Reason, names: tuple[str, ...]) -> RefusalWording:
    """The wording of a reason; `names` are those that the peer has proved."""
    if reason.is_limit:
        return RefusalWording(f"{reason} is reached", reason)
    found = _WORDING[reason]
    if reason is Reason.NOT_TRUSTED and names:
        found = RefusalWording(found.why, _ALLOWED, "NAME")
    if found.key == _ALLOWED and all(name.startswith("*.") for name in names):
        return RefusalWording(found.why, "tls.wildcards", "true")
    return found


def _row(row: RefusedPeer) -> Json:
    words = wording(row.reason, row.names)
    exact = [name for name in row.names if not name.startswith("*.")]
    values = {"NAME": next(iter(exact), ""), "HOST": row.host, "DETAIL": row.detail}
    return {
        "peer": row.host,
        "transport": row.transport,
        "names": row.names,
        "standing": row.standing.value,
        "reason": row.reason.value,
        "why": words.why,
        "detail": row.detail,
        "count": row.count,
        "first": row.first,
        "last": row.last,
        "key": words.key,
        "value": values.get(words.value, words.value),
    }


def _limits(model: ReadModel) -> list[Json]:
    """Limits that were reached; those that are counted elsewhere have no times."""
    found: list[Json] = []
    for reason, total in model.counters.refusals.totals.items():
        if reason.is_limit and total.count:
            limit = None if model.settings is None else _value(model.settings, reason)
            found.append(
                {
                    "key": reason.value,
                    "limit": limit,
                    "count": total.count,
                    "first": total.first,
                    "last": total.last,
                    "peer": total.host,
                }
            )
    dropped = sum(each.overflows or 0 for each in model.datagrams)
    if dropped and model.settings is not None:
        found.append(
            _counted("limits.receive_buffer", model.settings.limits.receive_buffer, dropped)
        )
    exhausted = sum(each.exhausted for each in model.streams)
    if exhausted:
        found.append(_counted(_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0], exhausted))
    return found


def _counted(key: str, limit: int, count: int) -> Json:
    return {"key": key, "limit": limit, "count": count, "first": None, "last": None, "peer": ""}


def _value(settings: Settings, limit: Reason) -> float | None:
    section, _, name = limit.partition(".")
    value = getattr(getattr(settings, section), name)
    return value if isinstance(value, int | float) else None
