"""The page in Chromium, of a daemon with real traffic. `make browser` runs all of it."""

import re
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from chatredirect.page.chart import STRANGERS
from chatredirect.usage.tally import UsageKey
from tests.page.browser import CHROMIUM, Visitor, chromium
from tests.page.demonstration import CHAT, COMMUNICATOR, ENDPOINTS, OLD, SALES, write_ledger
from tests.page.screenshots import DOCS, MOST, take
from tests.service import client as sip
from tests.service.client import request, talk
from tests.service.daemon import LOOPBACK, PATIENCE, endpoint, eventually
from tests.service.fixtures import Run
from tests.tls.authority import Leaf
from tests.web.site import Site, serve

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium isn't installed")
whole = pytest.mark.whole_browser  # make browser runs these, see conftest

expect.set_options(timeout=PATIENCE * 1000)

SCRIPT = "sip:<script>alert(1)</script>@contoso.com"
CLOSED = "sip:closed@contoso.com"
BACKWARDS = "sip:\u202etxt.exe\u2066@contoso.com"
HEBREW = "sip:שלום@contoso.com"
VIEWS = (
    "/",
    f"/endpoint?sip_address={CHAT}",
    f"/endpoint?sip_address={OLD}",
    "/search?caller=user",
    "/search?caller=nobody",
    "/trace?from=bob",
    "/login",
    "/no-such-page",
    "/endpoint?sip_address=sip:nobody@contoso.com",
)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
DAY_BAR = re.compile(r"(\d{4}-\d\d-\d\d), (.*): ([\d,]+)")


@pytest.fixture(scope="module")
def site(run_shared_daemon: Run, tmp_path_factory: pytest.TempPathFactory, server: Leaf) -> Site:
    folder = tmp_path_factory.mktemp("site")
    today = int(datetime.now(UTC).timestamp() // 86_400)
    hostile = [
        UsageKey(today, CHAT, caller, COMMUNICATOR, True, "redirected")
        for caller in (SCRIPT, BACKWARDS, HEBREW)
    ]
    write_ledger(folder / "usage.db", *hostile)
    return serve(
        run_shared_daemon,
        folder,
        endpoints=[*ENDPOINTS, endpoint(CLOSED, peers="trusted")],
        trusted_peers=["192.0.2.77"],
        listen=[*LOOPBACK, "tls://127.0.0.1:0"],
        tls=server.files | {"verify_peer": "none"},
        usage={"store": f"sqlite://{folder}/usage.db"},
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def visitor(browser: Browser, site: Site) -> Iterator[Visitor]:
    """Somebody who has logged in; nothing goes wrong meanwhile."""
    visitor = Visitor(browser, site, locale="en-GB", timezone_id="Asia/Kolkata")
    visitor.log_in()
    yield visitor
    visitor.context.close()
    assert visitor.faults == []


def call(site: Site, uri: str = CHAT, from_: str = "<sip:bob@contoso.com>;tag=1") -> None:
    with talk("udp", site.daemon.address()) as client:
        answer = sip.ask(client, request(uri=uri, from_=from_))
    assert answer is not None
    assert answer.status == 302


def reloads(site: Site) -> Any:
    return site.ask("/api/v1/status").json["configuration"]["reloads"]


def row_of(visitor: Visitor, endpoint: str) -> Any:
    return visitor.page.get_by_role("row").filter(has_text=endpoint)


def test_somebody_logs_in_sees_the_daemon_and_a_call(visitor: Visitor, site: Site) -> None:
    """The short case: the overview, a caller, and the trace of a call that is made meanwhile."""
    page = visitor.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(row_of(visitor, CHAT)).to_contain_text("in use")
    page.get_by_role("searchbox").fill("user07")
    page.get_by_role("button", name="Search").click()
    expect(row_of(visitor, "user07").first).to_contain_text("Lync 2013 15.0.4420.1017")
    page.goto("/trace")
    page.get_by_label("Caller").last.fill("bob@contoso.com")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("log")).to_contain_text("chatredirect")
    call(site)
    expect(page.get_by_role("log")).to_contain_text("302")
    expect(page.get_by_role("log")).to_contain_text("INVITE")


@whole
@pytest.mark.parametrize("path", VIEWS)
def test_anybody_can_read_it(visitor: Visitor, path: str) -> None:
    """axe-core finds no violation in any view, in light and dark, with all that opens open."""
    page = visitor.go(path)
    for each in page.locator("summary").all():
        each.click()
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        violations = Axe().run(page)["violations"]
        told = [(each["id"], [node["html"] for node in each["nodes"]]) for each in violations]
        assert told == [], scheme
    visitor.forget("404")


@whole
@pytest.mark.parametrize("path", VIEWS)
def test_it_fits_the_screen(visitor: Visitor, path: str) -> None:
    """Nothing but the regions for it scrolls sideways, from 360 px to 4K."""
    page = visitor.go(path)
    for width in (360, 768, 1920, 3840):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    visitor.forget("404")


@whole
def test_what_is_wrong_is_in_view(visitor: Visitor) -> None:
    """The endpoints' last column says what is wrong: a usual screen shows it without scrolling."""
    page = visitor.go("/")
    page.set_viewport_size({"width": 1280, "height": 800})
    region = page.get_by_role("group", name="Endpoints")
    assert region.evaluate("each => each.scrollWidth <= each.clientWidth")
    visitor.forget("404")


@whole
def test_the_chart_has_the_bars_of_the_ledger(visitor: Visitor, site: Site) -> None:
    """A bar for each day and client, with its uses; as high as they are many."""
    page = visitor.page

    def together() -> Any:
        """What the ledger says and the bars: it may have been read anew in between."""
        before = site.ask("/api/v1/usage").json
        visitor.go("/")
        bars = page.locator(".plot rect").evaluate_all(
            "all => all.map(e => [e.textContent, e.getAttribute('height')])"
        )
        return (before["by_day"], bars) if site.ask("/api/v1/usage").json == before else None

    rows, bars = eventually(together, "a moment without a new reading of the ledger")
    ledger = Counter[tuple[str, str]]()
    for each in rows:
        ledger[each["day"], each["client"]] += each["uses"]
        ledger[each["day"], STRANGERS] += each["strangers"]
    ledger = +ledger  # those with uses
    drawn = Counter[tuple[str, str]]()
    heights: dict[str, float] = {}
    for text, height in bars:
        found = DAY_BAR.fullmatch(text)
        assert found is not None, text
        drawn[found[1], found[2]] = int(found[3].replace(",", ""))
        heights[found[1]] = heights.get(found[1], 0) + float(height)
    assert drawn == ledger
    by_day = Counter[str]()
    for (day, _), uses in ledger.items():
        by_day[day] += uses
    most = max(by_day.values())
    assert heights == pytest.approx({day: 100 * n / most for day, n in by_day.items()}, abs=0.1)


@whole
def test_what_status_knows_is_there(visitor: Visitor, site: Site) -> None:
    status = site.ask("/api/v1/status").json
    page = visitor.go("/")
    main = page.get_by_role("main")
    expect(main).to_contain_text(status["version"])
    expect(main).to_contain_text(status["configuration"]["file"])
    expect(main).to_contain_text("the files say the same")
    expect(row_of(visitor, "pcpool.contoso.com:5061 tls").first).to_contain_text("192.0.2.20")
    for each in (CHAT, SALES, OLD):
        expect(row_of(visitor, each)).to_have_count(1)
    expect(row_of(visitor, OLD)).not_to_contain_text("in use")


@whole
def test_refusals_certificates_and_reloads(visitor: Visitor, site: Site) -> None:
    """Who was refused and why, what was dropped, days that are left, and how reloads went."""
    with talk("udp", site.daemon.address()) as client:
        answer = sip.ask(client, request(uri=CLOSED))
        client.send(b"no SIP at all\r\n\r\n")
    assert answer is not None
    assert answer.status == 403
    config = site.daemon.config
    text = config.read_text()
    config.write_text(f"{text}\nno_such_key: 1\n")
    site.daemon.send_signal(signal.SIGHUP)
    eventually(lambda: reloads(site)["refused"], "the reload to be refused")
    config.write_text(text)
    page = visitor.go("/")
    row = row_of(visitor, "it isn't a trusted peer")
    expect(row).to_contain_text("udp 127.0.0.1")
    expect(row).to_contain_text("trusted_peers: 127.0.0.1")
    expect(page.locator("#malformed, #drops").filter(has_text="1")).not_to_have_count(0)
    [certificate] = site.ask("/api/v1/status").json["certificates"]
    row = row_of(visitor, certificate["file"])
    expect(row).to_contain_text(f"{certificate['days_left']} day")
    expect(page.locator(".history li").first).to_contain_text("refused")


@whole
def test_values_refresh_by_themselves(visitor: Visitor, site: Site) -> None:
    """Without loading the page again; what the files say, too."""
    page = visitor.go("/")
    page.evaluate("window.sameDocument = true")
    requests = row_of(visitor, SALES).locator("td[id$=-requests]")
    before = int(requests.inner_text())
    call(site, SALES)
    expect(requests).to_have_text(str(before + 1))
    assert page.evaluate("window.sameDocument")
    config = site.daemon.config
    text = config.read_text()
    config.write_text(f"{text}\n# another comment\n")
    expect(page.locator("#files")).to_contain_text("reload --what-if", timeout=60_000)
    config.write_text(text)


@whole
def test_a_page_in_the_background_takes_no_stream(visitor: Visitor, site: Site) -> None:
    """And refreshes again when it is seen again."""
    page = visitor.go("/")
    expect(page.locator("#live-state")).to_contain_text("refresh by themselves")
    hide = "Object.defineProperty(document, 'visibilityState', {value: '%s', configurable: true});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(hide % "hidden" + tell)
    assert page.evaluate("source === null")
    requests = row_of(visitor, SALES).locator("td[id$=-requests]")
    before = int(requests.inner_text())
    call(site, SALES)
    page.evaluate(hide % "visible" + tell)
    expect(requests).to_have_text(str(before + 1))


@whole
def test_an_endpoint_with_its_callers(visitor: Visitor) -> None:
    visitor.go("/")
    row_of(visitor, SALES).get_by_role("link").click()
    page = visitor.page
    expect(page.get_by_role("heading", level=1)).to_have_text(SALES)
    expect(row_of(visitor, "sip:user04@contoso.com").first).to_contain_text("trusted")
    expect(row_of(visitor, "sip:user01@contoso.com")).to_have_count(0)
    row_of(visitor, "sip:user04@contoso.com").first.get_by_role("link").click()
    expect(page.locator("#trace-from")).to_have_value("sip:user04@contoso.com")


@whole
@pytest.mark.parametrize(
    ("searched", "shown"),
    [
        ("script", SCRIPT),
        ("txt.exe", "sip:\\u202etxt.exe\\u2066@contoso.com"),
        ("שלום", HEBREW),
    ],
)
def test_a_caller_stays_text(visitor: Visitor, searched: str, shown: str) -> None:
    """Markup is text, marks that turn the writing are seen, a right-to-left name is isolated."""
    page = visitor.page
    for path in (f"/search?caller={searched}", f"/endpoint?sip_address={CHAT}"):
        visitor.go(path)
        cell = page.locator("th bdi").filter(has_text=shown)
        expect(cell).to_have_count(1)
        assert cell.inner_text() == shown
        assert page.locator("main script").count() == 0
    page.locator("tr").filter(has_text=shown).get_by_role("link", name="Trace").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Trace")


@whole
def test_what_is_asked_for_stays_text(visitor: Visitor) -> None:
    markup = '"><script>alert(1)</script>\u202e'
    page = visitor.page
    page.get_by_role("searchbox").fill(markup)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>alert(1)</script>\\u202e")
    assert page.locator("main script").count() == 0
    visitor.go("/trace?from=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    expect(page.locator("#trace-from")).to_have_value('"><script>alert(1)</script>')


@whole
def test_a_call_in_the_trace_stays_text_and_can_be_saved(
    visitor: Visitor, site: Site, tmp_path: Path
) -> None:
    """By its Call-ID's caller, with the reasons, the whole message, and as a capture file."""
    page = visitor.go(f"/trace?endpoint={SALES}")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("status")).to_contain_text("Following for 600 seconds")
    call(site, CHAT)
    name = '"<script>alert(1)</script>\u202eb" <sip:eve@contoso.com>;tag=2'
    call(site, SALES, name)
    log = page.get_by_role("log")
    expect(log).to_contain_text(f"endpoint {SALES}: 302")
    expect(log).to_contain_text("<script>alert(1)</script>\\u202e")
    expect(log).not_to_contain_text(CHAT)
    page.locator("summary").filter(has_text="INVITE").click()
    message = page.locator("pre").filter(has_text="INVITE sip:sales@contoso.com SIP/2.0")
    expect(message).to_be_visible()
    expect(message).to_contain_text("<script>alert(1)</script>\\u{202e}b")
    assert "\u202e" not in page.content()
    assert page.locator("main script").count() == 0
    with page.expect_download() as saving:
        page.get_by_role("button", name="Download pcap").click()
    saved = tmp_path / "calls.pcap"
    saving.value.save_as(saved)
    octets = saved.read_bytes()
    assert octets[:4] in (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x0a\x0d\x0d\x0a")
    assert b"INVITE sip:sales@contoso.com" in octets
    assert b"SIP/2.0 302" in octets
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_have_text("Stopped.")


@whole
def test_a_trace_that_is_over_or_refused_says_so(visitor: Visitor) -> None:
    page = visitor.go("/trace?from=nobody&seconds=1")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("status")).to_contain_text("The trace is over: 0 calls")
    visitor.go("/trace")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("status")).to_contain_text("whose messages?")
    visitor.forget("400")


@whole
def test_login_and_its_refusals(browser: Browser, site: Site) -> None:
    """No view without the token; a wrong one is refused in words; the right one leads on."""
    visitor = Visitor(browser, site)
    for path in VIEWS[:6]:
        page = visitor.go(path)
        expect(page).to_have_url(re.compile("/login"))
        expect(page.get_by_text("user07")).to_have_count(0)
    visitor.go("/trace?from=bob")
    page.get_by_label("Token").fill("not the token")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("this isn't the token")
    page.get_by_label("Token").fill(site.token)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/trace\?from=bob$"))
    expect(page.locator("#trace-from")).to_have_value("bob")
    [cookie] = visitor.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert site.token not in cookie["value"]
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile("/login$"))
    assert visitor.context.cookies() == []
    visitor.context.close()
    visitor.forget("403")
    assert visitor.faults == []


@whole
def test_the_printed_address_is_opened_where_the_form_is_already(
    browser: Browser, site: Site
) -> None:
    """Only what follows # changes then, and a text that is no token does no harm."""
    visitor = Visitor(browser, site)
    page = visitor.go("/login#100%")
    expect(page.get_by_role("alert")).to_have_text("this isn't the token")
    visitor.log_in()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    visitor.forget("403")
    visitor.context.close()
    assert visitor.faults == []


@whole
def test_the_token_leaves_the_address(visitor: Visitor) -> None:
    assert "#" not in visitor.page.url
    visitor.page.go_back()
    assert visitor.site.token not in visitor.page.url


@whole
def test_times_are_the_readers_with_utc_beside_them(visitor: Visitor, site: Site) -> None:
    page = visitor.go("/")
    started = page.locator("dt:has-text('Started') + dd time")
    at = datetime.fromtimestamp(int(site.ask("/api/v1/status").json["started"]), UTC)
    utc = at.strftime("%Y-%m-%d %H:%M:%S UTC")
    expect(started).to_contain_text(f"({utc})")
    local = datetime.fromtimestamp(at.timestamp() + 5.5 * 3600, UTC).strftime("%H:%M")
    expect(started).to_contain_text(local)


@whole
def test_without_javascript(browser: Browser, site: Site) -> None:
    """All but what is live: log in, read, search, go on."""
    visitor = Visitor(browser, site, java_script_enabled=False)
    page = visitor.go("/")
    page.get_by_label("Token").fill(site.token)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.locator("dt:has-text('Started') + dd time")).to_contain_text("UTC")
    assert page.locator(".plot rect").count() > 365
    page.get_by_role("searchbox").fill("user04")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=SALES).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(SALES)
    visitor.go("/trace")
    expect(page.get_by_text("chatredirect trace --from")).to_be_visible()
    visitor.context.close()
    assert visitor.faults == []


@whole
def test_by_keyboard(visitor: Visitor) -> None:
    """The first key leads past the header; each link and field is reached, and seen."""
    page = visitor.go("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim()"))
    assert {CHAT[:40], SALES, OLD} & {each[:40] for each in reached}


@whole
def test_the_pictures_of_the_pages_can_be_taken_anew(browser: Browser, site: Site) -> None:
    """`make screenshots`: as many as README.md and docs/page.md show, and no larger than may be."""
    taken = take(browser, site)
    assert sorted(taken) == sorted(each.name for each in DOCS.glob("page-*.png"))
    assert all(len(each) < MOST for each in taken.values())
