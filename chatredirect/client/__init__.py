"""Requests that this program sends itself, and their responses: sockets and the clock.

The daemon pings targets, and `chatredirect probe` acts as an old client. `sip.client_request`
writes and matches the messages.

    wire           a connection to one target, one class per transport
    tls            the server's identity, or why there is no connection, and what may help
    next_hop       where a request goes: by its URI, or by what a person writes
    own_requests   random identifiers, and when a request is sent again
"""
