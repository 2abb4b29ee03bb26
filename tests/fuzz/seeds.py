"""The kept corpus, and the words that messages are made of."""

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"

WORDS = (
    *(b"INVITE", b"ACK", b"BYE", b"CANCEL", b"OPTIONS", b"SUBSCRIBE", b"BENOTIFY", b"MESSAGE"),
    *(
        b"SIP/2.0",
        b"SIP/7.0",
        b"SIP/2.0/UDP ",
        b"SIP/2.0/TCP ",
        b" SIP/2.0\r\n",
        b"SIP/2.0 200 OK\r\n",
    ),
    *(b"sip:", b"sips:", b"tel:", b"sip:ocschat@contoso.com", b"sip:many@contoso.com"),
    *(b"sip:down@contoso.com", b"sip:picky@contoso.com", b"sips:udp@contoso.com"),
    *(b"sip:redirect.contoso.com", b"[2001:db8::10]", b"[::ffff:192.0.2.1]", b":5060", b":65536"),
    *(b"\r\nVia: ", b"\r\nv:", b"\r\nFrom: ", b"\r\nf:", b"\r\nTo: ", b"\r\nt:", b"\r\nCall-ID: "),
    *(b"\r\ni:", b"\r\nCSeq: ", b"\r\nContent-Length: ", b"\r\nl:", b"\r\nContact: ", b"\r\nX: "),
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"\r\n ",
        b"\r\n\t",
        b"\r",
        b"\n",
        b" ",
        b"\t",
        b"\x00",
        b"\xff",
        b"\xc3\xa9",
    ),
    *(
        b'"',
        b'\\"',
        b"\\",
        b"<",
        b">",
        b";",
        b",",
        b":",
        b"=",
        b"@",
        b"%",
        b"%00",
        b"%41",
        b"?",
        b"&",
    ),
    *(
        b";tag=",
        b";branch=z9hG4bK",
        b";rport",
        b";rport=",
        b";received=",
        b";maddr=",
        b";ttl=",
        b";lr",
    ),
    *(
        b"<xccos ",
        b'xmlns="urn:parlano:xml:ns:xccos"',
        b' xmlns:x="u"',
        b"<cmd ",
        b' id="cmd:requri"',
    ),
    *(
        b' envid="1"',
        b"<data/>",
        b"</cmd>",
        b"</xccos>",
        b"<!DOCTYPE a [",
        b"<!ENTITY a 'b'>",
        b"&#65;",
    ),
    *(b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?a?>", b"\xef\xbb\xbf", b"\xff\xfe", b"x:"),
    *(b"\r\n--a", b"--a--", b"Content-Type: application/sdp", b";boundary=a", b";charset=utf-16"),
    *(b"Content-Disposition: x;handling=optional", b"m=message 1 sip null\r\n", b"v=0\r\n"),
    *(b"\r\nAuthorization: Digest ", b'realm="a", response="b"', b"sip:a:b@c", b"<token>a", b"k=a"),
    *(b"-1", b"+1", b"0", b"00", b"2147483648", b"18446744073709551616", b"[", b"]", b"::", b":::"),
)


def corpus() -> list[bytes]:
    """The kept corpus, in a fixed order."""
    return [path.read_bytes() for path in sorted(CORPUS.iterdir())]
