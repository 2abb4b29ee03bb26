"""SIP (RFC 3261) without I/O: octets become messages or named errors, messages become octets.

Nothing in here opens a socket, reads a clock, draws a random number, logs or reads configuration.
Times and random values are arguments, so that a test of an hour of timers takes a millisecond.

    errors             what can be wrong with a message, and the status code for it
    limits             upper bounds on one message
    abnf               the grammar of RFC 3261 §25, as regular expressions; no other module knows it
    uri                SIP and SIPS URIs: when two are the same, and where one leads
    headers            the structure of the header fields that are taken apart
    message            requests and responses, and the first fault in what every request must have
    parser             octets to messages
    framing            messages in datagrams, and on a stream, delimited by Content-Length
    body, sdp, xml_body  what a body is, and two kinds of it
    xccos              Group Chat's commands and replies
    response           a UAS's response to a request, and where it is sent
    caller             who sent a request, and with which client
    client_request     requests of our own, and which response answers one
    dialog             dialogs, of a UAS and of a UAC, and our requests within them
    forwarding         what a proxy changes in a message
    forwarded_head     a request's head on its way through a proxy, read and written once
    codec              the compiled functions, where there are any
    transaction        the transactions of RFC 3261 §17
    flow               the way back to a peer
    observer           who sees messages, for traces
"""
