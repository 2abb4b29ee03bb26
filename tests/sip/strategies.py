"""Hypothesis strategies: valid messages in every dress of the grammar, and mutated ones."""

from itertools import pairwise

from hypothesis import strategies as st

TOKEN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~"
_METHODS = (
    b"INVITE",
    b"ACK",
    b"BYE",
    b"CANCEL",
    b"OPTIONS",
    b"REGISTER",
    b"SUBSCRIBE",
    b"BENOTIFY",
)
# names of our own choice never begin with these words, so that they aren't one of the six by chance
_OTHERS = (b"X-", b"Subject-", b"Unknown.")


def octets(alphabet: bytes, min_size: int = 0, max_size: int = 12) -> st.SearchStrategy[bytes]:
    """Octets of an alphabet."""
    one = st.sampled_from([bytes([octet]) for octet in alphabet])
    return st.lists(one, min_size=min_size, max_size=max_size).map(b"".join)


tokens = octets(TOKEN, min_size=1)
#: LWS (§25.1): spaces, tabs and folds.
lws = st.sampled_from([b" ", b"\t", b"  ", b"\r\n ", b" \r\n\t", b"\t \r\n  "])
sws = st.sampled_from([b"", b"", b"", b" "]) | lws

_escapes = st.integers(0, 255).map(lambda octet: b"%%%02x" % octet)
_hosts = st.sampled_from(
    [
        b"contoso.com",
        b"PC33.Contoso.COM.",
        b"192.0.2.1",
        b"[2001:db8::1]",
        b"a",
        b"my_pc",
        b"[::ffff:192.0.2.7]",
    ]
)
_ports = st.none() | st.integers(0, 65535)
_quoted = octets(b"ab \t;,<>:@=%\x80\xff").map(lambda text: b'"%b"' % text) | st.sampled_from(
    [b'""', b'"\\""', b'"\\\\ \\\x00"', '"Алиса"'.encode()]
)
_values = tokens | _quoted | st.just(b"2001:db8::1")


@st.composite
def uris(draw: st.DrawFn) -> bytes:
    """A SIP or SIPS URI (§19.1.1)."""
    text = draw(st.sampled_from([b"sip:", b"sips:", b"SIP:"]))
    user = draw(
        st.lists(octets(b"aZ9-_.!~*'()&=+$,;?/\xc3", 1, 4) | _escapes, max_size=4).map(b"".join)
    )
    if user:
        text += user
        text += draw(st.sampled_from([b"@", b":pw@", b":@"]))
    text += draw(_hosts)
    port = draw(_ports)
    if port is not None:
        text += b":%d" % port
    for name in draw(st.lists(octets(b"transportlx-", 1, 6), max_size=2)):
        text += b";" + name + draw(st.sampled_from([b"", b"=tcp", b"=[::1]", b"=%41"]))
    if draw(st.booleans()):
        text += b"?Subject=a%20b&x="
    return text


@st.composite
def params(draw: st.DrawFn) -> bytes:
    """Some generic-params."""
    text = b""
    for name in draw(st.lists(tokens, max_size=3)):
        text += draw(sws) + b";" + draw(sws) + name
        if draw(st.booleans()):
            text += draw(sws) + b"=" + draw(sws) + draw(_values)
    return text


@st.composite
def via_parms(draw: st.DrawFn) -> bytes:
    """One via-parm (§20.42)."""
    slash = draw(sws) + b"/" + draw(sws)
    text = slash.join((draw(st.sampled_from([b"SIP", b"sip"])), b"2.0", draw(tokens)))
    text += draw(lws) + draw(_hosts)
    port = draw(_ports)
    if port is not None:
        text += draw(sws) + b":" + draw(sws) + b"%d" % port
    known = draw(
        st.sampled_from(
            [b"", b";rport", b";branch=z9hG4bK1", b";received=192.0.2.5", b";maddr=192.0.2.6"]
        )
    )
    return text + known + draw(params())


@st.composite
def addresses(draw: st.DrawFn) -> bytes:
    """The value of a From or To (§20.20)."""
    if draw(st.booleans()):
        text = b"sip:" + draw(octets(b"abc0-.!", 1)) + b"@contoso.com"
    else:
        name = draw(st.just(b"") | _quoted | st.lists(tokens, max_size=3).map(b" ".join))
        text = name + draw(sws) + b"<" + draw(uris()) + b">"
    return text + draw(st.sampled_from([b"", b";tag=a1", b";TAG = b2"])) + draw(params())


def _spelled(name: bytes, compact: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(
        [name, name.lower(), name.upper(), name.swapcase(), compact, compact.upper()]
    )


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A valid request, as a datagram or as part of a stream: its Content-Length is right."""
    method = draw(
        st.sampled_from(_METHODS) | tokens.filter(lambda text: text[:4].upper() != b"SIP/")
    )
    uri = draw(st.just(b"sip:ocschat@contoso.com") | uris())
    body = draw(st.binary(max_size=40))
    call_id = draw(octets(b"abc0-.!%*_+`'~()<>:\\\"/[]?{}@", 1))
    fields: list[tuple[bytes, bytes, bytes]] = [
        (b"From", b"f", draw(addresses())),
        (b"To", b"t", draw(addresses())),
        (b"Call-ID", b"i", call_id),
        (b"CSeq", b"CSEQ", b"%d%b%b" % (draw(st.integers(0, 2**31 - 1)), draw(lws), method)),
        (b"Content-Length", b"l", b"%d" % len(body)),
    ]
    for vias in draw(
        st.lists(st.lists(via_parms(), min_size=1, max_size=2), min_size=1, max_size=3)
    ):
        fields.append((b"Via", b"v", (draw(sws) + b"," + draw(sws)).join(vias)))
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(_OTHERS)) + draw(tokens)
        fields.append((name, name, draw(octets(b'aA0 \t;,<>":=\x00\xff'))))
    order = draw(st.permutations(fields))
    lines = [method + b" " + uri + b" " + draw(st.sampled_from([b"SIP/2.0", b"sip/2.0"]))]
    for name, compact, value in order:
        colon = draw(st.sampled_from([b": ", b":", b" : ", b"\t:", b":\r\n "]))
        lines.append(draw(_spelled(name, compact)) + colon + value)
    return b"\r\n".join((*lines, b"", body))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid request with some octets changed, put in, taken out, or doubled."""
    data = bytearray(draw(requests()))
    pieces = st.sampled_from(
        [
            *(
                b"\r",
                b"\n",
                b"\r\n",
                b"\r\n\r\n",
                b"\r\n ",
                b" ",
                b"\x00",
                b"\xff",
                b'"',
                b"\\",
                b"<",
                b">",
            ),
            *(b";", b",", b":", b"=", b"%", b"@", b"SIP/2.0", b"Via: ", b"Content-Length: 0\r\n"),
            *(b"l: -1\r\n", b"9" * 30),
        ]
    )
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 8))
        kind = draw(st.sampled_from(["insert", "delete", "replace", "double"]))
        if kind == "double":
            data[place:place] = data[place : place + 60]
        else:
            new = b"" if kind == "delete" else draw(pieces | st.binary(max_size=3))
            data[place : place if kind == "insert" else place + length] = new
    return bytes(data)


@st.composite
def splits(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same octets in pieces, empty ones among them."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    edges = [0, *cuts, len(data)]
    return [data[a:b] for a, b in pairwise(edges)]
