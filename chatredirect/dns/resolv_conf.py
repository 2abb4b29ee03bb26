"""The name servers of a resolv.conf(5), line by line: a bad line takes nothing but itself away."""

from ipaddress import ip_address

from chatredirect.config.addresses import DNS_PORT, HostPort

PATH = "/etc/resolv.conf"
MOST_OCTETS = 65_536
_MOST_SERVERS = 8
_LONGEST = 80  # characters of a line that people are shown


def read_resolv_conf(text: bytes) -> tuple[tuple[HostPort, ...], tuple[str, ...]]:
    """The name servers, and what is wrong with lines that should name one.

    Other keywords are other programs' affair: no `search` domain is ever added to a pool's name.

    Args:
        text: the file; a comment may be in any code.
    """
    servers: list[HostPort] = []
    faults: list[str] = []
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        words = line.split()
        if not words or words[0] != "nameserver":  # comments begin with # or ;
            continue
        if len(words) < 2:
            faults.append(f"line {number}: nameserver without an address")
            continue
        try:
            ip_address(words[1])
        except ValueError:
            shown = words[1][:_LONGEST]
            faults.append(f'line {number}: nameserver "{shown}" is no IP address')
            continue
        server = HostPort(words[1], DNS_PORT)
        if server not in servers and len(servers) < _MOST_SERVERS:
            servers.append(server)
    return tuple(servers), tuple(faults[:_MOST_SERVERS])
