"""A pool's name to targets by RFC 3263, from DNS that may be slow, wrong or down."""
