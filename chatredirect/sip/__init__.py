"""SIP (RFC 3261) without I/O: bytes become messages or named errors, messages become bytes.

Nothing in here opens a socket, reads a clock, draws a random number, logs or knows of a
configuration file. What a function needs of these it is given, which is why an hour of timers
can be tested in a millisecond and why a fuzzer can call the whole of it as one function.

    errors     what can be wrong with a message, and the status code that says so
    abnf       the grammar of RFC 3261 §25: the only place with regular expressions
    uri        SIP and SIPS URIs, and when two of them are the same contact object
    message    requests and responses: bytes to message, as lazily as can be
    plain      the same for the request that nearly every client sends, in one go
    headers    the structure of the header fields that somebody looks into
    envelope   the header fields that every request must have, and what is wrong with it first
    datagram   messages in datagrams
    framing    messages on a stream, cut by Content-Length
    response   a server's answer to a request, and where it goes
"""
