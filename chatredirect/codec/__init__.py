"""Reads, writes and moves octets: compiled, where a C compiler was when chatredirect was installed.

This is the only place that chooses. Each compiled function has a twin in Python, which is asked
where `compiled` is None, and for what the compiled function leaves to it:

    read_datagram    sip.framing.parse_datagram
    read_stream      sip.framing.StreamFramer
    answer           sip.response.write_answer
    index            sip.message.index_of
    stamped          sip.response.stamp, sip.response.reply_port
    loop_mark        proxy.record_route.LoopDetector
    transaction_key  sip.transaction.matching.server_key
    branch_key       sip.transaction.matching.branch_key
    tag_of           sip.transaction.matching.tag_of
    keyed_hash       hashlib.blake2b
    sign, unsign     proxy.record_route.RecordRouteCodec
    read_forwarded   sip.forwarding.HeaderEditor, by sip.forwarded_head
    write_forwarded  sip.forwarding.HeaderEditor, by sip.forwarded_head
    caller_and_client  sip.caller.caller_and_client
    returned         sip.forwarding.returned
    receive, send    transport.mmsg_ctypes

docs/decisions/codec.md has the reasons.
"""

import os

#: With the value `python` the compiled functions aren't used.
VARIABLE = "CHATREDIRECT_CODEC"

try:
    if os.environ.get(VARIABLE) == "python":
        raise ImportError
    from chatredirect.codec import _codec as compiled
except ImportError:  # nobody wants it, or it wasn't built
    compiled = None  # type: ignore[assignment]

#: Which is in use: `compiled` or `python`.
NAME = "python" if compiled is None else "compiled"
