"""The daemon's side of the control socket.

The socket's permissions decide who may connect. The number of clients, their time and their octets
are limited. A client over a limit gets an answer if possible, and is counted.
"""

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from chatredirect.control.conversation import Bounds, Handler, SocketConversation
from chatredirect.control.protocol import (
    BadLine,
    ControlRefusal,
    ConversationGone,
    Json,
    decode,
    encode,
)
from chatredirect.control.said import SaidUser
from chatredirect.control.socket_file import ControlSocketFile, peer_of, take_socket
from chatredirect.log.audit import Origin
from chatredirect.transport.acceptor import Acceptor

log = structlog.get_logger()

_BOUNDS = Bounds()
_CHUNK = 4096
_BACKLOG = 100  # clients that may wait to be accepted
_GOODBYE = 1.0  # seconds for the answers that say that the daemon stops
_BUSY_SECONDS = 0.5  # for the request of a client over the limit


def _refusal(error: str, status: int, faults: Sequence[Json] = ()) -> dict[str, Json]:
    return {"ok": False, "error": error, "status": status, "faults": faults}


#: For a client for whom there is no file descriptor. Made in advance: without descriptors it may
#: be too late.
_NO_DESCRIPTOR = encode(
    _refusal(
        "the daemon has no file descriptor left: raise LimitNOFILE, or lower limits.connections",
        os.EX_TEMPFAIL,
    )
)


@dataclass(slots=True)
class ControlCounters:
    """What clients did since the start.

    Attributes:
        requests: commands by name, known ones only.
        failed: commands that raised an unexpected exception.
        unknown: requests for commands that don't exist.
        garbage: requests that are no JSON object, or too long.
        slow: clients whose request didn't arrive in time.
        busy: clients over the limit.
        unread: clients that were dropped because they didn't read.
    """

    requests: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    failed: int = 0
    unknown: int = 0
    garbage: int = 0
    slow: int = 0
    busy: int = 0
    unread: int = 0


class ControlServer:
    """Answers commands."""

    def __init__(self, commands: Mapping[str, Handler], *, bounds: Bounds = _BOUNDS) -> None:
        """Register handlers by the names of their commands; `open` listens."""
        self.counters = ControlCounters()
        self._commands = dict(commands)
        self._bounds = bounds
        self._file: ControlSocketFile | None = None
        self._acceptor: Acceptor | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(self, commands: Mapping[str, Handler]) -> None:
        """Register more handlers: those that show this server's counters."""
        self._commands |= commands

    @property
    def path(self) -> str | None:
        """The socket's file while it is open."""
        return None if self._file is None else self._file.path

    async def open(self, path: str) -> None:
        """Listen on a path; raises `ControlSocketError` if that can't be."""
        file = take_socket(path)
        self._acceptor = Acceptor(
            file.sock, self._begin, asyncio.get_running_loop(), _BACKLOG, _NO_DESCRIPTOR
        )
        self._file = file

    async def close(self) -> None:
        """Remove the socket, and answer clients that still wait that the daemon stops."""
        if self._file is not None and self._acceptor is not None:
            self._file.leave()
            self._acceptor.close()
        self._file = self._acceptor = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:  # a client that doesn't read is not waited for
            await asyncio.wait(tasks, timeout=_GOODBYE)

    def _begin(self, sock: socket.socket, _address: object) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(sock))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, sock))

    def _ended(self, sock: socket.socket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():  # before it began: else the connection owns the socket
            sock.close()

    async def _serve(self, sock: socket.socket) -> None:
        try:
            limit = self._bounds.request
            reader, writer = await asyncio.open_unix_connection(sock=sock, limit=limit)
        except OSError:
            sock.close()  # the client was gone before the conversation began
            return
        try:
            await self._talk(reader, writer, busy=len(self._tasks) > self._bounds.connections)
        except asyncio.CancelledError:
            pass  # answered already; asyncio would log a cancelled handler as a fault
        except Exception:  # a fault of ours must not reach the event loop's handler
            log.exception("control_failed")
        finally:
            writer.close()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, busy: bool
    ) -> None:
        conversation = SocketConversation(writer, self._bounds)
        try:
            if busy:
                self.counters.busy += 1
                # to close with the request unread would reset the connection, answer and all
                with suppress(TimeoutError, ValueError, ConnectionError):
                    await asyncio.wait_for(reader.readline(), _BUSY_SECONDS)
                error = "too many commands at a time: try again"
                raise ControlRefusal(error, status=os.EX_TEMPFAIL)
            request = await self._request(reader)
            if request is None:
                return
            watching = asyncio.create_task(_watch(reader, conversation.closed))
            try:
                result = await self._carry_out(request, writer, conversation)
            finally:
                watching.cancel()
            await conversation.send({"ok": True, "result": result})
        except ControlRefusal as no:
            with suppress(ConversationGone):
                await conversation.send(_refusal(str(no), no.status, no.faults))
        except ConversationGone:
            pass
        except asyncio.CancelledError:
            with suppress(ConversationGone):
                await conversation.send(_refusal("the daemon is stopping", os.EX_TEMPFAIL))
            raise
        finally:
            self.counters.unread += conversation.unread

    async def _request(self, reader: asyncio.StreamReader) -> dict[str, Json] | None:
        """The request; None if the client closes without one."""
        try:
            async with asyncio.timeout(self._bounds.request_seconds):
                line = await reader.readline()
            return decode(line) if line else None
        except ConnectionError:
            return None
        except TimeoutError:
            self.counters.slow += 1
            error = f"no request came within {self._bounds.request_seconds:g} s"
        except BadLine as bad:
            self.counters.garbage += 1
            error = f"the request can't be read: {bad}"
        except ValueError:  # asyncio: no end of a line within the limit
            self.counters.garbage += 1
            error = f"the request is longer than {self._bounds.request} octets"
        raise ControlRefusal(error, status=os.EX_PROTOCOL)

    async def _carry_out(
        self,
        request: Mapping[str, Json],
        writer: asyncio.StreamWriter,
        conversation: SocketConversation,
    ) -> Mapping[str, Json]:
        name = request.get("command")
        handler = self._commands.get(name) if isinstance(name, str) else None
        if handler is None or not isinstance(name, str):
            self.counters.unknown += 1
            known = ", ".join(sorted(self._commands))
            error = f"there is no such command; there are {known}"
            raise ControlRefusal(error, status=os.EX_PROTOCOL)
        process, user, group = peer_of(writer.get_extra_info("socket"))
        log.info("control_request", command=name, pid=process, uid=user, gid=group)
        said = SaidUser.of(request)
        conversation.origin = Origin(
            "control_socket",
            proved_pid=process,
            proved_uid=user,
            proved_gid=group,
            said_loginuid=said.loginuid,
            said_login=said.login,
            said_sudo_user=said.sudo_user,
        )
        self.counters.requests[name] = self.counters.requests.get(name, 0) + 1
        try:
            return await handler(request, conversation)
        except ControlRefusal:
            self.counters.refused += 1
            raise
        except ConversationGone:
            raise
        except Exception:  # a fault of ours in one command must not end the server
            self.counters.failed += 1
            log.exception("control_failed", command=name)
        error = "the daemon failed to do it: its log says more"
        raise ControlRefusal(error, status=os.EX_SOFTWARE)


async def _watch(reader: asyncio.StreamReader, closed: asyncio.Event) -> None:
    """Set `closed` when the client closes; discard what else it sends."""
    with suppress(ConnectionError):
        while await reader.read(_CHUNK):
            pass
    closed.set()
