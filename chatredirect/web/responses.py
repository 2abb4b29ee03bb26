"""Answers that are written in slices, so that no SIP request waits for a long page."""

import json
from collections.abc import Iterator, Mapping

from aiohttp import web

from chatredirect.control.protocol import Json
from chatredirect.runtime.slicing import Slicer

_WORK = 0.001  # seconds before the event loop has its turn
_ENOUGH = 32 * 1024  # characters that are joined before they are encoded


async def html_response(pieces: Iterator[str], status: int = 200) -> web.Response:
    """A page of the pieces that a view yields."""
    body = await _joined(pieces)
    return web.Response(status=status, body=body, content_type="text/html", charset="utf-8")


async def json_response(answer: Mapping[str, Json]) -> web.Response:
    """An object, its lists written element by element."""
    return web.Response(body=await _joined(_json(answer)), content_type="application/json")


def json_error(status: int, what: str) -> web.Response:
    """Why there is no answer."""
    return web.json_response({"error": what}, status=status)


async def _joined(pieces: Iterator[str]) -> bytes:
    slicer, body = Slicer(work=_WORK, rest=0), bytearray()
    some, length = list[str](), 0
    for piece in pieces:
        some.append(piece)
        length += len(piece)
        if length >= _ENOUGH:
            body += "".join(some).encode("utf-8", "backslashreplace")
            some, length = [], 0
        await slicer.checkpoint()
    body += "".join(some).encode("utf-8", "backslashreplace")
    return bytes(body)


def _json(answer: Mapping[str, Json]) -> Iterator[str]:
    separator = "{"
    for name, value in answer.items():
        yield f"{separator}{json.dumps(name)}:"
        separator = ","
        if isinstance(value, list) and value:
            yield "["
            yield json.dumps(value[0])
            yield from ("," + json.dumps(each) for each in value[1:])
            yield "]"
        else:
            yield json.dumps(value)
    yield "}" if answer else "{}"
