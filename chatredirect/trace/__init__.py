"""Live messages, for finding faults: `chatredirect trace`.

TLS can't be sniffed, so the daemon itself shows the messages that it receives and sends, and why.
Without a trace nothing of this runs. During one, a message of no interest costs one comparison, and
everything else is bounded.

    filter         which messages are of interest
    trace_session  one trace: what it follows, what waits for its reader, and what was left out
    traces         all traces: the daemon's `Observer`
    masking        replaces secrets, octet for octet
    lines          the lines on the control socket
    trace_command  the control socket's command
    call_ladder    a ladder diagram for people
    pcap           a capture for Wireshark, tshark and sngrep
"""
