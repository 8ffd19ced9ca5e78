"""The page in the browser and the HTTP API: sessions and their files, worker processes, the app and its gate."""

from unsilent.web.limits import Limits

__all__ = ["Limits"]
