"""`endpoint new --from-csv`: one endpoint a row, or none at all and every fault by its line."""

import io
from pathlib import Path

import pytest

from chatredirect.config import load
from tests.commands.endpoint.conftest import Command, files

HEADER = "SipAddress,PersistentChatPoolFqdn,DisplayName\r\n"
EXPORTED = (
    "#TYPE Microsoft.Rtc.Management.ADConnect.Schema.OCSPersistentChatContact\r\n"
    '"PersistentChatPoolFqdn","OwnerUrn","SipAddress","DisplayName","Identity"\r\n'
    '"pcpool.contoso.com","urn:pc","sip:a@contoso.com","Chat, the first","CN={1},CN=x"\r\n'
    '"pcpool.contoso.com",,"sip:b@contoso.com","Chat ""B""","CN={2},CN=x"\r\n'
)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return tmp_path / "list.csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "ascii"])
def test_what_export_csv_writes(
    endpoint: Command, config: Path, folder: Path, sheet: Path, encoding: str
) -> None:
    """Its #TYPE line, its byte order marks, its quotes; columns without a meaning are named."""
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    sheet.write_bytes((mark + EXPORTED).encode(encoding))
    done = endpoint("new", "--from-csv", sheet)
    assert done.status == 0
    assert "columns that mean nothing here: OwnerUrn, Identity" in done.err
    assert set(files(folder)) == {"a@contoso.com.yaml", "b@contoso.com.yaml"}
    assert [each.display_name for each in load(config).endpoints] == ["Chat, the first", 'Chat "B"']
    assert "endpoint new --from-csv list.csv" in files(folder)["a@contoso.com.yaml"].decode()


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nsip address;pool_fqdn;Port;Transport\r\na@contoso.com;p.contoso.com;5061;TLS\r\n",
        "SIPADDRESS;PERSISTENTCHATPOOLFQDN;PORT;TRANSPORT\na@contoso.com;p.contoso.com;5061;tls",
        "SipAddress\tPoolFqdn\tPort\tTransport\na@contoso.com\tp.contoso.com\t5061\ttls\n\n",
        "\n\nSip-Address,PoolFqdn,Port,Transport\n, , ,\n a@contoso.com ,p.contoso.com,5061, tls\n",
    ],
)
def test_what_spreadsheets_write(endpoint: Command, config: Path, sheet: Path, text: str) -> None:
    sheet.write_text(text)
    assert endpoint("new", "--from-csv", sheet).status == 0
    (made,) = load(config).endpoints
    assert (made.pool_fqdn, made.port, made.transport) == ("p.contoso.com", 5061, "tls")


def test_options_fill_what_rows_leave_empty(endpoint: Command, config: Path, sheet: Path) -> None:
    sheet.write_text("SipAddress,Port\na@contoso.com,\nb@contoso.com,5070\n")
    pool = ("-PoolFqdn", "pcpool.contoso.com", "-Port", "5061", "-Transport", "tls")
    assert endpoint("new", "--from-csv", sheet, *pool).status == 0
    assert [each.port for each in load(config).endpoints] == [5061, 5070]
    assert {each.pool_fqdn for each in load(config).endpoints} == {"pcpool.contoso.com"}


def test_one_bad_row_and_nothing_is_written(endpoint: Command, folder: Path, sheet: Path) -> None:
    """Every fault is told with the line in which its row begins."""
    sheet.write_text(
        HEADER
        + 'a@contoso.com,p.contoso.com,"two\nlines"\n'
        + "tel:+1425,p.contoso.com,\n"
        + "b@contoso.com,https://p.contoso.com,\n"
        + "c@contoso.com,,\n"
        + "d@contoso.com,p.contoso.com,x,y\n"
        + "A@CONTOSO.COM,p.contoso.com,\n"
        + "e@contoso.com,p.contoso.com,fine\n"
    )
    done = endpoint("new", "--from-csv", sheet)
    assert done.status == 65
    told = [line.removeprefix(f"{sheet}:") for line in done.err.splitlines()]
    assert [line.partition(": ")[0] for line in told] == [
        "2",
        "4",
        "5",
        "6",
        "7",
        "8",
        "chatredirect",
    ]
    assert "control characters" in told[0]
    assert "telephone number" in told[1]
    assert "write p.contoso.com" in told[2]
    assert "there is no PersistentChatPoolFqdn" in told[3]
    assert "4 cells, and the header 3" in told[4]
    assert told[-1].endswith("6 faults in 7 rows; nothing has been made")
    assert not folder.exists()


def test_duplicates_in_the_file(endpoint: Command, folder: Path, sheet: Path) -> None:
    sheet.write_text(
        HEADER + "a@contoso.com,p.contoso.com,\nsip:A@contoso.com:5060,p.contoso.com,\n"
    )
    done = endpoint("new", "--from-csv", sheet)
    assert done.status == 65
    assert (
        f'{sheet}:3: error: sip_address: "sip:A@contoso.com:5060" is the endpoint of line 2'
        in done.err
    )
    assert not folder.exists()


def test_duplicates_of_what_is_there(
    endpoint: Command, new: Command, folder: Path, sheet: Path
) -> None:
    new("sip:b@contoso.com")
    before = files(folder)
    sheet.write_text(HEADER + "a@contoso.com,p.contoso.com,\nB@contoso.com,p.contoso.com,\n")
    done = endpoint("new", "--from-csv", sheet)
    assert done.status == 1
    assert f"{sheet}:3: error: there is an endpoint for sip:B@contoso.com already" in done.err
    assert files(folder) == before


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", ":1: error: there are no rows"),
        (HEADER.encode(), ":1: error: there are no rows"),
        (b"DisplayName,PersistentChatPoolFqdn\nx,y\n", ":1: error: there is no column SipAddress"),
        (b"#TYPE x\nName;Pool\nx;y\n", ":2: error: there is no column SipAddress"),
        (b"SipAddress,SipAddress\na,b\n", ':1: error: the column "SipAddress" is there twice'),
        (HEADER.encode() + b'"a@contoso.com,p.contoso.com\n', ":2: error: no CSV"),
        (HEADER.encode() + b"a@contoso.com,p.contoso.com,\xfc\n", ":2: error: isn't UTF-8"),
        (EXPORTED.encode("utf-16-le"), ":1: error: isn't UTF-8 text (UTF-16 without its mark?)"),
        (bytes(range(256)), "isn't UTF-8"),
    ],
)
def test_no_such_file(endpoint: Command, folder: Path, sheet: Path, data: bytes, told: str) -> None:
    sheet.write_bytes(data)
    done = endpoint("new", "--from-csv", sheet)
    assert done.status == 65
    assert told in done.err
    assert not folder.exists()


def test_a_file_that_is_not_there(endpoint: Command, sheet: Path) -> None:
    done = endpoint("new", "--from-csv", sheet)
    assert done.status == 65
    assert "no such file" in done.err


@pytest.mark.parametrize("option", ["--sip-address", "--display-name"])
def test_what_is_the_rows(endpoint: Command, sheet: Path, option: str) -> None:
    sheet.write_text(HEADER)
    assert endpoint("new", "--from-csv", sheet, option, "x").status == 2


def test_standard_input(endpoint: Command, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(EXPORTED.encode())))
    assert endpoint("new", "--from-csv", "-").status == 0
    assert len(load(config).endpoints) == 2


def test_what_if(endpoint: Command, folder: Path, sheet: Path) -> None:
    sheet.write_text(EXPORTED)
    done = endpoint("new", "--from-csv", sheet, "-WhatIf")
    assert "would make 2 endpoints" in done.out
    assert not folder.exists()


def test_many_rows(endpoint: Command, config: Path, folder: Path, sheet: Path) -> None:
    """What is done for each row is the same for the first and for the last."""
    rows = [f"user{n}@contoso.com,pcpool{n % 50}.contoso.com,Chat {n}" for n in range(3000)]
    sheet.write_text(HEADER + "\n".join(rows))
    done = endpoint("new", "--from-csv", sheet)
    assert done.status == 0
    assert "and 2,980 more in" in done.out
    assert len(files(folder)) == 3000
    assert len(load(config).endpoints) == 3000
    sheet.write_text(HEADER + "\n".join([*rows, "tel:1,x,y"]))
    assert f"{sheet}:3002: " in endpoint("new", "--from-csv", sheet).err
