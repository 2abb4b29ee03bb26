"""Header fields that say who somebody is, believed because of who passed them on.

Whoever is trusted may say so (RFC 3325 §5, MS-SIPRE §2.2); from anybody else they don't
reach the pool.
"""

from chatredirect.sip.forwarding import named

ASSERTIONS = named(
    b"P-Asserted-Identity", b"P-Preferred-Identity", b"Remote-Party-ID",
    b"P-Session-On-Behalf-Of", b"ms-edge-proxy-message-trust", b"ms-asserted-verification-level",
)  # fmt: skip
