"""Whose certificate it is: RFC 5922 §7.1 and §7.2, on certificates that the ssl module has read."""

import ssl

import pytest

from chatredirect.transport.peer_identity import matches, names_of
from tests.tls.authority import Authority
from tests.tls.handshake import shown_certificate


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("names"))


def names(
    issuer: Authority,
    *dns: str,
    uris: tuple[str, ...] = (),
    common_name: str = "",
    with_cn: bool = False,
) -> tuple[str, ...]:
    """The names of a real certificate, as the other side of a handshake sees it."""
    leaf = issuer.issue(*dns, uris=uris, common_name=common_name, file="leaf")
    return names_of(shown_certificate(leaf, issuer.file), common_name=with_cn)


def test_uris_come_first(issuer: Authority) -> None:
    """§7.1: a sip URI's domain is the identity; DNS names count only where there is no such URI."""
    found = names(issuer, "fe01.contoso.com", uris=("sip:contoso.com", "sip:fabrikam.com"))
    assert found == ("contoso.com", "fabrikam.com")


def test_dns_names_without_a_sip_uri(issuer: Authority) -> None:
    for uris in ((), ("https://contoso.com",), ("sips:contoso.com",)):
        assert names(issuer, "fe01.contoso.com", uris=uris) == ("fe01.contoso.com",)


def test_a_uri_with_a_user_is_nobody(issuer: Authority) -> None:
    """§7.1 step 2: a URI with a userpart identifies a user, not a domain."""
    assert names(issuer, "fe01.contoso.com", uris=("sip:alice@contoso.com",)) == (
        "fe01.contoso.com",
    )
    found = names(issuer, uris=("sip:alice@contoso.com", "sip:fabrikam.com"))
    assert found == ("fabrikam.com",)


@pytest.mark.parametrize(
    ("uri", "domain"),
    [
        ("sip:contoso.com", "contoso.com"),
        ("SIP:Contoso.COM", "contoso.com"),
        ("sip:contoso.com:5061", "contoso.com"),
        ("sip:contoso.com;transport=tls", "contoso.com"),
        ("sip:contoso.com?a=b", "contoso.com"),
        ("sip:", None),
        ("contoso.com", None),
        ("sip:%40contoso.com@fabrikam.com", None),
        ("sip:a;b=contoso.com@fabrikam.com", None),
    ],
)
def test_the_domain_of_a_uri(uri: str, domain: str | None) -> None:
    found = names_of({"subjectAltName": (("URI", uri),)})
    assert found == (() if domain is None else (domain,))


def test_common_name_only_where_allowed(issuer: Authority) -> None:
    """§7.1: the CN is only for certificates without any subjectAltName, and here only if wanted."""
    assert names(issuer, common_name="fe01.contoso.com") == ()
    assert names(issuer, common_name="FE01.contoso.com", with_cn=True) == ("fe01.contoso.com",)
    found = names(issuer, "other.contoso.com", common_name="fe01.contoso.com", with_cn=True)
    assert found == ("other.contoso.com",)
    found = names(issuer, uris=("https://x",), common_name="fe01.contoso.com", with_cn=True)
    assert found == ()


def test_case_makes_no_difference(issuer: Authority) -> None:
    """§7.2: names are compared without regard to case (RFC 4343)."""
    found = names(issuer, "FE01.Contoso.com")
    assert matches(found, "fe01.CONTOSO.com")


def test_the_whole_name_counts() -> None:
    """§7.2: a domain isn't its parent, nor its child; there are no wildcards."""
    assert matches(("contoso.com",), "contoso.com.")
    for wanted in ("fe01.contoso.com", "com", "xcontoso.com", ""):
        assert not matches(("contoso.com",), wanted)


def test_wildcards_in_certificates_match_nothing(issuer: Authority) -> None:
    """§7.2: "MUST NOT" match; with the option a leading `*.` is one label."""
    found = names(issuer, "*.contoso.com")
    for wanted in ("fe01.contoso.com", "*.contoso.com", "contoso.com"):
        assert not matches(found, wanted)
    assert matches(found, "fe01.contoso.com", wildcards=True)
    for wanted in ("contoso.com", "a.fe01.contoso.com", ".contoso.com", "*.contoso.com"):
        assert not matches(found, wanted, wildcards=True)
    for odd in ("f*.contoso.com", "*", "fe01.*.com"):
        assert not matches((odd,), "fe01.contoso.com", wildcards=True)


def test_patterns_of_our_own_list() -> None:
    """`*.contoso.com` in `allowed_peers` is any name that is one label longer."""
    assert matches(("fe01.contoso.com",), "*.contoso.com")
    for name in ("contoso.com", "a.fe01.contoso.com", "fe01.xcontoso.com", ".contoso.com"):
        assert not matches((name,), "*.contoso.com")


def test_a_null_character_hides_nothing() -> None:
    """What a certificate carries behind a NUL doesn't turn its name into another one."""
    assert not matches(
        names_of({"subjectAltName": (("DNS", "fe.contoso.com\0.evil"),)}), "fe.contoso.com"
    )


def test_what_isnt_a_certificate_names_nobody() -> None:
    for odd in ({}, {"subjectAltName": ()}, {"subjectAltName": "x"}, {"subject": "x"}):
        assert names_of(odd, common_name=True) == ()


def test_handshake_shows_the_certificate(issuer: Authority) -> None:
    """That what these tests look at is what a listener looks at."""
    leaf = issuer.issue("fe01.contoso.com", uris=("sip:contoso.com",), file="leaf")
    shown = shown_certificate(leaf, issuer.file)
    assert shown["subjectAltName"] == (("URI", "sip:contoso.com"), ("DNS", "fe01.contoso.com"))
    assert ssl.cert_time_to_seconds(str(shown["notAfter"])) > 0
