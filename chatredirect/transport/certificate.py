"""Whose certificate it is: the identities of RFC 5922, and whether one of them is meant.

A pure function of the certificate that the ssl module has verified already; both directions ask
it, so a front end that connects to us and a pool that we connect to are judged by one rule.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: What `ssl.SSLSocket.getpeercert()` gives; typeshed has it as a dictionary of nested tuples.
PeerCertificate = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class NameRules:
    """What counts as a name of a certificate.

    Attributes:
        common_name: whether the subject's CN counts where there is no subjectAltName at all.
        wildcards: whether a `*.` in a certificate matches one label (by RFC 5922 §7.2 it doesn't).
    """

    common_name: bool = False
    wildcards: bool = False


STRICT = NameRules()


def names_of(certificate: PeerCertificate, rules: NameRules = STRICT) -> tuple[str, ...]:
    """The SIP identities of a verified certificate, in lower case (RFC 5922 §7.1).

    The domains of `sip:` URIs among the subjectAltNames; if there are none, its DNS names; if
    there is no subjectAltName at all and the rules allow it, the subject's common names.
    """
    alternatives = _pairs(certificate.get("subjectAltName"))
    uris = [_sip_domain(value) for kind, value in alternatives if kind == "URI"]
    domains = [domain for domain in uris if domain]
    if not domains:
        domains = [value.lower().rstrip(".") for kind, value in alternatives if kind == "DNS"]
    if not alternatives and rules.common_name:
        domains = _common_names(certificate.get("subject"))
    return tuple(dict.fromkeys(domains))


def matches(names: Iterable[str], wanted: str, rules: NameRules = STRICT) -> bool:
    """Whether one of a certificate's names is the wanted one.

    Args:
        names: from `names_of`.
        wanted: a host or domain name; one that begins with `*.` matches any one label there, which
            is our extension, for lists of our own.
        rules: whether wildcards in the certificate count.
    """
    wanted = wanted.lower().rstrip(".")
    return any(_same(name, wanted, rules) for name in names)


def _same(name: str, wanted: str, rules: NameRules) -> bool:
    if name.startswith("*."):
        return rules.wildcards and _one_label_more(wanted, name[2:])
    if wanted.startswith("*."):
        return _one_label_more(name, wanted[2:])
    return name == wanted


def _one_label_more(name: str, parent: str) -> bool:
    label, _, rest = name.partition(".")
    return bool(label) and label != "*" and rest == parent


def _sip_domain(uri: str) -> str:
    """The domain of `sip:example.com`; `""` for another scheme or a URI with a user (§7.1)."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "sip" or "@" in rest:
        return ""
    hostport = rest.partition(";")[0].partition("?")[0]
    return hostport.partition(":")[0].lower().rstrip(".")


def _pairs(value: object) -> list[tuple[str, str]]:
    if not isinstance(value, tuple):
        return []
    return [(str(pair[0]), str(pair[1])) for pair in value if isinstance(pair, tuple)]


def _common_names(subject: object) -> list[str]:
    if not isinstance(subject, tuple):
        return []
    return [
        value.lower().rstrip(".")
        for names in subject
        for kind, value in _pairs(names)
        if kind == "commonName"
    ]
