"""Branches, tags and Call-IDs of our requests: random, so that nobody can guess or repeat them."""

import secrets


def new_branch() -> bytes:
    """A branch that no other transaction has, with RFC 3261's cookie (§8.1.1.7)."""
    return b"z9hG4bK" + secrets.token_hex(8).encode("ascii")


def new_tag() -> bytes:
    """A From tag (§19.3)."""
    return secrets.token_hex(6).encode("ascii")


def new_call_id() -> bytes:
    """A Call-ID (§8.1.1.4)."""
    return secrets.token_hex(12).encode("ascii")
