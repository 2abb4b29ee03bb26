"""Where a new endpoint's file goes: into the folder of `include`, under a name that it reads."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chatredirect.config.document import Mapping, read
from chatredirect.config.faults import quoted

EXAMPLE = "include: endpoints.d/*.yaml"
_MAX_NAME = 120  # characters of an address in a file's name; file systems have room for 255 octets
_UNSAFE = re.compile(r"[^a-z0-9@._+-]")


class NoFolderError(Exception):
    """There is no folder for new endpoints; the text says what to write into which file."""


@dataclass(frozen=True, slots=True)
class IncludeFolder:
    """A folder and the names that are read in it.

    Attributes:
        path: the folder as the configuration names it, so that its files are named alike.
        prefix: what the names of new files begin with.
        suffix: what they end with.
    """

    path: str
    prefix: str
    suffix: str

    def names(self, keys: Iterable[bytes], taken: Iterable[str]) -> Iterator[str]:
        """A path for each endpoint's file.

        Args:
            keys: the endpoints' directory keys.
            taken: names of files that are there.
        """
        used = {name.lower() for name in taken}
        last: dict[str, int] = {}  # of addresses whose names differ in characters that no name has
        for key in keys:
            text = key.decode("utf-8", "replace").lower()
            stem = _UNSAFE.sub("_", text)[:_MAX_NAME]
            if not self.prefix and stem.startswith("."):
                stem = f"_{stem[1:]}"  # a star doesn't take hidden files
            number = last.get(stem, 1)
            name = f"{self.prefix}{stem}{self.suffix}"
            while name.lower() in used:
                number += 1
                name = f"{self.prefix}{stem}-{number}{self.suffix}"
            last[stem] = number
            used.add(name.lower())
            yield os.path.join(self.path, name)


def include_folder(main: str, content: bytes) -> IncludeFolder:
    """The folder that a main file's `include` names.

    Args:
        main: the file's path.
        content: what is in it, known to be right.

    Raises:
        NoFolderError: it names none.
    """
    root = read(content, main).root
    pattern = root.get("include") if isinstance(root, Mapping) else None
    if not isinstance(pattern, str) or not pattern:
        raise NoFolderError(
            f"{main} has no include, so there is no folder for endpoints of their own: add the "
            f"line {EXAMPLE}"
        )
    folder, name = os.path.split(os.path.join(os.path.dirname(main), pattern))
    stars = re.sub(r"\*+", "*", name)
    prefix, star, suffix = stars.partition("*")
    if glob.has_magic(folder) or not star or glob.has_magic(prefix) or glob.has_magic(suffix):
        raise NoFolderError(
            f"{main}: include: {quoted(pattern)} doesn't name one folder and one pattern with a "
            f"star, so it isn't clear where a new endpoint's file goes: write {EXAMPLE}, and move "
            "the files there"
        )
    if prefix.startswith("."):
        raise NoFolderError(
            f"{main}: include: {quoted(pattern)} reads hidden files, and such are used while "
            f"files are written: write {EXAMPLE}"
        )
    return IncludeFolder(folder, prefix, suffix)
