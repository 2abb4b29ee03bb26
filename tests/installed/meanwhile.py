"""What happens between the commands of a page: on Windows, and while weeks go by.

A page's `console after=X` names one of these.
"""

import sys
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    load_pem_private_key,
    pkcs12,
)

from tests.installed.readme import ROOT
from tests.installed.site import Site

NAME = "chatredirect.contoso.com"
#: Opens by itself, as every time that was to come has by then.
_OPEN = (
    "sed -i -E 's/^active_from: .*/active_from: 2026-01-05T06:00:00+01:00/' "
    "/etc/chatredirect/endpoints.d/*.yaml"
)


def happens(site: Site, what: str) -> None:
    """Do it: `week-N` for weeks that go by, else one of `_MEANWHILE`."""
    if what.startswith("week-"):
        _weeks(site, int(what.removeprefix("week-")))
    else:
        _MEANWHILE[what](site)


def _done(site: Site, line: str) -> str:
    done = site.run(line)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}{site.logs()}"
    return done.stdout


def _bring(site: Site, name: str, octets: bytes) -> None:
    """Bring a file to the machine, as an administrator does from Windows."""
    there = site.folder / name
    there.write_bytes(octets)
    _done(site, f"cp '{there}' /root/{name}")


def _certreq(site: Site) -> None:
    """AD CS signs the request: a certificate in Base64, and the authority's own in DER."""
    request = _done(site, "cat /root/chatredirect.csr")
    _bring(site, "chatredirect.cer", site.authority.sign(request.encode()))
    _bring(site, "ca.cer", site.authority.certificate.public_bytes(Encoding.DER))


def _pfx(site: Site) -> None:
    """A certificate exported with its key, and the password that it was exported with."""
    leaf = site.authority.issue(NAME, file="exported")
    certificate = x509.load_pem_x509_certificate(leaf.certificate.read_bytes())
    key = load_pem_private_key(leaf.private_key.read_bytes(), None)
    octets = pkcs12.serialize_key_and_certificates(
        NAME.encode(),
        key,  # type: ignore[arg-type]  # one of those that it takes
        certificate,
        [site.authority.certificate],
        BestAvailableEncryption(b"of the export"),
    )
    _bring(site, "chatredirect.pfx", octets)
    _bring(site, "pfx.password", b"of the export\n")


def _stored(site: Site) -> None:
    """Until the service has begun its ledger, which takes ten seconds."""
    begun = "[ -s /var/lib/chatredirect/usage.db ]"
    _done(site, f"for _ in $(seq 300); do {begun} && exit; sleep 0.1; done; exit 1")


def _machine_lost(site: Site) -> None:
    """The machine dies, and a new one has its address: only the backup is left."""
    _done(site, "systemctl stop chatredirect")
    _done(site, "rm -rf /etc/chatredirect /var/lib/chatredirect")
    owned = "-o chatredirect -g chatredirect"
    _done(site, f"install -d -m 750 {owned} /etc/chatredirect /var/lib/chatredirect")


def _weeks(site: Site, weeks: int) -> None:
    """It is the day after so many weeks: the ledger has what users did until then."""
    _done(site, "systemctl stop chatredirect")
    _done(
        site, f"{_OPEN}; cd '{ROOT}' && '{sys.executable}' -m tests.installed.weeks_later {weeks}"
    )
    _done(site, "systemctl start chatredirect")


_MEANWHILE: dict[str, Callable[[Site], None]] = {
    "certreq": _certreq,
    "pfx": _pfx,
    "stored": _stored,
    "machine-lost": _machine_lost,
}
