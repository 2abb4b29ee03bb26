"""A SIP contact-object redirector: a well-known SIP URI, answered with its Persistent Chat pool."""

__version__ = "0.1.0"
