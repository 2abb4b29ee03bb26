"""The client's side: requests that this program sends itself, and what comes of them.

The daemon pings targets and `chatredirect probe` plays the old client; both need a way to a target
and a client transaction, as far as one request and its answers go. Messages are written and matched
by `chatredirect.sip.request`; in here are the sockets and the clock.

    wire       a way to one target, one class per transport
"""
