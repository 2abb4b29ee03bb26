"""A TLS client that sends handshake messages without end, as no TLS library would.

It has the keys from the key log, and encrypts records itself: in TLS 1.2 a ClientHello, which asks
for a renegotiation, in TLS 1.3 a KeyUpdate that asks for one in return.
"""

import contextlib
import hashlib
import hmac
import select
import socket
import ssl
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.service.daemon import PATIENCE
from tests.tls.authority import Authority, Leaf
from tests.tls.client import SERVER, client_context

_HANDSHAKE, _APPLICATION = 22, 23
_CLIENT_HELLO = b"\x01\x00\x00\x00"
_KEY_UPDATE = b"\x18\x00\x00\x01\x01"  # RFC 8446 §4.6.3: update_requested


class Storm:
    """One connection of a peer that is let in."""

    def __init__(self, to: tuple[str, int], authority: Authority, leaf: Leaf, version: str) -> None:
        self._unsent = b""
        with TemporaryDirectory() as folder:
            log = Path(folder) / "keys"
            context = client_context(authority.file, leaf)
            context.keylog_filename = str(log)
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
            context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
            self.socket = socket.create_connection(to, PATIENCE)
            cipher, server_random = _shake_hands(self.socket, context)
            lines = (line.split() for line in log.read_text().splitlines() if line[0] != "#")
            keys = {label: (bytes.fromhex(a), bytes.fromhex(b)) for label, a, b in lines}
        self.socket.setblocking(False)
        self._records: _Records12 | _Records13
        if version == "TLSv1_2":
            client_random, master = keys["CLIENT_RANDOM"]
            self._records = _Records12(master, client_random, server_random)
        else:
            self._records = _Records13(keys["CLIENT_TRAFFIC_SECRET_0"][1], cipher)

    def __enter__(self) -> "Storm":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def blow(self, count: int, reads: bool) -> bool:
        """Send more messages, as far as they are taken; whether the connection still lives."""
        if not self._unsent:
            self._unsent = b"".join(self._records.next() for _ in range(count))
        try:
            for _ in range(100):
                receiving = [self.socket] if reads else []
                can_read, can_write, _ = select.select(receiving, [self.socket], [], 0.05)
                if can_read and not self.socket.recv(65536):
                    return False
                if can_write and self._unsent:
                    self._unsent = self._unsent[self.socket.send(self._unsent) :]
                if not self._unsent:
                    break
                if not can_write and not can_read:
                    break
        except ConnectionError:
            return False
        return True


class _Records12:
    """AES-128-GCM in TLS 1.2 (RFC 5246 §6.3, RFC 5288 §3)."""

    def __init__(self, master: bytes, client_random: bytes, server_random: bytes) -> None:
        seed = b"key expansion" + server_random + client_random
        block, a = b"", seed
        while len(block) < 40:
            a = hmac.digest(master, a, "sha256")
            block += hmac.digest(master, a + seed, "sha256")
        self._aead, self._salt = AESGCM(block[:16]), block[32:36]
        self._sequence = 1  # 0 was Finished

    def next(self) -> bytes:
        """A record with one ClientHello."""
        number = struct.pack("!Q", self._sequence)
        self._sequence += 1
        plain = _CLIENT_HELLO
        aad = number + struct.pack("!BHH", _HANDSHAKE, 0x0303, len(plain))
        sealed = number + self._aead.encrypt(self._salt + number, plain, aad)
        return struct.pack("!BHH", _HANDSHAKE, 0x0303, len(sealed)) + sealed


class _Records13:
    """AES-GCM in TLS 1.3 (RFC 8446 §5.2, §7.1 to §7.3)."""

    def __init__(self, secret: bytes, cipher: str) -> None:
        self._secret = secret
        self._hash = "sha384" if cipher.endswith("SHA384") else "sha256"
        self._key_size = 32 if "AES_256" in cipher else 16

    def next(self) -> bytes:
        """A record with one KeyUpdate; the next has other keys."""
        key, nonce = self._expand("key", self._key_size), self._expand("iv", 12)  # sequence 0
        plain = _KEY_UPDATE + bytes([_HANDSHAKE])
        head = struct.pack("!BHH", _APPLICATION, 0x0303, len(plain) + 16)
        self._secret = self._expand("traffic upd", len(self._secret))
        return head + AESGCM(key).encrypt(nonce, plain, head)

    def _expand(self, label: str, size: int) -> bytes:
        """HKDF-Expand-Label with an empty context, for sizes up to the hash's."""
        name = b"tls13 " + label.encode()
        info = struct.pack("!HB", size, len(name)) + name + b"\0"
        assert size <= hashlib.new(self._hash).digest_size
        return hmac.digest(self._secret, info + b"\x01", self._hash)[:size]


def _shake_hands(sock: socket.socket, context: ssl.SSLContext) -> tuple[str, bytes]:
    """The cipher and the server's random, which stands in its first record."""
    incoming, outgoing, first = ssl.MemoryBIO(), ssl.MemoryBIO(), b""
    tls = context.wrap_bio(incoming, outgoing, server_hostname=SERVER)
    while True:
        done = False
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
            done = True
        sock.sendall(outgoing.read())
        if done:
            cipher = tls.cipher()
            assert cipher is not None
            return cipher[0], first[11:43]
        data = sock.recv(65536)
        assert data
        first = first or data
        incoming.write(data)
