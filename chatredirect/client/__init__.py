"""The client's side: requests that this program sends itself, and what comes of them.

The daemon pings targets and `chatredirect probe` plays the old client; both need a way to a target
and a client transaction, as far as one request and its answers go. Messages are written and matched
by `chatredirect.sip.client_request`; in here are the sockets and the clock.

    wire       a way to one target, one class per transport
    tls        who is at the other end, or why there is no connection
    tls_hints  what a person might do then
    timing     when a request is sent again
    identity   random tags, branches and Call-IDs
    exchange   requests on one wire and what comes back, step by step
    call       one request to one target, with all that politeness asks for after its answer
    next_hop   where a request goes: of a URI, or of what a person writes
    probe      a request, its redirection, and on to the Contacts
    ladder     an exchange as text
    report     a probe as text, while it goes on, and as JSON
"""
