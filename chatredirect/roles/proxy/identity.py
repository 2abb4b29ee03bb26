"""Header fields that say who somebody is, believed because of who passed them on.

Whoever is trusted may say so (RFC 3325 §5, MS-SIPRE §2.2); from anybody else they don't
reach the pool.
"""

ASSERTIONS = frozenset((
    b"p-asserted-identity", b"p-preferred-identity", b"remote-party-id",
    b"p-session-on-behalf-of", b"ms-edge-proxy-message-trust", b"ms-asserted-verification-level",
))  # fmt: skip
