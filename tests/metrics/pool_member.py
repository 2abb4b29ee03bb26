"""A pool's server of a few lines, over TCP: answers OPTIONS, and INVITE as it was told."""

import socket
import threading
from contextlib import suppress


class Member:
    """Listens on an address until it is closed; answers every request but ACK.

    Attributes:
        invite: the status line's end for an INVITE: `200 OK`, `503 Service Unavailable`; empty
            for no answer at all.
    """

    def __init__(self, host: str, port: int, invite: str) -> None:
        self.invite = invite
        self._listening = socket.create_server((host, port))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Listen no more."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            buffer = b""
            while more := sock.recv(65536):
                buffer += more
                while b"\r\n\r\n" in buffer:
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    answer = self._answer(head.decode())
                    sock.sendall(answer.encode())

    def _answer(self, head: str) -> str:
        lines = head.split("\r\n")
        method = lines[0].partition(" ")[0]
        result = self.invite if method == "INVITE" else "200 OK"
        if not method or method == "ACK" or not result:
            return ""
        kept = [
            line if not line.startswith("To: ") or ";tag=" in line else f"{line};tag=member"
            for line in lines[1:]
            if line.startswith(("Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: ", "Record-Route: "))
        ]
        return "\r\n".join([f"SIP/2.0 {result}", *kept, "Content-Length: 0", "", ""])
