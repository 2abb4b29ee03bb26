"""A request's head on its way through a proxy: read once, and written once (RFC 3261 §16.6)."""

import re

from chatredirect.sip import codec
from chatredirect.sip.forwarding import HeaderEditor, Route, lay_out


class ForwardedHead:
    """The head of a request that is to be forwarded: what a proxy reads of it, and what it changes.

    A `HeaderEditor` does both, or compiled functions where the head is usual: nothing folded, no
    Proxy-Require, and each Route field one entry.
    """

    __slots__ = ("_editor", "_entries", "_head", "_hops", "_recorded", "_routes")

    def __init__(self, head: bytes) -> None:
        """Read a head: a valid Request-Line and header fields."""
        self._head = head
        self._routes: list[Route] | None = None
        self._editor: HeaderEditor | None = None
        read = None if codec.read_forwarded is None else codec.read_forwarded(head)
        if read is None:
            self._editor = lay_out(head)
        else:
            self._hops, self._entries, self._recorded = read

    def hops(self) -> int | None:
        """See `HeaderEditor.hops`, also for what it raises."""
        return self._hops if self._editor is None else self._editor.hops()

    def required(self) -> list[bytes]:
        """See `HeaderEditor.required`, also for what it raises."""
        return [] if self._editor is None else self._editor.required()

    def route_set(self) -> list[Route]:
        """All entries of Route; see `HeaderEditor.route_set`, also for what it raises."""
        routes = self._routes
        if routes is None:
            if self._editor is None:
                routes = [Route(uri, raw, at) for uri, raw, at in self._entries]
            else:
                routes = self._editor.route_set() if self._editor.routes else []
            self._routes = routes
        return routes

    def recorded(self) -> bytes:
        """The value of the topmost Record-Route field; `b""` if there is none."""
        return self._recorded if self._editor is None else self._editor.recorded()

    def rest(
        self,
        via: bytes,
        routes: list[Route],
        body: bytes,
        *,
        last_route: bytes | None = None,
        left_out: re.Pattern[bytes] | None = None,
    ) -> bytes:
        """All header fields as they go on, the empty line and the body.

        Max-Forwards is one less, or 70 if there was none (§16.6 step 3).

        Args:
            via: replaces the topmost Via value (§18.2.1).
            routes: the entries of Route that are kept, in their order.
            last_route: a URI that is put behind them.
            left_out: the fields that are left out, a pattern of `named`.
        """
        came, editor = self.route_set(), self._editor
        if editor is None:
            gone = len(came) - len(routes)
            if (
                codec.write_forwarded is not None
                and last_route is None
                and left_out is None
                and (not routes or routes == came[gone:])
            ):
                written = codec.write_forwarded(self._head, via, self._hops, gone, body)
                if written is not None:
                    return written
            editor = lay_out(self._head)
        editor.count_down(editor.hops())
        if left_out is not None:
            editor.drop(left_out)
        if came:
            editor.keep_routes(routes)
        if last_route is not None:
            editor.append_route(last_route)
        editor.stamp(via)
        return editor.rest(body)
