"""A flow without a socket: it keeps what is sent over it."""

from dataclasses import dataclass, field

from chatredirect.sip.framing import StreamFramer
from chatredirect.sip.limits import DEFAULT
from tests.sent_message import SentMessage, read


@dataclass(eq=False)
class RecordingFlow:
    """A flow that writes down what is sent."""

    transport: str = "udp"
    host: str = "127.0.0.1"
    port: int = 5060
    peer_host: str = "127.0.0.1"
    peer_port: int = 45154
    gone: bool = False
    raw: list[bytes] = field(default_factory=list)
    peer_names: tuple[str, ...] = ()
    held: int = 0
    vain: int = 0
    framer: StreamFramer = field(default_factory=lambda: StreamFramer(DEFAULT))

    @property
    def open(self) -> bool:
        """Whether it is there."""
        return not self.gone

    def hold(self) -> None:
        """Something is asked."""
        self.held += 1

    def release(self) -> None:
        """It is answered."""
        self.held -= 1

    def send(self, data: bytes) -> bool:
        """Keep it."""
        if not self.gone:
            self.raw.append(data)
        return not self.gone

    def useless(self) -> None:
        """Count it."""
        self.vain += 1

    def flow(self, port: int) -> "RecordingFlow":
        """It is a way to itself."""
        return self

    def take(self) -> list[SentMessage]:
        """What was sent since the last time."""
        sent = [read(raw, ours=False) for raw in self.raw]
        self.raw.clear()
        return sent

    def one(self) -> SentMessage:
        """The only message that was sent since the last time."""
        (sent,) = self.take()
        return sent
