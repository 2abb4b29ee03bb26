"""Clients whose certificates were issued for servers.

In SIP one certificate serves both directions, and what Lync Server's authorities issue says "server
authentication" alone; RFC 5924's own purpose for SIP domains says neither. OpenSSL takes a client
with such a certificate only if it is told that any purpose will do, for which the ssl module has no
name. So libssl is called directly, with the SSL_CTX that every SSLContext of CPython begins with.
"""

import ctypes
import ssl
import sys

_PURPOSE_ANY = 7  # X509_PURPOSE_ANY of openssl/x509v3.h


def allow_any_purpose(context: ssl.SSLContext) -> None:
    """Let peers' certificates be meant for anything. Nothing else of the verification changes.

    Raises:
        OSError: this interpreter isn't CPython, or its libssl can't be called.
    """
    import _ssl  # noqa: PLC0415 - private, and only who asks for this needs it

    library = getattr(_ssl, "__file__", None)
    if sys.implementation.name != "cpython" or library is None:
        raise OSError("this Python's libssl can't be called")
    set_purpose = getattr(ctypes.CDLL(library), "SSL_CTX_set_purpose", None)
    if set_purpose is None:
        raise OSError("this Python's libssl can't be called")
    set_purpose.argtypes = (ctypes.c_void_p, ctypes.c_int)
    set_purpose.restype = ctypes.c_int
    # PySSLContext in CPython's Modules/_ssl.c: the object's head, then SSL_CTX *ctx
    handle = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    if not handle or set_purpose(handle, _PURPOSE_ANY) != 1:
        raise OSError("libssl refused it")
