"""Uses by day and client as the geometry of a stacked bar chart, which a template draws as SVG."""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from chatredirect.control.protocol import Json, number_in
from chatredirect.status.status_text import objects_in

HEIGHT = 100
"""Of the drawing, in its own units; it is stretched to the place that it gets."""
WIDTH = 10
"""Of one day."""
BAR = 8
"""Of a bar; the rest is the gap to the next one."""
_LEAST_DAYS = 30
_ROWS = 128  # between two pauses
_CLIENTS = 6  # that have a colour of their own, the most used ones
OTHERS = "other clients"
STRANGERS = "peers that aren't trusted"
_STRANGERS_CLASS, _OTHERS_CLASS = "c8", "c7"


@dataclass(frozen=True, slots=True)
class Bar:
    """A day's uses by one client: where it is drawn, and what it says."""

    style: str
    x: int
    y: float
    height: float
    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """A colour of the chart: its CSS class, whom it stands for, and the uses of each month."""

    style: str
    name: str
    total: int
    by_month: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Chart:
    """What the template draws.

    Attributes:
        bars: of each day the lowest first; they can be read once.
        series: whose bars these are, the most used first.
        width: of the drawing; its height is `HEIGHT`.
        most: uses of the day with the most.
        days: the first one, the one in the middle, the last one.
        months: those in between.
    """

    bars: Iterator[Bar]
    series: Sequence[Series]
    width: int
    most: int
    days: tuple[str, str, str]
    months: Sequence[str]


def charting(usage: Mapping[str, Json]) -> Generator[str, None, Chart | None]:
    """Make the chart of a usage's `by_day`; None if there were no uses.

    Yields nothing but pauses, as pieces of HTML that are empty: a year has thousands of rows.
    """
    rows = [each for each in objects_in(usage, "by_day") if each["uses"] or each["strangers"]]
    if not rows:
        return None
    yield ""
    styles = _styles(rows)
    yield ""
    by_day: dict[str, Counter[str]] = {}
    by_month: dict[str, Counter[str]] = {}
    for position, each in enumerate(rows):
        day, style = str(each["day"]), styles.get(str(each["client"]), _OTHERS_CLASS)
        for key, uses in ((style, "uses"), (_STRANGERS_CLASS, "strangers")):
            if number := number_in(each, uses):
                by_day.setdefault(day, Counter())[key] += number
                by_month.setdefault(key, Counter())[day[:7]] += number
        if position % _ROWS == 0:
            yield ""
    titles = {style: name for name, style in styles.items()}
    titles |= {_OTHERS_CLASS: OTHERS, _STRANGERS_CLASS: STRANGERS}
    series = [
        Series(style, title, sum(by_month[style].values()), by_month[style])
        for style, title in titles.items()
        if style in by_month
    ]
    last = date.fromisoformat(str(usage["today"]))
    first = min(date.fromisoformat(str(rows[0]["day"])), last - timedelta(days=_LEAST_DAYS - 1))
    days = (last - first).days + 1
    most = max(sum(counts.values()) for counts in by_day.values())
    return Chart(
        _bars(by_day, series, first, most),
        series,
        days * WIDTH,
        most,
        (first.isoformat(), (first + timedelta(days=days // 2)).isoformat(), last.isoformat()),
        sorted({month for each in series for month in each.by_month}),
    )


def _bars(
    by_day: Mapping[str, Counter[str]], series: Sequence[Series], first: date, most: int
) -> Iterator[Bar]:
    scale, begin = HEIGHT / most, first.toordinal()
    for day, counts in by_day.items():
        x, top = (date.fromisoformat(day).toordinal() - begin) * WIDTH, float(HEIGHT)
        for each in series:
            if number := counts[each.style]:
                height = round(number * scale, 2)
                top = round(top - height, 2)
                yield Bar(each.style, x, top, height, f"{day}, {each.name}: {number:,}")


def _styles(rows: Sequence[Mapping[str, Json]]) -> dict[str, str]:
    """The class of each client that has one of its own, the most used first."""
    total: Counter[str] = Counter()
    for each in rows:
        total[str(each["client"])] += number_in(each, "uses")
    most = [name for name, uses in total.most_common(_CLIENTS) if uses]
    return {name: f"c{number}" for number, name in enumerate(most, 1)}
