"""`openssl s_client`: an independent TLS client, which speaks the old versions if told to."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.service.daemon import PATIENCE
from tests.tls.authority import Leaf

OLD = "ALL:@SECLEVEL=0"  # what a client from before 2012 offers


@dataclass(frozen=True)
class Shown:
    """What became of a handshake.

    Attributes:
        version: the protocol, `""` if there was no handshake.
        cipher: its cipher.
        text: all that openssl said.
    """

    version: str
    cipher: str
    text: str


def s_client(
    to: tuple[str, int], ca: Path, *arguments: str, leaf: Leaf | None = None, data: bytes = b""
) -> Shown:
    """Connect, send `data`, and say what was agreed on."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl isn't installed")
    own = [] if leaf is None else ["-cert", str(leaf.certificate), "-key", str(leaf.private_key)]
    done = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"{to[0]}:{to[1]}"),
            *("-servername", "sip.contoso.com", "-CAfile", str(ca), *own, *arguments),
        ],
        input=data,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
    )
    text = done.stdout.decode(errors="replace")
    found = re.search(r"^New, (?P<since>\S+), Cipher is (?P<cipher>\S+)$", text, re.MULTILINE)
    version = re.search(r"^\s+Protocol  : (\S+)$", text, re.MULTILINE)
    if found is None or found["cipher"] == "(NONE)":
        return Shown("", "", text)
    return Shown(version[1] if version else found["since"], found["cipher"], text)
