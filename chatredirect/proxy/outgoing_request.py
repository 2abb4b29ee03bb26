"""A request that is ready to go but for what differs from target to target.

That is the topmost Via and the Record-Route: both name the side that it goes out on, and the token
names the target. The rest is written once, however many targets are tried.
"""

from dataclasses import dataclass

from chatredirect.net.target import Target
from chatredirect.proxy.local_addresses import LocalAddress, record_route
from chatredirect.proxy.record_route import RecordRouteCodec
from chatredirect.sip.forwarding import named

COOKIE = b"z9hG4bK"  # RFC 3261 §8.1.1.7


@dataclass(slots=True, eq=False)
class Record:
    """What our Record-Route is made of.

    Attributes:
        inside: the side that the request came in on.
        secure: whether its Request-URI is a SIPS URI.
        token: the dialog's token, where it has one already.
        flow: the name of the flow that the request came in on, where it is to get one.
        behind: the next hop on the way back, in canonical form; `b""` if there is none.
        made: when the request came, in seconds since the epoch.
        call_id: the request's.
        tag: its From tag.
    """

    inside: LocalAddress
    secure: bool
    token: bytes = b""
    flow: bytes = b""
    behind: bytes = b""
    made: int = 0
    call_id: bytes = b""
    tag: bytes = b""


@dataclass(slots=True, eq=False)
class OutgoingRequest:
    """A request to be forwarded.

    Attributes:
        method: its method.
        start_line: its Request-Line.
        rest: its header fields from where our Via and Record-Route end, and its body.
        loop: the part of our branch by which the request is known should it come again unchanged
            (RFC 3261 §16.6 step 8).
        record: what our Record-Route is made of; None for no Record-Route.
    """

    method: bytes
    start_line: bytes
    rest: bytes
    loop: bytes
    record: Record | None

    def write(
        self, tokens: RecordRouteCodec, side: LocalAddress, branch: bytes, target: Target | None
    ) -> bytes:
        """The message as it goes out.

        Args:
            tokens: makes the token of a dialog that has none yet.
            side: where it goes out.
            branch: our branch.
            target: where it goes; None for the caller of a dialog that has its token.
        """
        record, fields = self.record, b""
        if record is not None:
            token = record.token
            if not token and target is not None:
                token = tokens.write(
                    record.flow, target, record.behind, record.made, record.call_id, record.tag
                )
            fields = record_route(record.inside, side, token, record.secure)
        return b"%b\r\nVia: %b%b%b\r\n%b%b" % (
            self.start_line, side.via, branch, side.after, fields, self.rest,
        )  # fmt: skip


ASSERTIONS = named(
    b"P-Asserted-Identity", b"P-Preferred-Identity", b"Remote-Party-ID",
    b"P-Session-On-Behalf-Of", b"ms-edge-proxy-message-trust", b"ms-asserted-verification-level",
)  # fmt: skip
