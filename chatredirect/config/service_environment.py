"""What a configuration takes from its process's environment: this machine's name, and credentials.

So the files of several machines can be the same, and secrets need not be readable for the service's
user in the file system. The daemon has both from systemd; commands that an administrator runs get
them from the service's unit.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from chatredirect.config.faults import quoted

ADVERTISE_VARIABLE = "CHATREDIRECT_ADVERTISE"
"""`advertise`, where the configuration has no such key."""
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Where systemd has put a service's credentials (systemd.exec(5), LoadCredential=)."""
_PREFIX = "credential:"
_NAME = re.compile(r"(?!\.{1,2}$)[!-.0-~][ -.0-~]{0,254}")  # a file's name, in ASCII


def names_credential(file: str) -> bool:
    """Whether a file's name in a configuration is `credential:NAME`."""
    return file.startswith(_PREFIX)


@dataclass(frozen=True, slots=True)
class ServiceEnvironment:
    """The environment that a configuration is read in.

    Attributes:
        advertise: this instance's own name; None where the variable is empty or isn't there.
        credentials: the folder of the service's credentials; None where it has none.
        sources: where credentials come from, by name, as far as the unit says. For commands: the
            folder is there while the service runs.
    """

    advertise: str | None = None
    credentials: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, variables: Mapping[str, str] = os.environ) -> "ServiceEnvironment":
        """What a process's environment says."""
        folder = variables.get(CREDENTIALS_VARIABLE)
        return cls(variables.get(ADVERTISE_VARIABLE) or None, folder or None)

    def placed(self, folder: str, file: str) -> str:
        """The path of a file that a configuration in this folder names.

        Raises:
            ValueError: it is `credential:NAME`, and there is no such credential.
        """
        if not names_credential(file):
            return os.path.join(folder, file)
        name = file.removeprefix(_PREFIX)
        if not _NAME.fullmatch(name):
            raise ValueError(f"{quoted(name)} is no name of a credential")
        source = self.sources.get(name)
        if source is not None:
            return source
        remedy = f"write LoadCredential={name}:/PATH/OF/THE/FILE under [Service] in the unit"
        if self.credentials is None:
            raise ValueError(
                f"the credential {quoted(name)} isn't there, for ${CREDENTIALS_VARIABLE} isn't "
                f"set: {remedy}; systemd sets the variable for the service"
            )
        path = os.path.join(self.credentials, name)
        if not os.path.exists(path):
            raise ValueError(f"there is no credential {quoted(path)}: {remedy}")
        return path
