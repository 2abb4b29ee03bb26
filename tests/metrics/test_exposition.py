"""Text for Prometheus, made in slices."""

import asyncio
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from chatredirect.metrics.catalogue import CATALOGUE, Family
from chatredirect.metrics.exposition import exposition
from chatredirect.metrics.view import Reading
from chatredirect.runtime.histogram import Histogram

COUNTER = Family("chatredirect_test_total", "counter", "A test", ("name",))
GAUGE = Family("chatredirect_level", "gauge", "A level")
DURATION = Family("chatredirect_took_seconds", "histogram", "How long", ("name",))


async def text_of(*readings: Reading) -> str:
    return (await exposition(readings)).decode()


async def test_the_format() -> None:
    text = await text_of((COUNTER, [(("a",), 1), (("b",), 2)]), None, (GAUGE, [((), 1.5)]))
    assert text == (
        "# HELP chatredirect_test_total A test\n"
        "# TYPE chatredirect_test_total counter\n"
        'chatredirect_test_total{name="a"} 1.0\n'
        'chatredirect_test_total{name="b"} 2.0\n'
        "# HELP chatredirect_level A level\n"
        "# TYPE chatredirect_level gauge\n"
        "chatredirect_level 1.5\n"
    )


async def test_a_histogram() -> None:
    seen = Histogram()
    seen.observe(0.0002, times=3)
    seen.observe(99.0)
    (family,) = text_string_to_metric_families(await text_of((DURATION, [(("a",), seen)])))
    samples = {(each.name, each.labels.get("le")): each.value for each in family.samples}
    assert samples[("chatredirect_took_seconds_bucket", "0.0001")] == 0
    assert samples[("chatredirect_took_seconds_bucket", "0.00025")] == 3
    assert samples[("chatredirect_took_seconds_bucket", "+Inf")] == 4
    assert samples[("chatredirect_took_seconds_count", None)] == 4
    assert samples[("chatredirect_took_seconds_sum", None)] == 99.0006


async def test_labels_are_escaped() -> None:
    text = await text_of((COUNTER, [(('a"b\\c\nd',), 1)]))
    assert 'name="a\\"b\\\\c\\nd"' in text


async def test_many_samples_are_one_family_and_let_others_have_their_turn() -> None:
    """Slices neither repeat the head nor lose a sample; the event loop runs in between."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def samples() -> Iterator[tuple[tuple[str, ...], float]]:
        for number in range(10_000):
            yield (str(number),), number

    counting = asyncio.create_task(count())
    text = await text_of((COUNTER, samples()))
    counting.cancel()
    assert turns >= 20  # 10,000 samples are 50 ms of work, on any machine more than 20 turns
    assert text.count("# TYPE") == 1
    (family,) = text_string_to_metric_families(text)
    assert [each.value for each in family.samples] == list(range(10_000))


def test_names_are_as_prometheus_wants_them() -> None:
    """https://prometheus.io/docs/practices/naming/: base units, counters end in _total."""
    for name, family in CATALOGUE.items():
        assert name == family.name
        assert name.startswith("chatredirect_")
        assert name.endswith("_total") == (family.kind == "counter")
        assert not name.endswith(("_ms", "_milliseconds", "_kb"))
        assert not family.help.endswith(".")
