"""What a command says of the user who runs it; it goes with each request on the control socket.

It is no proof: the daemon asks the kernel who is at the other end, and writes this down beside it.
"""

import os
import pwd
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from chatredirect.control.protocol import Json

FIELD = "said"
"""The field of a request that has it."""
MAX_TEXT = 64
"""Characters of each value; a user's name has at most 32 (useradd(8))."""
_LOGINUID = "/proc/self/loginuid"
_UNSET = "4294967295"  # nobody has logged in: a service, or a kernel without audit


@dataclass(frozen=True, slots=True)
class SaidUser:
    """A command's user, as the command says it; each value may be empty, and may hold anything.

    Attributes:
        loginuid: the number of the user who has logged in, which survives su and sudo.
        login: that user's name.
        sudo_user: who called sudo.
    """

    loginuid: str = ""
    login: str = ""
    sudo_user: str = ""

    @classmethod
    def here(cls) -> "SaidUser":
        """The user of this process."""
        loginuid = login = ""
        with suppress(OSError, ValueError, KeyError):
            with open(_LOGINUID, encoding="ascii") as file:
                read = file.read(MAX_TEXT).strip()
            if read != _UNSET:
                loginuid = read
                login = pwd.getpwuid(int(read)).pw_name
        return cls(loginuid, login, os.environ.get("SUDO_USER", "")[:MAX_TEXT])

    @classmethod
    def of(cls, request: Mapping[str, Json]) -> "SaidUser":
        """What a request says; whatever isn't text is left out, and long text is cut."""
        said = request.get(FIELD)
        return cls(*(_text(said, name) for name in ("loginuid", "login", "sudo_user")))

    def as_field(self) -> dict[str, Json]:
        """For a request."""
        return {"loginuid": self.loginuid, "login": self.login, "sudo_user": self.sudo_user}


def _text(said: Json, name: str) -> str:
    value = said.get(name) if isinstance(said, Mapping) else None
    return value[:MAX_TEXT] if isinstance(value, str) else ""
