"""Hostile input: what the worst that a peer can send costs, against a benign message of that size.

    python -m benchmarks.hostile [--octets 65536] [--max-ratio 5] [--max-message-ratio RATIO]

Whole messages of every kind, in every mode, go the whole way to what is sent for them; their
yardstick is an ordinary request that is redirected with the same codec (`hostile_messages`).

Two things are fed by themselves: every regular expression of `chatredirect.sip.abnf`, used in the
way that the package uses it (match, split, finditer …), and the whole parser. Nobody writes the
inputs by hand: each is the beginning of something valid, then one short piece repeated, then an end
that doesn't fit. All combinations are tried at a small size, and the slowest at full size. Their
yardstick is ordinary input of the same size: for an expression the text of ordinary words that it
reads through to the end, for the parser an INVITE. Readers of bodies are fed in the same way
(`hostile_bodies`).

Exit status 1: something costs more than `--max-ratio` times its yardstick, or grows faster than its
input, or a message costs more than `--max-message-ratio` ordinary requests.
"""

import argparse
import logging
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from types import ModuleType

import structlog

import chatredirect
from benchmarks import hostile_bodies as bodies
from benchmarks.hostile_messages import (
    print_messages,
    redirect_seconds,
    too_costly,
    worst_messages,
)
from benchmarks.report import print_table
from chatredirect import codec
from chatredirect.sip import abnf
from chatredirect.sip.errors import SipError
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import DEFAULT, Limits
from chatredirect.sip.parser import LINES_PER_HEADER

SCREEN_OCTETS = 512
SLOWEST = 12  # of the combinations, measured at full size
GROWTH_LIMIT = 8.0  # for four times the octets; linear is 4, quadratic 16
_UNMEASURABLE = 20e-6  # seconds; growth of less than this is noise
_SLOW = 0.1  # seconds
#: How many redirects a message may cost, by codec. Both are under a millisecond: the compiled codec
#: makes a redirect nearly three times as cheap, and leaves what is unusual to its twin in Python.
MAX_MESSAGE_RATIO = {"python": 100.0, "compiled": 250.0}

Reader = Callable[[bytes], object]

# Cut at every boundary between words and separators, these give the beginnings.
SAMPLES = (
    b"",
    b'SIP / 2.0 / UDP pc33.contoso.com:5060;branch=z9hG4bK776;received="a";x , SIP/2.0/TCP b',
    b'"Alice \\" L" <sip:alice:pw@contoso.com:5060;transport=tcp?a=b>;tag=1928;x="y"',
    b"Alice <sips:alice@[2001:db8::1]>;tag=1",
    b"sip:al%41ice;x=y:pw@contoso.com:5060;transport=tcp;lr?Subject=x&b=%41",
    b"tel:+1-201-555-0123;x",
    b"314159 INVITE",
    b"INVITE sip:alice@contoso.com SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n b\r\n",
    b"SIP/2.0 200 OK\r\n",
    b"Content-Length : 10\r\n",
)
PIECES = (
    *(bytes([octet]) for octet in b'a0-. \t\r\n"\\<>;:,=@%?&/[]+\x80\x00'),
    *(b"\r\n", b"\r\n ", b"a ", b"a.", b" ;", b";a", b"; a", b";a=", b";a=b", b"; a = b", b';a=""'),
    *(b'";', b'"a"', b'\\"', b'""', b"<>", b"<a>", b'<"', b"%4", b"%41", b"&a=b", b"?a=b", b"[]"),
    *(b"[:", b",a", b", ", b"/ ", b"a:", b"a@", b"SIP/2.0/UDP a,", b"1 ", b"a\r\n", b"a:b\r\n"),
)
ENDS = (b"", b"\x00", b'"', b">", b"\r\n")


# Pieces of the kind that people's software sends.
ORDINARY = (
    *(b";transport=tcp", b"; branch=z9hG4bK776", b";lr", b"alice", b"Alice Liddell ", b"192.0.2.1"),
    *(
        b', "Alice" <sip:alice@contoso.com>',
        b"alice%20liddell",
        b"%D0%90%D0%BB%D0%B8%D1%81%D0%B0",  # Alice in Cyrillic letters
        b"&subject=project",
        b"pc33.contoso",
    ),
    *(
        b"SIP/2.0/UDP pc33.contoso.com, ",
        b"User-Agent: softphone/1.0\r\n",
        b"a84b4c76e66710",
        b"5060",
    ),
    b"Subject: a long line\r\n  folded\r\n",
)


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that reads bytes, how it is called in the table, and where inputs begin."""

    name: str
    read: Reader
    beginnings: tuple[bytes, ...]
    yardstick: float
    """Seconds for ordinary input of full size."""
    octets: int
    """Full size."""
    pieces: tuple[bytes, ...] = PIECES
    ends: tuple[bytes, ...] = ENDS


@dataclass(frozen=True, slots=True)
class Finding:
    """The worst input found for a subject."""

    subject: Subject
    seconds: float
    growth: float
    """Time at full size over time at a quarter of it."""
    beginning: bytes
    piece: bytes
    end: bytes

    @property
    def ratio(self) -> float:
        """Of its time to that of ordinary input."""
        return self.seconds / self.subject.yardstick


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, print, judge; returns the exit status."""
    options = _parser().parse_args(arguments)
    faults = []
    if options.only != "messages":
        faults += _judge_expressions(options)
    if options.only != "expressions":
        faults += _judge_messages(options)
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _judge_messages(options: argparse.Namespace) -> list[str]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yardstick = redirect_seconds()
    found = worst_messages()
    print_messages(found, yardstick, options.markdown)
    return too_costly(found, yardstick, options.max_message_ratio)


def _judge_expressions(options: argparse.Namespace) -> list[str]:
    parse = _parser_of_messages(options.octets)
    whole = _best_of(parse, ordinary_message(options.octets), tries=20)
    subjects = [
        *patterns(abnf, options.octets, whole),
        Subject("parse_datagram", parse, MESSAGE_BEGINNINGS, whole, options.octets),
        *_readers_of_bodies(options.octets),
    ]
    findings = [worst_input(subject) for subject in subjects]
    _print(findings, options.markdown)
    return [
        f"{f.subject.name}: {f.ratio:.1f} times ordinary input, growth {f.growth:.1f}"
        for f in findings
        if f.ratio > options.max_ratio or (f.growth > GROWTH_LIMIT and f.seconds > _UNMEASURABLE)
    ]


def patterns(grammar: ModuleType, octets: int, whole: float) -> list[Subject]:
    """Every compiled pattern of `grammar` with each method that the package calls on it.

    A pattern that nobody seems to use is tried with `match`. `whole` is the yardstick for one that
    reads no ordinary text of `octets` to its end: the seconds for an ordinary message.
    """
    package = Path(chatredirect.__file__).parent
    source = "\n".join(path.read_text() for path in package.rglob("*.py"))
    module = grammar.__name__.rpartition(".")[2]
    beginnings = tuple(_cuts(SAMPLES))
    subjects = []
    for name, pattern in vars(grammar).items():
        if not isinstance(pattern, re.Pattern):
            continue
        used = re.findall(rf"\b{module}\.{name}\.(\w+)\(", source)
        for method in sorted(set(used)) or ["match"]:
            read = _reader(pattern, method)
            anchored = method in ("match", "fullmatch")
            ordinary = [
                text
                for text in (_fill(*parts, b"", octets) for parts in product(beginnings, ORDINARY))
                if not anchored or _reads_through(pattern, text)
            ]
            yardstick = max((_best_of(read, text, tries=3) for text in ordinary), default=whole)
            subjects.append(Subject(f"{name}.{method}", read, beginnings, yardstick, octets))
    return subjects


def _readers_of_bodies(octets: int) -> Iterator[Subject]:
    for each in bodies.READERS:
        most = min(each.most, octets)
        yardstick = _best_of(each.read, each.ordinary(most), tries=20)
        name = f"{each.read.__name__} ({most:,} octets)"
        yield Subject(name, each.read, each.beginnings, yardstick, most, each.pieces, each.ends)


def _reads_through(pattern: "re.Pattern[bytes]", text: bytes) -> bool:
    match = pattern.match(text)
    return match is not None and match.end() > 0.9 * len(text)


def _reader(pattern: "re.Pattern[bytes]", method: str) -> Reader:
    if method == "finditer":
        return lambda text: deque(pattern.finditer(text), maxlen=0)
    if method == "split":  # only a head within the limit of its lines is split
        return partial(pattern.split, maxsplit=DEFAULT.headers * LINES_PER_HEADER)
    if method in ("sub", "subn"):
        return partial(getattr(pattern, method), b"")
    read: Reader = getattr(pattern, method)
    return read


def worst_input(subject: Subject) -> Finding:
    """The slowest of all combinations for `subject`, at full size."""
    octets = subject.octets
    tried = sorted(
        (
            (_best_of(subject.read, _fill(*parts, SCREEN_OCTETS), tries=1), parts)
            for parts in product(subject.beginnings, subject.pieces, subject.ends)
        ),
        reverse=True,
    )
    # Whatever was disturbed in its only try is no reason to leave the others out.
    again = sorted(
        (
            (_best_of(subject.read, _fill(*parts, SCREEN_OCTETS), tries=3), parts)
            for _, parts in tried[: SLOWEST * 10]
        ),
        reverse=True,
    )
    findings = []
    for _, parts in again[:SLOWEST]:
        full = _best_of(subject.read, _fill(*parts, octets), tries=3)
        quarter = _best_of(subject.read, _fill(*parts, octets // 4), tries=3)
        findings.append(Finding(subject, full, full / quarter, *parts))
    worst = max(findings, key=lambda finding: finding.seconds)
    text = _fill(worst.beginning, worst.piece, worst.end, octets)
    return replace(worst, seconds=min(worst.seconds, _best_of(subject.read, text, tries=20)))


def _fill(beginning: bytes, piece: bytes, end: bytes, octets: int) -> bytes:
    room = max(octets - len(beginning) - len(end), 0)
    return beginning + piece * (room // len(piece)) + end


def _best_of(read: Reader, text: bytes, tries: int) -> float:
    """The shortest CPU time in seconds: what the code costs, without the machine's moods."""
    best = float("inf")
    for _ in range(tries):
        started = time.thread_time()
        read(text)
        best = min(best, time.thread_time() - started)
        if best > _SLOW:
            break  # no second look is needed
    return best


def _cuts(samples: Sequence[bytes]) -> Iterator[bytes]:
    """Every beginning of every sample that ends at a word's or a separator's end."""
    seen = set()
    for sample in samples:
        for cut in (0, *(match.end() for match in re.finditer(rb"\w+|\W", sample))):
            if sample[:cut] not in seen:
                seen.add(sample[:cut])
                yield sample[:cut]


_START = b"INVITE sip:a@contoso.com SIP/2.0\r\n"
_FIELDS = (
    *(b"", b"Via: ", b"v: SIP/2.0/UDP a;", b"From: ", b'From: "', b"To: <sip:", b"CSeq: 1 "),
    *(b"Call-ID: ", b"Content-Length: ", b"Contact: <", b"X: ", b"X"),
)
MESSAGE_BEGINNINGS = (
    *(b"", b"INVITE ", b"INVITE sip:", b"SIP/2.0 "),
    *(_START + field for field in _FIELDS),
)


def _parser_of_messages(octets: int) -> Reader:
    limits = Limits(message=octets * 2)

    def parse(text: bytes) -> None:
        # A malformed message costs what it costs; what is said of it doesn't matter here.
        try:
            parse_datagram(text + b"\r\n\r\n", limits)
        except SipError:
            return

    return parse


def ordinary_message(octets: int) -> bytes:
    """An INVITE of about `octets`, all of it header: a hundred long lines."""
    head = _START + (
        b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport\r\n"
        b"From: Alice <sip:alice@contoso.com>;tag=1928301774\r\n"
        b"To: <sip:a@contoso.com>\r\nCall-ID: a84b4c76e66710@192.0.2.1\r\nCSeq: 1 INVITE"
    )
    route = b"<sip:fe01.contoso.com;lr;x=y>"
    routes = b", ".join([route] * (octets // 100 // len(route)))
    return head + b"\r\nRecord-Route: %b" % routes * 100


def _print(findings: Sequence[Finding], markdown: bool) -> None:
    print_table(
        ("", "ordinary µs", "worst µs", "ratio", "growth", "worst input found"),
        [
            (
                f.subject.name,
                f"{f.subject.yardstick * 1e6:,.0f}",
                f"{f.seconds * 1e6:,.0f}",
                f"{f.ratio:.2f}",
                f"{f.growth:.1f}",
                f"{f.beginning[-20:]!r} + {f.piece!r} … + {f.end!r}",
            )
            for f in findings
        ],
        markdown,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile",
        description="The cost of hostile input against that of an ordinary message.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--octets", type=int, default=65536, help="size of every input")
    parser.add_argument("--max-ratio", type=float, default=5.0, help="fail over this")
    parser.add_argument(
        "--max-message-ratio",
        type=float,
        default=MAX_MESSAGE_RATIO[codec.NAME],
        help="the same, for whole messages",
    )
    parser.add_argument("--only", choices=("expressions", "messages"), help="leave the rest out")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())
