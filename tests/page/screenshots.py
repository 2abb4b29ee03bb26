"""Takes the pictures of the page in README.md and docs/page.md: `make screenshots`.

A daemon runs with the demonstration's endpoints and ledger, and a call is made; Chromium takes the
pictures of what it serves.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.page.browser import CHROMIUM, Visitor, chromium
from tests.page.demonstration import CHAT, ENDPOINTS, SALES, write_ledger
from tests.service import client as sip
from tests.service.client import request, talk
from tests.service.daemon import ROOT, configuration, start
from tests.web.site import Site

DOCS = ROOT / "docs"
MOST = 150_000
"""Octets of a picture."""
SIZE = {"width": 1280, "height": 1150}
_TOKEN = "a-token-of-many-characters"


def take(browser: Browser, site: Site) -> Mapping[str, bytes]:
    """The pictures by the names of their files, as PNG."""
    taken = {}
    visitor = Visitor(browser, site, viewport=SIZE, locale="en-GB", timezone_id="Europe/Berlin")
    visitor.log_in()
    expect(visitor.page.locator("#live-state")).to_contain_text("refresh by themselves")
    taken["page-overview.png"] = visitor.page.screenshot()
    visitor.page.emulate_media(color_scheme="dark")
    visitor.go(f"/endpoint?sip_address={CHAT}")
    taken["page-endpoint.png"] = visitor.page.screenshot()
    visitor.page.emulate_media(color_scheme="light")
    page = visitor.go("/trace?from=user04@contoso.com")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("status")).to_contain_text("Following")
    call(site)
    expect(page.get_by_role("log")).to_contain_text("302")
    taken["page-trace.png"] = page.screenshot()
    assert visitor.faults == [], visitor.faults
    visitor.context.close()
    return taken


def call(site: Site) -> None:
    with talk("udp", site.daemon.address()) as client:
        sip.ask(client, request(uri=SALES, from_="<sip:user04@contoso.com>;tag=1"))


def main() -> None:
    if CHROMIUM is None:
        raise SystemExit("screenshots: chromium isn't installed: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="chatredirect-") as name:
        folder = Path(name)
        write_ledger(folder / "usage.db")
        token = folder / "page.token"
        token.write_text(f"{_TOKEN}\n")
        token.chmod(0o640)
        settings = configuration(
            endpoints=ENDPOINTS,
            usage={"store": f"sqlite://{folder}/usage.db"},
            http={"page_listen": "127.0.0.1:0", "token_file": str(token)},
        )
        daemon = start(folder, settings)
        try:
            with chromium() as browser:
                taken = take(browser, Site(daemon, folder))
        finally:
            daemon.process.terminate()
            daemon.process.wait()
    for each, picture in taken.items():
        if len(picture) > MOST:
            raise SystemExit(f"screenshots: {each} has {len(picture):,} octets, over {MOST:,}")
        (DOCS / each).write_bytes(picture)
        print(f"docs/{each}: {len(picture):,} octets")


if __name__ == "__main__":
    main()
