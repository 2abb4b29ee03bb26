"""Readings to text, as prometheus_client writes it, in slices that no request notices.

A scrape of thousands of series takes prometheus_client tens of milliseconds. So it is given a few
samples at a time, and the event loop has its turn in between. (A thread would be worse: it may hold
the interpreter for five milliseconds after every system call of the loop.)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import isinf

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from chatredirect.http.pages import Page
from chatredirect.metrics.catalogue import Family
from chatredirect.metrics.view import Reading, Samples
from chatredirect.runtime.histogram import Histogram
from chatredirect.runtime.slicing import Slicer

_WORK = 0.001  # seconds before the event loop has its turn
_SLICE = 100  # samples at a time, well under a millisecond
_process = ProcessCollector(registry=None)


async def metrics_page(readings: Iterable[Reading]) -> Page:
    """All readings, and what prometheus_client knows of this process: CPU, memory, descriptors."""
    body = await exposition(readings) + generate_latest(_process)
    return Page(200, body, CONTENT_TYPE_PLAIN_0_0_4)


async def exposition(readings: Iterable[Reading]) -> bytes:
    """All readings as text, in Prometheus's format 0.0.4."""
    written: list[bytes] = []
    slicer = Slicer(work=_WORK, rest=0)
    for reading in readings:
        if reading is not None:
            family, samples = reading
            for part in _parts(family, samples):
                written.append(part)
                await slicer.checkpoint()
        await slicer.checkpoint()
    return b"".join(written)


def _parts(family: Family, samples: Samples) -> Iterator[bytes]:
    """A family's text in parts: its head comes with the first, also if there are no samples."""
    lines = _lines(family, samples)
    some = list(islice(lines, _SLICE))
    yield _text(family, some)
    while some := list(islice(lines, _SLICE)):
        # only the first part has the two comment lines
        yield _text(family, some).split(b"\n", 2)[2]


_Line = tuple[str, dict[str, str], float]


def _lines(family: Family, samples: Samples) -> Iterator[_Line]:
    for values, value in samples:
        labels = dict(zip(family.labels, values, strict=True))
        if isinstance(value, Histogram):
            yield from _histogram(family.name, labels, value)
        else:
            yield family.name, labels, float(value)


def _histogram(name: str, labels: dict[str, str], histogram: Histogram) -> Iterator[_Line]:
    count = 0
    for bound, count in histogram.buckets:
        shown = "+Inf" if isinf(bound) else repr(bound)
        yield f"{name}_bucket", {**labels, "le": shown}, float(count)
    yield f"{name}_count", labels, float(count)
    yield f"{name}_sum", labels, histogram.seconds


def _text(family: Family, lines: Iterable[_Line]) -> bytes:
    metric = Metric(family.name.removesuffix("_total"), family.help, family.kind)
    for name, labels, value in lines:
        metric.add_sample(name, labels, value)
    return generate_latest(_One(metric))


@dataclass(slots=True)
class _One(Collector):  # prometheus_client takes any collector for a registry
    metric: Metric

    def collect(self) -> Iterable[Metric]:
        return (self.metric,)
