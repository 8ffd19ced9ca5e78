"""Exported files, opened by ONNX Runtime. They hold a graph and text: nothing in them can run code.

A file says about itself, in ONNX's own metadata, under ``unsilent.``:

``role``            ``whole``, ``model`` (crops to mel or samples), ``vocoder`` (mel to samples), ``voice``
``format`` ``name`` ``note``
``card``            the model's card (JSON), whose ``config`` are its settings
``mel``             the mel definition (JSON); ``frame_rate`` and ``sample_rate`` again by themselves
``crops``           how crops are made of the 96x96 ones
``vocoder``         settings of the vocoder (JSON); ``context_frames`` is its reach on either side
``unknown_voice``   what to give as ``speaker`` where no voice is given (JSON), if the model has voices
``errors``          largest differences from torch when it was exported (JSON)
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import CheckpointError

__all__ = [
    "CROPS",
    "FORMAT",
    "MEL",
    "REFERENCE",
    "ROLES",
    "SAMPLES",
    "SPEAKER",
    "Part",
    "open_part",
    "open_parts",
    "require",
]

CROPS, MEL, SAMPLES, SPEAKER, REFERENCE = "crops", "mel", "samples", "speaker", "reference"
"""Names of inputs and outputs."""
FORMAT = 1
"""Of the graphs and of what is said about them; raised when either changes."""
PREFIX = "unsilent."
ROLES = ("model", "vocoder", "voice")


@dataclass(frozen=True)
class Part:
    """An opened graph."""

    session: Any
    about: dict[str, Any]
    """Its metadata, without ``unsilent.``; JSON is decoded."""

    def run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """All outputs by name."""
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, feeds), strict=True))


def require(module: str) -> ModuleType:
    """Import ``onnx`` or ``onnxruntime``.

    Raises:
        CheckpointError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CheckpointError(f"{module} cannot be imported ({error}); pip install 'unsilent[onnx]'") from error


def open_part(source: Path | bytes, threads: int) -> Part:
    """Open a graph, from a file or memory, on the processor.

    Raises:
        CheckpointError: ONNX Runtime is missing, or cannot read it.
    """
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin while they wait take the processor from face tracking.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    name = "the graph" if isinstance(source, bytes) else str(source)
    try:
        session = runtime.InferenceSession(
            source if isinstance(source, bytes) else str(source), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{name}: is no model that ONNX Runtime reads ({reason}); export it again") from error
    return Part(session, _about(session, name))


def open_parts(path: Path, threads: int) -> dict[str, Part]:
    """Open what was exported to a file or a folder, by role: ``model``, and ``vocoder`` and ``voice`` where they are.

    Raises:
        CheckpointError: it is not what `unsilent.export.export_onnx` writes.
    """
    if path.is_dir():
        files = {role: path / f"{role}.onnx" for role in ROLES}
        if not files["model"].is_file():
            raise CheckpointError(f"{files['model']}: is missing; export the model again")
        parts = {role: open_part(file, threads) for role, file in files.items() if file.is_file()}
    elif not path.is_file():
        raise CheckpointError(f"{path}: no such file; export the model first: unsilent export onnx MODEL {path}")
    else:
        part = open_part(path, threads)
        parts = _split(path, part, threads) if part.about.get("role") == "whole" else {"model": part}
    for role, part in parts.items():
        if part.about.get("role") not in (role, "whole"):
            raise CheckpointError(f"{path}: was not exported by unsilent as a {role}; export the model again")
    return parts


def _split(path: Path, whole: Part, threads: int) -> dict[str, Part]:
    """Both halves of a whole chain: windows of mel are put together between them."""
    onnx = require("onnx")
    importlib.import_module("onnx.utils")
    extractor = onnx.utils.Extractor(onnx.load(path))
    inputs = [given.name for given in whole.session.get_inputs()]
    halves = {"model": (inputs, [MEL]), "vocoder": ([MEL], [SAMPLES])}
    return {
        role: Part(open_part(extractor.extract_model(*ends).SerializeToString(), threads).session, whole.about)
        for role, ends in halves.items()
    }


def _about(session: Any, name: str) -> dict[str, Any]:
    about: dict[str, Any] = {}
    for key, value in session.get_modelmeta().custom_metadata_map.items():
        if key.startswith(PREFIX):
            try:
                about[key.removeprefix(PREFIX)] = json.loads(value)
            except (ValueError, RecursionError):
                about[key.removeprefix(PREFIX)] = value
    if about and about.get("format") != FORMAT:
        raise CheckpointError(f"{name}: was exported by another version of unsilent; export the model again")
    return about
