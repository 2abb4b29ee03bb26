"""Reads files, validates and checks them; returns the settings, or raises all faults.

Endpoints are validated one by one, so that a hundred thousand of them need no second copy, and a
faulty one hides no other.
"""

import glob
import os
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Contents
from hashlib import sha256
from typing import TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from chatredirect.config.address_syntax import parse_address, parse_advertise, parse_listen
from chatredirect.config.checks import Findings, Placed, check
from chatredirect.config.document import MAX_FILE, Document, Mapping, Path, Sequence, Value, read
from chatredirect.config.endpoint import EndpointSettings
from chatredirect.config.faults import ConfigError, Fault, quoted
from chatredirect.config.messages import faults_of, kind_of
from chatredirect.config.models import Settings
from chatredirect.config.sip_addresses import parse_sip_address
from chatredirect.config.tls_section import TlsSection, without_listeners
from chatredirect.runtime.regular_file import UnfitFileError, read_file

Draft: TypeAlias = Contents[str, bytes | None]
"""Contents of included files by path, as `include` gives it; None for a file that is removed."""

_T = TypeVar("_T")
_ENDPOINT = TypeAdapter(EndpointSettings)
_SETTINGS = TypeAdapter(Settings)
# no real name ends in .invalid (RFC 6761 §6.4)
_STAND_INS = {"sip_address": "sip:faulty@faulty.invalid", "pool_fqdn": "pool.faulty.invalid"}


def load(
    path: str | os.PathLike[str], draft: Draft | None = None, *, pipe: bool = False
) -> Settings:
    """Read a configuration: its main file, and the files that it includes.

    Args:
        draft: included files as they would be, to check a change before it is written.
        pipe: whether the main file may be a pipe, whose writer has a few seconds.

    Raises:
        ConfigError: with all faults of all files, sorted by file and line.
    """
    return _ConfigReader(os.fspath(path), draft or {}, pipe=pipe).settings()


class _ConfigReader:
    def __init__(self, path: str, draft: Draft, *, pipe: bool) -> None:
        self._contents = sha256()
        self._main = self._open(path, pipe=pipe)
        self._draft = draft
        self._findings = Findings(self._main)
        self._documents = [self._main]
        self._faults: list[Fault] = []
        self._tls = TlsSection(self._main)

    def settings(self) -> Settings:
        settings = self._main_file()
        for document in self._included():
            self._documents.append(document)
            self._endpoints(document, (), document.root, alone=True)
        for document in self._documents:
            self._faults += document.faults
        self._faults += check(self._findings)
        self._faults += self._tls.faults(self._findings.listen)
        if self._faults or settings is None:
            order = {document.file: index for index, document in enumerate(self._documents)}
            once = dict.fromkeys(self._faults)  # no set: faults of one place keep their order
            raise ConfigError(sorted(once, key=lambda f: (order.get(f.file, 0), f.line, f.column)))
        endpoints = (placed.settings for placed in self._findings.endpoints)
        whole = tuple(endpoint for endpoint in endpoints if endpoint is not None)
        # frozen, but complete only now
        object.__setattr__(settings, "endpoints", whole)
        object.__setattr__(settings, "files", tuple(document.file for document in self._documents))
        object.__setattr__(settings, "fingerprint", self._contents.hexdigest())
        object.__setattr__(settings, "tls", self._tls.common)
        object.__setattr__(settings, "tls_listeners", self._tls.listeners)
        return settings

    def _main_file(self) -> Settings | None:
        main = self._main
        root = main.root
        if not isinstance(root, Mapping):
            if not main.faults:
                what = "is empty" if root is None else f"must be a mapping, not {kind_of(root)}"
                self._faults.append(
                    main.fault((), f"the file {what}: it needs at least the key listen")
                )
            return None
        self._endpoints(main, ("endpoints",), root.get("endpoints"))
        self._gather(root)
        rest: dict[str, object] = {key: root[key] for key in root if key != "endpoints"}
        if "tls" in rest:
            rest["tls"] = without_listeners(root["tls"])
        try:
            return _SETTINGS.validate_python(rest)
        except ValidationError as error:
            self._faults += faults_of(error, main, (), Settings)
            return None

    def _gather(self, root: Mapping) -> None:
        """Collect the values that the checks need, even if others in their section are faulty."""
        findings = self._findings
        listen, hosts = root.get("listen"), self._main.value("dns", "hosts")
        for index, text in enumerate(listen if isinstance(listen, Sequence) else ()):
            url = _tried(parse_listen, text)
            if url is not None:
                findings.listen.append((index, url))
        findings.advertise = _tried(parse_advertise, root.get("advertise"))
        for name, addresses in hosts.items() if isinstance(hosts, Mapping) else ():
            texts = addresses if isinstance(addresses, Sequence) else ()
            parsed = (_tried(parse_address, text) for text in texts)
            known = [address for address in parsed if address is not None]
            findings.hosts[name.lower().removesuffix(".")] = known

    def _endpoints(
        self, document: Document, path: Path, value: Value, *, alone: bool = False
    ) -> None:
        """Endpoints in a sequence; in an included file (`alone`) also a single one."""
        if alone and isinstance(value, Mapping):
            if list(value) == ["endpoints"]:
                self._endpoints(document, ("endpoints",), value["endpoints"])
            else:
                self._endpoint(document, path, value)
        elif isinstance(value, Sequence):
            for index, item in enumerate(value):
                self._endpoint(document, (*path, index), item)
        elif value is not None:
            named = "endpoints: " if path else ""
            what = "an endpoint or a list of them" if alone else "a list of endpoints"
            self._faults.append(
                document.fault(path, f"{named}must be {what}, not {kind_of(value)}")
            )

    def _endpoint(self, document: Document, path: Path, value: Value) -> None:
        try:
            endpoint = _ENDPOINT.validate_python(value)
        except ValidationError as error:
            self._faults += faults_of(error, document, path, EndpointSettings)
            text = value.get("sip_address") if isinstance(value, Mapping) else None
            address = _tried(parse_sip_address, text)
            key = None if address is None else address.key
            placed = Placed(document, path, key, None, _readable(value, error))
        else:
            source = f"{document.file}:{document.position(path)[0]}"
            object.__setattr__(endpoint, "source", source)
            placed = Placed(document, path, endpoint.sip_address.key, endpoint, endpoint)
        self._findings.endpoints.append(placed)

    def _included(self) -> Iterator[Document]:
        main = self._main
        pattern = main.value("include")
        if not isinstance(pattern, str) or not pattern:
            return
        full = os.path.join(os.path.dirname(main.file), pattern)
        if glob.has_magic(pattern):
            found = {path for path in glob.glob(full) if not os.path.isdir(path)}
            removed = {path for path, content in self._draft.items() if content is None}
            paths = sorted((found | self._draft.keys()) - removed)
        else:
            paths = [full]
        for path in paths:
            if os.path.exists(path) and os.path.samefile(path, main.file):
                message = f"include: {quoted(pattern)} includes this file itself"
            elif paths == [full] and not os.path.exists(path):
                message = f"include: there is no file {quoted(path)}"
            else:
                drafted = self._draft.get(path)
                yield self._open(path) if drafted is None else read(drafted, path)
                continue
            self._faults.append(main.fault(("include",), message))

    def _open(self, path: str, *, pipe: bool = False) -> Document:
        try:
            data = read_file(path, MAX_FILE, pipe=pipe)
        except OSError as error:
            return Document(path, faults=[Fault(path, 0, 0, _why(error))])
        except ValueError:  # a NUL in the name
            return Document(path, faults=[Fault(quoted(path), 0, 0, "is no file name")])
        self._contents.update(data)
        return read(data, path)


def _readable(value: Value, error: ValidationError) -> EndpointSettings | None:
    """An endpoint without its faulty values."""
    if not isinstance(value, Mapping):
        return None
    faulty = {details["loc"][0] for details in error.errors(include_url=False) if details["loc"]}
    kept = {key: each for key, each in value.items() if key not in faulty}
    try:
        return _ENDPOINT.validate_python(_STAND_INS | kept)
    except ValidationError:
        return None  # a key that is no text, for instance


def _tried(parse: Callable[[str], _T], value: Value) -> _T | None:
    """The parsed value; None if it is faulty, which validation reports."""
    try:
        return parse(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _why(error: OSError) -> str:
    match error:
        case UnfitFileError():
            return str(error)
        case FileNotFoundError():
            return "there is no such file"
        case PermissionError():
            return f"user {os.geteuid()} isn't permitted to read it"
    return f"can't be read: {error.strerror}"
