"""Kamailio as a process on loopback, with a configuration that a test fills in.

`relay.cfg` beside this file is one that many share: it puts itself on the way of everything that is
for the endpoint, as a front end does before the daemon and a pool's own server behind it.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tls.authority import Authority, Leaf
from tests.tls.processes import program, running

RELAY = Path(__file__).with_name("relay.cfg")


@contextmanager
def kamailio(
    folder: Path,
    port: int,
    config: Path = RELAY,
    *defines: str,
    tls: tuple[Authority, Leaf] | None = None,
    **values: object,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Kamailio, once its TCP port is open.

    Args:
        folder: for its files; of several in one folder each has its own below.
        port: what stands for @PORT@.
        config: its configuration, with @NAME@ for each of `values`.
        defines: what `#!ifdef` asks for.
        tls: which authority it believes and what it shows, written to the file @TLS_CONFIG@.
        values: by name.
    """
    folder = folder / f"kamailio{port}"
    folder.mkdir(exist_ok=True)
    profile = folder / "tls.cfg"
    if tls is not None:
        authority, leaf = tls
        files = f"private_key = {leaf.private_key}\ncertificate = {leaf.certificate}\n"
        verified = f"{files}ca_list = {authority.file}\nverify_certificate = yes\n"
        profile.write_text(
            f"[server:default]\nmethod = TLSv1.2+\n{verified}\n"
            f"[client:default]\nmethod = TLSv1.2+\n{verified}require_certificate = yes\n"
        )
    text = config.read_text()
    for name, value in {"PORT": port, "TLS_CONFIG": profile, **values}.items():
        text = text.replace(f"@{name}@", str(value))
    written = folder / "kamailio.cfg"
    written.write_text(text)
    # fewer and smaller pools than a server needs
    arguments = [program("kamailio"), "-f", written, "-DD", "-E", "-w", folder, "-Y", folder]
    asked = [each for name in defines for each in ("-A", name)]
    with running([*arguments, "-m", "64", "-M", "8", *asked], folder, port) as process:
        yield process
