"""Files: written whole or not at all, named by content, on this machine or at a URL."""

from unsilent.files.local import atomic_path, cache_folder, check_place, sha256_file, sweep
from unsilent.files.remote import (
    RemoteFile,
    RemoteTree,
    fetched,
    is_url,
    kept,
    list_files,
    local_copy,
    put,
    url_of,
    written,
)
from unsilent.files.staging import Staging

__all__ = [
    "RemoteFile",
    "RemoteTree",
    "Staging",
    "atomic_path",
    "cache_folder",
    "check_place",
    "fetched",
    "is_url",
    "kept",
    "list_files",
    "local_copy",
    "put",
    "sha256_file",
    "sweep",
    "url_of",
    "written",
]
