"""Live messages for whoever is looking for a fault: `chatredirect trace`.

TLS can't be sniffed, so the daemon itself shows what comes and goes, and why. Nothing of this runs
while nobody looks on; while somebody does, a message that is none of his business costs one
comparison, and everything else is bounded.

    filter    which messages are of interest
    session   one trace: what it follows, what waits for its reader, and what was left out
    traces    all of them: the daemon's `Observer`
    masking   secrets made unreadable, octet for octet
    lines     what goes over the control socket
    command   the control socket's command
    ladder    for people: columns and arrows
    pcap      for Wireshark, tshark and sngrep
"""
