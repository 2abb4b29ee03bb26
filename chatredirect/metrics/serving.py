"""The daemon's HTTP listener. What it serves is imported when somebody has configured it."""

import asyncio
import time
from functools import partial

from chatredirect.http.listener import HttpListener
from chatredirect.http.pages import Pages
from chatredirect.metrics.view import View


def http_listener(view: View, loop: asyncio.AbstractEventLoop) -> HttpListener:
    """A listener for the metrics of a daemon."""
    return HttpListener(partial(_pages, view), view.http, loop)


def _pages(view: View) -> Pages:
    # prometheus_client, a tenth of a second
    from chatredirect.metrics.daemon_pages import DaemonPages  # noqa: PLC0415

    pages = DaemonPages(view, time.monotonic)
    return {"/metrics": pages.metrics, "/healthz": pages.healthz, "/readyz": pages.readyz}
