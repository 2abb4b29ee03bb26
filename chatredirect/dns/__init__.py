"""A pool's name to targets, by RFC 3263, from DNS that may be slow, wrong or down.

Bottom up, each module knows only those above it in this list:

- `target`: what comes out; `counters` and `trace`: what was done on the way;
- `address`: IP addresses, and which of them are no good;
- `answer`: one DNS message to records or a clear no;
- `cache`: how long an answer is good, when it is asked for again, and what serves when that fails;
- `servers`: which name server is asked next;
- `exchange`: one question to one server, the only module with sockets;
- `lookup`: one name and type, asked once however many want it;
- `hosts`: names that are never asked;
- `located`: what is asked for a pool, and what comes of it;
- `rfc3263`: which names and types to ask for that, and what their answers mean;
- `order`: targets in RFC 2782's weighted order, the same for the same caller;
- `schedule`: what is due when.

`chatredirect.dns.resolver` puts them together; `chatredirect.pools.pool` holds what requests read.
"""
