"""What page and API both ask for: models, faces, speech. Checks the question, waits for a worker, words the answer."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from unsilent.errors import CheckpointError
from unsilent.web.limits import Limits, Refused
from unsilent.web.pool import Job, Pool
from unsilent.web.store import Session, Store, safe_name

__all__ = ["Service"]

_VOICE_BYTES = 10_000_000
_POSITION_EVERY = 0.5


def _task(pipe: Connection, threads: int, models: list[str]) -> None:
    # Imported in the worker only: the server itself loads neither torch nor FFmpeg.
    from unsilent.web.worker import run_worker

    run_worker(pipe, threads, models)


class Service:
    """Files, workers and models of one server.

    Args:
        limits: what is taken in.
        models: model folders and names besides the shipped ones.
        parent: folder for temporary files; the system's by default.

    Raises:
        OutputError: there is no room for temporary files.
    """

    def __init__(self, limits: Limits, models: list[str], parent: Path | None = None) -> None:
        self.limits = limits
        self.store = Store(limits, parent)
        self.pool = Pool(_task, models, limits.workers, limits.queue, limits.job_seconds)
        self.models: list[dict[str, Any]] = []
        """Once `load_models` is done: ``id``, ``name`` and what the card knows, the default model first."""
        self._inside = 0
        self._loaded: queue.Queue[dict[str, Any]] = queue.Queue()
        for _ in range(limits.workers):
            self.pool.submit(Job({"do": "models"}, self._loaded.put))

    def close(self) -> None:
        """End all work and remove all files."""
        self.pool.close()
        self.store.close()

    def load_models(self) -> None:
        """Wait until every worker has loaded every model, which also warms them up.

        Raises:
            CheckpointError: a model cannot be used.
        """
        for _ in range(self.limits.workers):
            answer = self._loaded.get()
            if "error" in answer:
                raise CheckpointError(answer["error"])
            self.models = answer["done"]["models"]

    @contextmanager
    def place(self) -> Iterator[None]:
        """Context of a request that brings files; as many may be under way as can be worked on or wait.

        Raises:
            Refused: there is no place, which is known before any file is taken in.
        """
        if self._inside >= self.limits.workers + self.limits.queue:
            raise Refused(429, "too many videos are waiting; try again in a minute", retry=30)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def model(self, wanted: str | None) -> dict[str, Any]:
        """Return a model by name or id; the default one for None.

        Raises:
            Refused: there is no such model.
        """
        if not wanted:
            return self.models[0]
        for model in self.models:
            if wanted in (model["name"], model["id"]):
                return model
        raise Refused(422, f"there is no such model; there are: {', '.join(model['name'] for model in self.models)}")

    async def faces(self, session: Session, video: Path, name: str) -> AsyncGenerator[dict[str, Any]]:
        """Yield messages about a video's faces; the last one's ``done`` has ``faces``, ``chosen`` and ``found``."""
        request = {"do": "faces", "video": str(video), "name": name, "max_seconds": self.limits.max_seconds}
        async for message in self._work(session, request):
            yield message

    async def speak(
        self,
        session: Session,
        video: Path,
        name: str,
        *,
        face: int | None = None,
        model: str | None = None,
        voice: Path | None = None,
        voice_name: str = "",
    ) -> AsyncGenerator[dict[str, Any]]:
        """Yield messages about the speech of a video; the last one's ``done`` is the report, with the files' paths.

        Messages are ``{"waiting": n}``, ``{"progress": {"stage", "frames", "total"}}`` and ``{"done": {...}}``.

        Raises:
            Refused: with its one line, for whatever is wrong with the question or the files.
        """
        chosen = self.model(model)
        if voice is not None and not chosen["voices"]:
            raise Refused(
                422, f"{chosen['name']} speaks with one voice; leave the reference out or choose another model"
            )
        if voice is not None and voice.stat().st_size > _VOICE_BYTES:
            raise Refused(413, f"the voice reference is larger than {_VOICE_BYTES // 1_000_000} MB; send a shorter one")
        folder = self.store.room(session, "spoken").parent
        request = {
            "do": "speak", "video": str(video), "name": name, "max_seconds": self.limits.max_seconds, "face": face,
            "model": chosen["id"], "voice": str(voice) if voice else None, "voice_name": voice_name,
            "folder": str(folder), "stem": Path(safe_name(name)).stem,
        }  # fmt: skip
        async for message in self._work(session, request):
            if "done" in message:
                written = sum(file.stat().st_size for file in folder.iterdir())
                self.store.charge(session, written)
                message["done"]["model"] = chosen["name"]
            yield message

    async def _work(self, session: Session, request: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """Yield ``{"waiting": n}``, ``{"progress": ...}``, at last ``{"done": ...}``; give the job up when closed."""
        loop = asyncio.get_running_loop()
        inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        def listen(message: dict[str, Any]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(inbox.put_nowait, message)

        job = Job(request, listen)
        with session.busy():
            self.pool.submit(job)
            ended = False
            told = -1
            try:
                while not ended:
                    try:
                        message = await asyncio.wait_for(inbox.get(), _POSITION_EVERY)
                    except TimeoutError:
                        ahead = self.pool.ahead(job)
                        if ahead >= 0 and ahead != told:
                            told = ahead
                            yield {"waiting": ahead}
                        continue
                    ended = "progress" not in message
                    if "error" in message:
                        raise Refused(message["status"], message["error"])
                    yield message
            finally:
                if not ended:
                    job.cancelled.set()
