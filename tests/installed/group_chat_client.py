"""A Group Chat client whose front end is killed and started again in the middle of its lookup.

Run within a site, by test_pages.py, with the mode of the contact object's endpoint. Its Contact is
a captured client's: the port is that of its own connection, and the address stands in `maddr`.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

#: Whom the client talks to, by its Contact: us, or the pool behind us.
SERVERS = {"lookup": "chatredirect.contoso.com", "proxy": "pcpool.contoso.com"}
FRONT_END = ("192.0.2.10", 5060)
PORT = 48172
BODY = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=message 5080 sip null\r\n"
)
REQURI = (
    '<xccos ver="1" envid="7" xmlns="urn:parlano:xml:ns:xccos">'
    '<cmd id="cmd:requri" seqid="1"><data/></cmd></xccos>'
)


def connect() -> socket.socket:
    """From the port that the Contact names, each time."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.settimeout(10)
    client.bind(("192.0.2.10", PORT))
    client.connect(FRONT_END)
    return client


def message(client: socket.socket) -> str:
    """The next one that isn't provisional."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(1)
    head = data.decode()
    length = re.search(r"(?im)^(?:Content-Length|l): *(\d+)", head)
    assert length is not None
    for _ in range(int(length[1])):
        head += client.recv(1).decode()
    return message(client) if head.startswith("SIP/2.0 1") else head


def values(text: str, name: str) -> list[str]:
    """A header field's values."""
    return re.findall(rf"(?im)^{name}: *(.*?)\r$", text)


def request(method: str, uri: str, number: int, to: str, routes: list[str], body: str) -> bytes:
    """As the captured client writes one."""
    kind = "application/sdp" if method == "INVITE" else "text/plain"
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/TCP 192.0.2.10:{PORT};branch=z9hG4bK{method}{number}",
        "From: <sip:user1@contoso.com>;tag=3255258176;epid=e6019fcb7892",
        f"To: {to}",
        "Max-Forwards: 70",
        f"CSeq: {number} {method}",
        "Call-ID: group-chat",
        *(f"Route: {route}" for route in routes),
        f"Contact: <sip:user1@contoso.com:{PORT};maddr=127.0.0.1;transport=tcp>;proxy=replace",
        *([f"Content-Type: {kind}"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


def main(mode: str) -> None:
    """Look up a channel service, and lose the front end on the way."""
    client = connect()
    uri, to = "sip:ocschat@contoso.com", "<sip:ocschat@contoso.com>"
    client.sendall(request("INVITE", uri, 1, to, [], BODY))
    accepted = message(client)
    assert accepted.startswith("SIP/2.0 200"), accepted
    recorded = ", ".join(values(accepted, "Record-Route"))
    assert "fe01.contoso.com" in recorded, recorded
    assert ("cr-flow=" in recorded) == (mode == "proxy"), recorded
    routes = [each.strip() for each in recorded.split(",")][::-1]
    (to,) = values(accepted, "To")
    contact = re.search(r"<(.*?)>", values(accepted, "Contact")[0])
    assert contact is not None
    uri = contact[1]
    assert f"@{SERVERS[mode]};" in uri, uri
    client.sendall(request("ACK", uri, 1, to, routes, ""))
    # the front end passes requests on in order: when this is answered, the ACK has arrived
    client.sendall(request("INFO", uri, 2, to, routes, ""))
    arrived = message(client)
    assert arrived.startswith("SIP/2.0 200"), arrived
    client.close()
    pid = Path("/run/kamailio/kamailio.pid")
    os.killpg(os.getpgid(int(pid.read_text())), signal.SIGKILL)  # all of its processes
    pid.unlink()
    for _ in range(50):  # until the old one has let go of its ports
        if subprocess.run(["systemctl", "start", "kamailio"], check=False).returncode == 0:
            break
        time.sleep(0.2)
    client = connect()
    client.sendall(request("INFO", uri, 3, to, routes, REQURI))
    seen = [message(client), message(client)]
    assert any(each.startswith("SIP/2.0 200") for each in seen), seen
    (reply,) = [each for each in seen if each.startswith("INFO ")]
    channel = re.search(r'uri="(.*?)"', reply)
    assert channel is not None, reply
    vias = "".join(f"Via: {each}\r\n" for each in values(reply, "Via"))
    same = "".join(f"{n}: {values(reply, n)[0]}\r\n" for n in ("From", "To", "Call-ID", "CSeq"))
    client.sendall(f"SIP/2.0 200 OK\r\n{vias}{same}Content-Length: 0\r\n\r\n".encode())
    client.sendall(request("BYE", uri, 4, to, routes, ""))
    ended = message(client)
    assert ended.startswith("SIP/2.0 200"), ended
    print("found", channel[1])


if __name__ == "__main__":
    main(sys.argv[1])
