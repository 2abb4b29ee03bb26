"""The compiled codec keeps no memory, and copes when there is none."""

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from chatredirect.codec import compiled
from chatredirect.sip.headers import MandatoryHeaders, Via
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Request, Response
from tests.codec.calls import Call, calls, refused

if compiled is None:
    pytest.skip("the compiled codec isn't in use", allow_module_level=True)

#: Calls of each; ATTACK=long for as many as the issue asks for.
CALLS = 1_000_000 if os.environ.get("ATTACK") == "long" else 30_000
#: Of what the interpreter itself needs meanwhile. A leak of one object a call is 30,000 blocks.
FEW_BLOCKS = 100
FEW_PAGES = 128  # half a megabyte; 30,000 calls that lose 32 octets each are more


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def names() -> list[str]:
    with calls() as made:
        return list(made)


def test_every_function_is_called() -> None:
    """Of what the module has, nothing is left out below."""
    functions = {each for each in dir(compiled) if not each.startswith("_")}
    assert functions == {
        part.split(",")[0] for name in names() for part in name.replace("send, r", "r").split("|")
    }


def keeps_nothing(call: Call) -> None:
    for _ in range(1000):
        call()
    blocks, pages = sys.getallocatedblocks(), resident()
    for _ in range(CALLS):
        call()
    assert sys.getallocatedblocks() - blocks < FEW_BLOCKS
    assert resident() - pages < FEW_PAGES


@pytest.mark.parametrize("name", names())
def test_nothing_is_kept(name: str) -> None:
    with calls() as made:
        keeps_nothing(made[name])


def quietly(call: Call) -> Call:
    def called() -> None:
        with suppress(TypeError, ValueError, OverflowError):
            call()

    return called


@pytest.mark.parametrize("name", refused())
def test_nothing_is_kept_of_what_is_refused(name: str) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        refused()[name]()
    keeps_nothing(quietly(refused()[name]))


def used(call: Call) -> list[object]:
    """What a call is given, what that consists of, and what any call may give or look at."""
    found: dict[int, object] = {}
    reached: list[object] = [
        each.cell_contents for each in getattr(call, "__closure__", None) or ()
    ]
    reached += [None, True, False, b"", ()]
    for each in (Request, Response, MandatoryHeaders, Via, Limits):
        reached += [each, each.__dict__["__slots__"], *vars(each).values()]
    for _ in range(3):
        found |= {id(each): each for each in reached}
        kinds = (Request, Response, MandatoryHeaders, Via, Limits, list, tuple)
        reached = gc.get_referents(*(each for each in reached if isinstance(each, kinds)))
    return list(found.values())


@pytest.mark.parametrize("name", names())
def test_references(name: str) -> None:
    """What a call is given, and None, True and False, get no reference too many or too few."""
    with calls() as made:
        objects = used(made[name])
        before = [sys.getrefcount(each) for each in objects]
        for _ in range(2000):
            made[name]()
        after = [sys.getrefcount(each) for each in objects]
    for each, one, other in zip(objects, before, after, strict=True):
        assert abs(one - other) < 200, each


@pytest.mark.parametrize("name", names())
def test_no_memory(name: str) -> None:
    """The first allocation fails, then the second alone, and so on: MemoryError, and no leak."""
    testcapi = pytest.importorskip("_testcapi")
    with calls() as made:
        call = made[name]
        whole = repr(call())
        for _ in range(1000):  # what the interpreter caches of a call
            call()
        blocks = sys.getallocatedblocks()
        failures = 0
        for number in range(200):
            try:
                testcapi.set_nomemory(number, number + 1)
                call()
            except MemoryError:
                failures += 1
            finally:
                testcapi.remove_mem_hooks()
        assert sys.getallocatedblocks() - blocks < FEW_BLOCKS
        drain(made)
        assert repr(call()) == whole
    if "nothing" not in name and "no socket" not in name and "half" not in name:
        assert failures or "not read" in name or "unusual" in name or name == "bind"


def drain(made: dict[str, Call]) -> None:
    """Take in what was sent and not received because there was no memory."""
    with suppress(AssertionError):
        made["send, receive"]()
    made["receive, nothing"]()
