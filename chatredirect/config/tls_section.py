"""The section `tls`: one set of settings, and what differs from it for single listeners.

A listener's keys under `tls.listeners` are merged over the section's own keys before validation, so
keys are defined once, in `TlsSettings`.
"""

import os
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter, ValidationError

from chatredirect.config.address_syntax import parse_listen
from chatredirect.config.document import Document, Mapping, Path, Value
from chatredirect.config.faults import Fault, quoted
from chatredirect.config.messages import faults_of, kind_of
from chatredirect.config.models import TlsSettings
from chatredirect.config.service_environment import ServiceEnvironment
from chatredirect.net.addresses import ListenUrl

_SETTINGS = TypeAdapter(TlsSettings)
_LISTENERS = "listeners"


def without_listeners(section: object) -> object:
    """The section without `listeners`, for its validation."""
    if not isinstance(section, Mapping):
        return section
    return {key: value for key, value in section.items() if key != _LISTENERS}


@dataclass(slots=True)
class TlsSection:
    """The TLS settings of a configuration, with paths relative to its main file.

    Attributes:
        common: the section's own settings; the defaults if they are faulty, which the validation
            of the whole file reports.
        listeners: the settings of the listeners that have some of their own.
    """

    main: Document
    environment: ServiceEnvironment
    common: TlsSettings = field(default_factory=TlsSettings)
    listeners: dict[ListenUrl, TlsSettings] = field(default_factory=dict)
    _right: bool = True
    _misplaced: list[tuple[str, str]] = field(default_factory=list)

    def faults(self, listen: Sequence[tuple[int, ListenUrl]]) -> Iterator[Fault]:
        """Read the section; yield the faults between its values and the numbered listeners."""
        section = self.main.value("tls")
        own = without_listeners(section) if section is not None else {}
        try:
            self.common = self._made(own)
        except ValidationError:
            self._right = False
        else:
            yield from self._between(("tls",), self.common)
        yield from self._not_placed(("tls",))
        if isinstance(section, Mapping) and isinstance(own, dict):
            yield from self._overrides(section.get(_LISTENERS), own, listen)
        yield from self._without_certificate(listen)

    def _overrides(
        self, value: Value, own: dict[str, object], listen: Sequence[tuple[int, ListenUrl]]
    ) -> Iterator[Fault]:
        path: Path = ("tls", _LISTENERS)
        if value is None:
            return
        if not isinstance(value, Mapping):
            what = "a mapping of entries of listen to keys of tls"
            yield self.main.fault(path, f"tls.listeners: must be {what}, not {kind_of(value)}")
            return
        configured = {url for _, url in listen}
        for text, different in value.items():
            place = (*path, text)
            try:
                url = self._listener(text, configured)
            except ValueError as error:
                yield self.main.fault(place, f"tls.listeners: {error}", of_key=True)
            else:
                yield from self._override(place, url, own, different)

    def _listener(self, text: str, configured: Set[ListenUrl]) -> ListenUrl:
        url = parse_listen(text)
        if url.transport != "tls":
            raise ValueError(f"{quoted(text)} is no tls:// listener: write an entry of listen")
        if url not in configured:
            raise ValueError(f"{quoted(text)} is not in listen: write an entry of listen")
        if url in self.listeners:
            raise ValueError(f"{url} is there already")
        return url

    def _override(
        self, place: Path, url: ListenUrl, own: dict[str, object], different: Value
    ) -> Iterator[Fault]:
        try:
            _SETTINGS.validate_python(different)  # alone: the section's faults come from it
        except ValidationError as error:
            yield from faults_of(error, self.main, place, TlsSettings)
            self._right = False
            return
        if not self._right or not isinstance(different, Mapping):
            return
        self.listeners[url] = self._made(own | different)
        yield from self._not_placed(place, different)
        if self.listeners[url] != self.common:
            yield from self._between(place, self.listeners[url], different)

    def _made(self, keys: object) -> TlsSettings:
        """Validated settings, their paths joined with the main file's folder."""
        made = _SETTINGS.validate_python(keys)
        return replace(
            made,
            certificate=self._placed("certificate", made.certificate),
            private_key=self._placed("private_key", made.private_key),
            private_key_password_file=self._placed(
                "private_key_password_file", made.private_key_password_file
            ),
            ca=self._placed("ca", made.ca),
        )

    def _placed(self, key: str, file: str | None) -> str | None:
        folder = os.path.dirname(self.main.file)
        try:
            return None if file is None else self.environment.placed(folder, file)
        except ValueError as error:
            self._misplaced.append((key, str(error)))
            return file

    def _not_placed(self, place: Path, different: Mapping | None = None) -> Iterator[Fault]:
        """Faults of credentials that aren't there; a listener's only where it names one itself."""
        for name, why in self._misplaced:
            if different is None or name in different:
                yield self.main.fault((*place, name), f"tls.{name}: {why}")
        self._misplaced.clear()

    def _between(
        self, place: Path, settings: TlsSettings, different: Mapping | None = None
    ) -> Iterator[Fault]:
        """Faults between keys; a listener's only where it has one of the keys itself."""
        for keys, fault, message in (
            (
                ("private_key", "certificate"),
                settings.private_key is not None and settings.certificate is None,
                "there is no certificate that goes with it: write certificate: FILE",
            ),
            (
                ("private_key_password_file", "certificate"),
                settings.private_key_password_file is not None and settings.certificate is None,
                "there is no certificate whose key it opens: write certificate: FILE",
            ),
            (
                ("allowed_peers", "verify_peer"),
                bool(settings.allowed_peers) and settings.verify_peer == "none",
                "names can't be checked with verify_peer: none: write required or optional, "
                "or allowed_peers: []",
            ),
        ):
            if fault and (different is None or any(key in different for key in keys)):
                key = next(key for key in keys if different is None or key in different)
                yield self.main.fault((*place, key), f"tls.{keys[0]}: {message}")

    def _without_certificate(self, listen: Sequence[tuple[int, ListenUrl]]) -> Iterator[Fault]:
        for index, url in listen:
            settings = self.listeners.get(url, self.common)
            if url.transport == "tls" and settings.certificate is None and self._right:
                yield self.main.fault(
                    ("listen", index),
                    f"listen[{index}]: {url} needs a certificate: "
                    "write tls: {certificate: FILE, private_key: FILE}",
                )
