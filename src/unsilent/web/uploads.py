"""Receiving files: straight to disk, with a limit on size that holds before the last byte has come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from unsilent.web.limits import Limits, Refused
from unsilent.web.store import Session, Store, shown_name

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["File", "Received", "receive"]

_FIELD_BYTES = 2000
_FIELDS = 16
_OVERHEAD = 64_000
"""Bytes of a request beside its files: fields, boundaries and headers of parts."""


@dataclass
class File:
    """A file that arrived: what its sender calls it, where it is, how large it is."""

    field: str
    name: str
    path: Path
    size: int = 0


@dataclass
class Received:
    """What one request brought."""

    files: list[File] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


async def receive(
    request: Request,
    store: Store,
    session: Session,
    *,
    files: int = 1,
    moved: Callable[[str, int], None] = lambda name, count: None,
) -> Received:
    """Write the files of a request into the session's folder.

    A body of ``multipart/form-data`` may have several files and fields; any other body is one file, ``video``, whose
    name is the query's ``name``.

    Args:
        request: whose body has not been read.
        store: counts the bytes.
        session: whom they belong to.
        files: how many files it may bring.
        moved: told the name of a file and the number of bytes as they arrive.

    Raises:
        Refused: too large, too many, not a form, broken off, or too slow. Nothing is left on disk then.
    """
    limits = store.limits
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > files * limits.max_bytes + _OVERHEAD:
        raise _too_large(limits)
    kind, options = parse_options_header(request.headers.get("content-type"))
    sink = _Sink(store, session, files, moved)
    try:
        if kind == b"multipart/form-data":
            if not options.get(b"boundary"):
                raise Refused(400, "the form has no boundary; let your client set Content-Type")
            await _read_form(request, sink, options[b"boundary"], limits, files)
        else:
            sink.begin("video", request.query_params.get("name", "video"))
            async for chunk in _chunks(request, limits.stall):
                sink.write(chunk)
            sink.end()
    except BaseException as error:
        sink.discard()
        if isinstance(error, ClientDisconnect):
            raise Refused(400, "the upload broke off") from error
        if isinstance(error, OSError):
            raise Refused(429, "the server has no room for this file; try again later", retry=60) from error
        raise
    return sink.received


async def _chunks(request: Request, stall: float) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), stall)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Refused(408, f"nothing arrived for {stall:g} s; the upload was given up") from error
        if chunk:
            yield chunk


async def _read_form(request: Request, sink: _Sink, boundary: bytes, limits: Limits, files: int) -> None:
    form = _Form(sink)
    most = files * limits.max_bytes + _OVERHEAD
    try:
        parser = MultipartParser(boundary, form.callbacks())
        count = 0
        async for chunk in _chunks(request, limits.stall):
            count += len(chunk)
            if count > most:
                raise _too_large(limits)
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise Refused(400, "the form cannot be read; it may be cut short") from error
    if not form.ended:
        raise Refused(400, "the form is cut short")


def _too_large(limits: Limits) -> Refused:
    return Refused(413, f"the file is larger than {limits.max_mb:g} MB; send a shorter or smaller video")


class _Sink:
    """Writes one file after another into the session's folder."""

    def __init__(self, store: Store, session: Session, most: int, moved: Callable[[str, int], None]) -> None:
        self._store, self._session, self._most, self._moved = store, session, most, moved
        self._handle: IO[bytes] | None = None
        self.received = Received()

    def begin(self, name: str, given: str) -> None:
        if len(self.received.files) >= self._most:
            raise Refused(400, f"more than {self._most} files in one request")
        path = self._store.room(self._session, given)
        self.received.files.append(File(name, shown_name(given), path))
        # Written piece by piece as the pieces arrive, so that the context ends in another call.
        self._handle = open(path, "xb")  # noqa: SIM115

    def write(self, data: bytes) -> None:
        file = self.received.files[-1]
        if file.size + len(data) > self._store.limits.max_bytes:
            raise _too_large(self._store.limits)
        self._store.charge(self._session, len(data))
        file.size += len(data)
        assert self._handle is not None
        self._handle.write(data)
        self._moved(file.name, len(data))

    def end(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            self.end()
        for file in self.received.files:
            self._store.drop(self._session, file.path, file.size)
        self.received.files.clear()


class _Form:
    """Turns the parser's callbacks into files and fields."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._header = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._field = ""
        self._text: bytearray | None = None
        self.ended = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_header_end(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._field = options.get(b"name", b"").decode(errors="replace")
        if b"filename" in options:
            self._text = None
            self._sink.begin(self._field, options[b"filename"].decode(errors="replace"))
        elif len(self._sink.received.fields) >= _FIELDS:
            raise Refused(400, f"more than {_FIELDS} fields in one request")
        else:
            self._text = bytearray()

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._text is None:
            self._sink.write(data[start:end])
        elif len(self._text) + end - start > _FIELD_BYTES:
            raise Refused(413, f"the field {shown_name(self._field)} is too long")
        else:
            self._text += data[start:end]

    def _on_part_end(self) -> None:
        if self._text is None:
            self._sink.end()
        else:
            self._sink.received.fields[self._field] = self._text.decode(errors="replace").strip()

    def _on_end(self) -> None:
        self.ended = True
