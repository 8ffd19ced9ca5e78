"""ONNX Runtime as the engine, from exported files or from files that are made on first use and kept."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.config import validate_recipe
from unsilent.errors import CheckpointError, RecipeError
from unsilent.export.reading import CROPS, FORMAT, MEL, REFERENCE, SPEAKER, Part, open_parts, require
from unsilent.files import cache_folder
from unsilent.models.config import ReconstructorConfig
from unsilent.models.pretrained import read_card
from unsilent.synthesis.engine import Array, EngineStream

__all__ = ["OnnxEngine", "exported_folder", "read_exported"]

_log = logging.getLogger(__name__)


class OnnxEngine:
    """Runs exported graphs on the processor, with as many threads as torch has.

    Args:
        path: a file or a folder that `unsilent.export.export_onnx` wrote.

    Raises:
        CheckpointError: ONNX Runtime is missing, or cannot use what is there.
    """

    name = "onnx"

    def __init__(self, path: Path) -> None:
        self._parts = open_parts(path, torch.get_num_threads())
        self._path = path
        unknown = self.about.get("unknown_voice")
        self._unknown = np.asarray(unknown, np.float32) if unknown is not None else None

    @property
    def about(self) -> dict[str, Any]:
        """What the export says about the model; see `unsilent.export.reading`."""
        return self._parts["model"].about

    @property
    def context_frames(self) -> int | None:
        """See `unsilent.synthesis.engine.Engine`."""
        return int(self._parts["vocoder"].about["context_frames"]) if "vocoder" in self._parts else None

    def reconstruct(self, crops: NDArray[np.uint8], voice: Array | None) -> Array:
        """See `unsilent.synthesis.engine.Engine`."""
        feeds: dict[str, NDArray[Any]] = {CROPS: crops[None]}
        told = self._unknown if voice is None else voice
        if told is not None:
            feeds[SPEAKER] = told[None]
        return _only(self._parts["model"], feeds)

    def vocode(self, mel: Array) -> Array:
        """See `unsilent.synthesis.engine.Engine`."""
        return _only(self._parts["vocoder"], {MEL: np.ascontiguousarray(mel)[None]})

    def stream(self, voice: Array | None) -> EngineStream:
        """See `unsilent.synthesis.engine.Engine`; no graph of a step is exported."""
        raise CheckpointError(f"{self._path}: ONNX Runtime speaks whole clips only; stream with the engine torch")

    def voice_of(self, mel: Array) -> Array:
        """See `unsilent.synthesis.engine.Engine`."""
        if "voice" not in self._parts:
            raise CheckpointError(f"{self._path}: cannot learn a voice from a recording; export the model to a folder")
        return _only(self._parts["voice"], {REFERENCE: mel[None]})


def read_exported(path: Path) -> tuple[OnnxEngine, ReconstructorConfig, dict[str, Any]]:
    """An exported file or folder as an engine, with the settings and the card of its model.

    Raises:
        CheckpointError: it cannot be used.
    """
    engine = OnnxEngine(path)
    card = engine.about.get("card")
    if not isinstance(card, dict) or not isinstance(card.get("config"), dict):
        raise CheckpointError(f"{path}: does not say which model it is; export the model again")
    try:
        config = validate_recipe(card["config"], ReconstructorConfig, str(path))
    except RecipeError as error:
        raise CheckpointError(str(error)) from error
    if (config.decoder.target == "mel") != (engine.context_frames is not None):
        raise CheckpointError(f"{path}: holds only a part of the model; export the model again")
    return engine, config, card


def exported_folder(model: Path, vocoder: Path, export: Callable[[Path], object]) -> Path:
    """Where the exported form of a model folder is kept; it is made now if it is not there.

    The name is a sum of settings and weights on both cards, so that another checkpoint is another folder.

    Args:
        model: its folder.
        vocoder: that of its vocoder, if it needs one.
        export: writes the exported form to a folder.

    Raises:
        CheckpointError: the model cannot be read or exported.
        OutputError: the cache cannot be written.
    """
    require("onnxruntime")
    cards = [read_card(model)]
    if cards[0]["config"].get("decoder", {}).get("target") != "wave":
        cards.append(read_card(vocoder))
    key = json.dumps([FORMAT, *([card["config"], card.get("sha256")] for card in cards)], sort_keys=True)
    folder = cache_folder("onnx") / hashlib.sha256(key.encode()).hexdigest()[:32]
    # An export writes the model's part last.
    if not (folder / "model.onnx").is_file():
        _log.info("%s: is exported for ONNX Runtime, once; it is kept in %s", model, folder)
        export(folder)
    return folder


def _only(part: Part, feeds: dict[str, NDArray[Any]]) -> Array:
    (made,) = part.run(feeds).values()
    out: Array = made[0]
    return out
