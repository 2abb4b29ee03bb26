"""Live messages, for finding faults: `chatredirect trace`.

TLS can't be sniffed, so the daemon itself shows the messages that it receives and sends, and why.
Without a trace no code of this room runs. During one, a message of no interest costs one comparison
for each trace, and everything else is bounded.
"""
