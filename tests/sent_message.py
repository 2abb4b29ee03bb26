"""What went out, read back by a reader that shares no code with the package."""

import re
from dataclasses import dataclass


@dataclass
class SentMessage:
    """A message that went out."""

    start: str
    fields: list[tuple[str, str]]
    body: str
    raw: bytes

    def all(self, name: str) -> list[str]:
        """The values of a header field, each with its folds."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    @property
    def status(self) -> int:
        """Of a response."""
        assert self.start.startswith("SIP/2.0 "), self.raw
        return int(self.start.split()[1])

    @property
    def kind(self) -> str:
        """`INVITE` for a request, `200 INVITE` for a response."""
        if self.start.startswith("SIP/2.0 "):
            return f"{self.status} {self['CSeq'].split()[1]}"
        return self.start.split()[0]

    @property
    def uri(self) -> str:
        """The Request-URI."""
        return self.start.split()[1]

    @property
    def branch(self) -> str:
        """Of the topmost Via."""
        return self.all("Via")[0].partition("branch=")[2].partition(";")[0]

    @property
    def routes(self) -> list[str]:
        """The URIs of its Record-Route, from the top."""
        return re.findall("<([^>]*)>", ",".join(self.all("Record-Route")))


def read(raw: bytes, *, ours: bool = True) -> SentMessage:
    """Read a message.

    Args:
        raw: the whole of it.
        ours: whether we have written it, so that nothing is abbreviated or oddly spaced in it;
            else it has been passed on, with whatever its sender wrote.
    """
    head, end, body = raw.partition(b"\r\n\r\n")
    assert end, raw
    lines = re.split(r"\r\n(?![ \t])", head.decode("utf-8", "surrogateescape"))
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(": " if ours else ":")
        assert colon, raw
        assert "\n" not in re.sub(r"\r\n[ \t]", "", value), raw
        fields.append((name, value) if ours else (name.strip(), value.strip()))
    sent = SentMessage(lines[0], fields, body.decode("utf-8", "surrogateescape"), raw)
    (length,) = sent.all("Content-Length") if ours else sent.all("Content-Length") + sent.all("l")
    assert int(length) == len(body), raw
    if ours:
        assert bool(body) == bool(sent.all("Content-Type")), raw
    return sent
