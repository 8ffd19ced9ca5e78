"""What one server takes in, and how much of it at once."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MAX_PIXELS", "MEGABYTE", "Limits", "Refused"]

MEGABYTE = 1_000_000
MAX_PIXELS = 4096 * 2304
"""Largest picture, in pixels: 4K. It bounds what the frames that a tracker holds take of memory."""


class Refused(Exception):  # noqa: N818 (not a failure of ours: an answer)
    """A request that gets an answer of one line instead of a result.

    Attributes:
        status: HTTP status code, 4xx for what the caller can change.
        retry: seconds after which the same request may pass, None where it never will.
    """

    def __init__(self, status: int, message: str, retry: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry = status, retry


@dataclass(frozen=True)
class Limits:
    """Bounds of a server. All of them hold for page and API alike."""

    max_mb: float = 100.0
    """Size of one file, in megabytes."""
    max_seconds: float = 120.0
    """Length of one video."""
    workers: int = 1
    """Videos worked on at the same time, each in a process of its own."""
    queue: int = 64
    """Videos that may wait for a worker."""
    keep: float = 30.0
    """Seconds for which the files of a session outlive its last connection."""
    stall: float = 30.0
    """Seconds without a byte after which an upload is given up."""

    @property
    def max_bytes(self) -> int:
        """Size of one file."""
        return round(self.max_mb * MEGABYTE)

    @property
    def session_bytes(self) -> int:
        """What one session may hold: some videos and their results."""
        return 6 * self.max_bytes

    @property
    def total_bytes(self) -> int:
        """What all sessions together may hold: what waits, what is worked on, and as much again of results."""
        return 2 * (self.workers + self.queue) * self.max_bytes + self.session_bytes

    @property
    def sessions(self) -> int:
        """How many sessions may hold files at the same time."""
        return 4 * (self.workers + self.queue) + 64

    @property
    def job_seconds(self) -> float:
        """Time after which work on one video is given up: far more than the slowest machine that is of use needs."""
        return 120.0 + 5 * self.max_seconds
