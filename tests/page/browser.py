"""Chromium as Debian has it, driven by Playwright: nothing else is installed or fetched."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from tests.service.daemon import PATIENCE
from tests.web.site import Site

CHROMIUM = shutil.which("chromium")


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # tests run as root in containers, where Chromium's own sandbox can't be had
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


class Visitor:
    """Somebody at a browser of their own.

    Attributes:
        faults: what the console had, errors of scripts, and requests to elsewhere.
    """

    def __init__(self, browser: Browser, site: Site, **context: Any) -> None:
        self.site = site
        self.origin = f"{site.scheme}://{site.host}:{site.port}"
        self.context = browser.new_context(base_url=self.origin, **context)
        self.context.set_default_timeout(PATIENCE * 1000)
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def _request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "blob" and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.faults.append(f"a request to {request.url}")

    def log_in(self) -> None:
        """As `chatredirect page` tells: by the address with the token."""
        self.page.goto(f"/login#{self.site.token}")
        self.page.wait_for_url("**/")

    def go(self, path: str) -> Page:
        # not until there are no requests: a stream of events never ends
        self.page.goto(path, wait_until="load")
        return self.page

    def forget(self, status: str) -> None:
        """Forget that the console told an answer's status, as it does with each error."""
        told = f"the server responded with a status of {status} "
        self.faults = [each for each in self.faults if told not in each]
