"""Mutation in plain Python. What gives an outcome that was new is mutated further."""

import random
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from tests.fuzz.seeds import WORDS, corpus

_POOL = 4000
_BATCH = 256
_SLOW = 0.5  # seconds of CPU time for one input: linear code needs a thousandth of it
MAX_OCTETS = 6000


@dataclass(slots=True)
class Result:
    """What a run came to."""

    executions: int = 0
    outcomes: set[Hashable] = field(default_factory=set)
    broken: tuple[bytes, BaseException] | None = None


def run(
    target: Callable[[bytes], Hashable], seconds: float, seed: int, executions: int | None = None
) -> Result:
    """Feed a target until the time is over, a promise is broken, or so many inputs are done."""
    rng = random.Random(seed)
    pool = corpus()
    result = Result()
    end = time.monotonic() + seconds
    pending = list(pool)
    while time.monotonic() < end and (executions is None or result.executions < executions):
        for _ in range(_BATCH):
            data = pending.pop() if pending else _mutate(rng, pool)
            started = time.thread_time()
            try:
                outcome = target(data)
                if time.thread_time() - started > _SLOW:
                    raise TimeoutError(
                        f"{len(data)} octets took {time.thread_time() - started:.2f} s"
                    )
            except BaseException as error:  # whatever it is, it is what we look for
                result.broken = (data, error)
                return result
            result.executions += 1
            if outcome not in result.outcomes:
                result.outcomes.add(outcome)
                if len(pool) < _POOL:
                    pool.append(data)
    return result


def _mutate(rng: random.Random, pool: list[bytes]) -> bytes:
    data = bytearray(rng.choice(pool))
    for _ in range(1 << rng.randrange(4)):
        place = rng.randrange(len(data) + 1)
        length = min(len(data) - place, 1 << rng.randrange(8))
        kind = rng.randrange(8)
        if kind == 0:
            data[place:place] = rng.choice(WORDS)
        elif kind == 1:
            data[place : place + length] = rng.choice(WORDS)
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[place : place + length] * rng.choice((1, 1, 2, 60))
        elif kind == 4:
            other = rng.choice(pool)
            start = rng.randrange(len(other) + 1)
            data[place : place + length] = other[start : start + length]
        elif kind == 5 and data:
            data[place % len(data)] = rng.randrange(256)
        elif kind == 6 and data:
            data[place % len(data)] ^= 1 << rng.randrange(8)
        else:
            lines = bytes(data).split(b"\r\n")
            one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            data = bytearray(b"\r\n".join(lines))
    del data[MAX_OCTETS:]
    return bytes(data)
