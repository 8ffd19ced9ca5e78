"""A folder at a URL that is written through a folder of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from unsilent.errors import OutputError
from unsilent.files.local import cache_folder
from unsilent.files.remote import fetch, list_files, make_hole, put, short_name, stat

__all__ = ["Staging"]


class Staging:
    """What is written into :attr:`folder` is put at the URL by :meth:`publish`; there is room for one large file.

    Large files that are there already are holes in the folder: they have a name and a size.

    Args:
        url: of the folder.
        is_large: whether the file of a name stands as a hole once it is at the URL.
    """

    def __init__(self, url: str, is_large: Callable[[str], bool]) -> None:
        self.url, self._is_large = url, is_large
        self.folder = cache_folder("staging") / short_name(url)

    def pull(self, keep: Iterable[str] = ()) -> None:
        """Make the folder what is at the URL, whatever an earlier run left in it; ``keep`` names what stays.

        Raises:
            UnsilentError: the URL cannot be read.
            OutputError: the folder cannot be written.
        """
        files = list_files(self.url)
        try:
            for path in self.folder.iterdir():
                if path.name not in set(keep):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            for file in files:
                path = self.folder / file.url.removeprefix(f"{self.url}/")
                if self._is_large(path.name):
                    make_hole(path, file.size)
                else:
                    fetch(file.url, path)
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be written ({error.strerror}); set UNSILENT_CACHE") from error

    def fill(self, path: Path) -> None:
        """Fetch what stands as a hole at ``path`` of the folder."""
        fetch(self.url_of(path), path)

    def publish(self, path: Path) -> None:
        """Put a file of the folder at the URL. A large one that is there already is somebody else's.

        Raises:
            OutputError: it cannot be put there, or another run has written one of that name.
        """
        url = self.url_of(path)
        if not self._is_large(path.name):
            put(path, url)
            return
        if stat(url) is not None:
            raise OutputError(f"{url}: another run has written it meanwhile; end one of them and run again")
        size = path.stat().st_size
        put(path, url)
        make_hole(path, size)

    def url_of(self, path: Path) -> str:
        """The URL of a path of the folder."""
        return f"{self.url}/{path.relative_to(self.folder).as_posix()}"
