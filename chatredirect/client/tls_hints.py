"""What a person who calls `probe` might do when TLS fails, in the words of its options."""

from chatredirect.client.tls import NotSecureError, Remedy
from chatredirect.dns.target import Target

_HINTS = {
    Remedy.CA: "If its authority is to be trusted: --ca FILE.",
    Remedy.CERTIFICATE: "Ours is given with --certificate FILE and --private-key FILE.",
    Remedy.OURS: "It may have refused our certificate: see --certificate.",
    Remedy.MINIMUM_VERSION: "Does it speak TLS there? An old peer needs --minimum-version TLSv1.",
    Remedy.CIPHERS: "An old peer needs --ciphers DEFAULT:@SECLEVEL=0.",
    Remedy.COMMON_NAME: "--common-name would let its common name count.",
    Remedy.WILDCARDS: "--wildcards would let its wildcard count.",
    Remedy.SRV_NAMES: "--srv-names would let the name from DNS count.",
    Remedy.FILES: "Give files that can be read (--certificate, --private-key, --ca), or "
    "--no-certificate to show none.",
}


def hint(failure: NotSecureError, target: Target) -> str:
    """What to do; empty if there is nothing to say."""
    if failure.remedy not in (Remedy.NAME, Remedy.ADDRESS):
        return _HINTS.get(failure.remedy, "")
    why = ""
    if failure.remedy is Remedy.ADDRESS:
        why = "An IP address is no name that a certificate is verified for. "
    name = next((each for each in failure.names if not each.startswith("*.")), "NAME")
    return f"{why}If that is the server that is meant: --via {target} --tls-name {name}."
