"""Reads files, validates and checks them; returns the settings, or raises all faults.

Endpoints are validated one by one, so that a hundred thousand of them need no second copy, and a
faulty one hides no other.
"""

import glob
import os
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Contents
from contextlib import suppress
from hashlib import sha256
from typing import TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from chatredirect.config.address_syntax import parse_address, parse_advertise, parse_listen
from chatredirect.config.checks import Findings, Placed, check
from chatredirect.config.document import MAX_FILE, Document, Mapping, Path, Sequence, Value, read
from chatredirect.config.endpoint import EndpointSettings
from chatredirect.config.faults import ConfigError, Fault, quoted
from chatredirect.config.messages import faults_of, kind_of
from chatredirect.config.models import ControlSettings, Settings, placed_socket, secret_of
from chatredirect.config.secret_files import read_secret
from chatredirect.config.service_environment import ADVERTISE_VARIABLE, ServiceEnvironment
from chatredirect.config.sip_addresses import parse_sip_address
from chatredirect.config.tls_section import TlsSection, without_listeners
from chatredirect.net.addresses import HostPort
from chatredirect.runtime.regular_file import UnfitFileError, read_file

Draft: TypeAlias = Contents[str, bytes | None]
"""Contents of included files by path, as `include` gives it; None for a file that is removed."""

_T = TypeVar("_T")
_ENDPOINT = TypeAdapter(EndpointSettings)
_SETTINGS = TypeAdapter(Settings)
# no real name ends in .invalid (RFC 6761 §6.4)
_STAND_INS = {"sip_address": "sip:faulty@faulty.invalid", "pool_fqdn": "pool.faulty.invalid"}


def load(
    path: str | os.PathLike[str],
    draft: Draft | None = None,
    *,
    environment: ServiceEnvironment | None = None,
    pipe: bool = False,
) -> Settings:
    """Read a configuration: its main file, and the files that it includes.

    Args:
        environment: the service's, where it isn't this process's.
        draft: included files as they would be, to check a change before it is written.
        pipe: whether the main file may be a pipe, whose writer has a few seconds.

    Raises:
        ConfigError: with all faults of all files, sorted by file and line.
    """
    environment = environment or ServiceEnvironment.of()
    return _ConfigReader(os.fspath(path), draft or {}, environment, pipe=pipe).settings()


class _ConfigReader:
    def __init__(
        self, path: str, draft: Draft, environment: ServiceEnvironment, *, pipe: bool
    ) -> None:
        self._environment = environment
        self._contents = sha256()
        self._main = self._open(path, pipe=pipe)
        self._draft = draft
        self._findings = Findings(self._main, environment)
        self._documents = [self._main]
        self._faults: list[Fault] = []
        self._tls = TlsSection(self._main, environment)
        self._control = ControlSettings()

    def settings(self) -> Settings:
        settings = self._main_file()
        for document in self._included():
            self._documents.append(document)
            self._endpoints(document, (), document.root, alone=True)
        for document in self._documents:
            self._faults += document.faults
        self._faults += check(self._findings)
        self._faults += self._tls.faults(self._findings.listen)
        if settings is not None:
            self._place_socket(settings.control)
            self._place_secrets(settings)
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
        object.__setattr__(settings, "control", self._control)
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
        if rest.get("advertise") is None:
            rest["advertise"] = self._advertised()
        if "tls" in rest:
            rest["tls"] = without_listeners(root["tls"])
        try:
            return _SETTINGS.validate_python(rest)
        except ValidationError as error:
            self._faults += faults_of(error, main, (), Settings)
            return None

    def _advertised(self) -> HostPort | None:
        """What the environment says of `advertise`."""
        text = self._environment.advertise
        try:
            return None if text is None else parse_advertise(text)
        except ValueError as error:
            self._faults.append(self._main.fault((), f"${ADVERTISE_VARIABLE}: {error}"))
            return None

    def _place_socket(self, control: ControlSettings) -> None:
        """Make the control socket's path absolute."""
        self._control = control
        if control.socket is None:
            return
        try:
            placed = placed_socket(control.socket, self._main.file)
        except ValueError as error:
            fault = self._main.fault(("control", "socket"), f"control.socket: {error}")
            self._faults.append(fault)
        else:
            self._control = ControlSettings(socket=placed)

    def _place_secrets(self, settings: Settings) -> None:
        """Read the secret's file, and find those of the ledger's key and of the page's token."""
        folder = os.path.dirname(self._main.file)
        if settings.secret_file is not None:
            try:
                if settings.secret is not None:
                    raise ValueError("secret is there as well: keep one of the two")
                path = self._environment.placed(folder, settings.secret_file)
                secret = secret_of(read_secret(path))
            except ValueError as error:
                fault = self._main.fault(("secret_file",), f"secret_file: {error}")
                self._faults.append(fault)
            else:
                object.__setattr__(settings, "secret_file", path)  # frozen, but complete only now
                object.__setattr__(settings, "secret", secret)
        elif settings.secret is None and settings.instances:
            what = "they need a secret that they share: write secret, or secret_file"
            self._faults.append(self._main.fault(("instances",), f"instances: {what}"))
        for section, key in ((settings.usage, "key_file"), (settings.http, "token_file")):
            file = getattr(section, key)
            if file is not None:
                with suppress(ValueError):  # the checks report it
                    placed = self._environment.placed(folder, file)
                    object.__setattr__(section, key, placed)  # as above

    def _gather(self, root: Mapping) -> None:
        """Collect the values that the checks need, even if others in their section are faulty."""
        findings = self._findings
        listen, hosts = root.get("listen"), self._main.value("dns", "hosts")
        for index, text in enumerate(listen if isinstance(listen, Sequence) else ()):
            url = _tried(parse_listen, text)
            if url is not None:
                findings.listen.append((index, url))
        advertise = root.get("advertise")
        if advertise is None:
            advertise = self._environment.advertise
        findings.advertise = _tried(parse_advertise, advertise)
        common = self._main.value("proxy", "record_route_host")
        findings.record_route_host = _tried(parse_advertise, common)
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


def fingerprint_of_files(main: str, include: str | None) -> str:
    """The `fingerprint` that `load` gives settings, of the files as they are now.

    Args:
        include: the pattern that the main file has.

    Raises:
        OSError: a file can't be read.
    """
    files = [main]
    if include:
        full = os.path.join(os.path.dirname(main), include)
        magic = glob.has_magic(include)
        found = {each for each in glob.glob(full) if not os.path.isdir(each)} if magic else {full}
        files += sorted(each for each in found if not os.path.samefile(each, main))
    contents = sha256()
    for each in files:
        contents.update(read_file(each, MAX_FILE))
    return contents.hexdigest()


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
