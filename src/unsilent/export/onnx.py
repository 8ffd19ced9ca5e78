"""Models as ONNX files, checked against torch before they are kept.

A file holds the whole chain (crops to mel and samples); a folder holds its parts, which long videos need, since windows
of mel pass into one another before the vocoder hears them. See `unsilent.export.reading` for what stands in a file.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unsilent.errors import CheckpointError, OutputError
from unsilent.export.graphs import ModelGraph, VoiceGraph, WholeGraph, vocoder_graph
from unsilent.export.reading import CROPS, FORMAT, MEL, REFERENCE, ROLES, SAMPLES, SPEAKER, Part, open_part, require
from unsilent.files import atomic_path
from unsilent.models.config import ReconstructorConfig, VideoEncoderConfig
from unsilent.models.folding import fold_batch_norms
from unsilent.models.public_vocoders import PublicVocoder
from unsilent.models.reconstructor import Reconstructor
from unsilent.models.vocoder import Vocoder

__all__ = ["LENGTHS", "OPSET", "TOLERANCE", "Exported", "export_onnx", "trial_crops"]

OPSET = 17
TOLERANCE = 1e-3
"""Largest absolute difference from torch, in natural-log mel and in samples at full scale."""
LENGTHS = (5, 8, 29, 75)
"""Video frames of the trials."""
TRACED = 11
"""Video frames of the clip that is traced."""
NOTE = (
    "The speech that this model makes is synthetic: say so where it is heard, and speak for nobody who did not agree."
)
Errors = dict[str, float]


@dataclass(frozen=True)
class Exported:
    """What `export_onnx` wrote."""

    files: dict[str, Path]
    """By what is inside: ``whole``, or ``model``, ``vocoder``, ``voice``."""
    errors: Errors
    """Largest absolute difference from torch over all trials, by output: ``mel``, ``samples``, ``speaker``."""
    opset: int = OPSET
    lengths: Sequence[int] = field(default=LENGTHS)


def export_onnx(
    model: Reconstructor,
    config: ReconstructorConfig,
    vocoder: Vocoder | PublicVocoder | None,
    card: dict[str, Any],
    output: Path,
    *,
    tolerance: float = TOLERANCE,
) -> Exported:
    """Write a model as ONNX, of any length from 5 frames on.

    Args:
        model: video to mel or samples.
        config: its settings.
        vocoder: mel to samples; None for a model that makes samples itself.
        card: what is known about the model; it goes into the files.
        output: a file (``.onnx``), or a folder for one file a part.
        tolerance: largest absolute difference from torch that is accepted.

    Raises:
        CheckpointError: the packages are missing, the model cannot be exported, or ONNX Runtime differs from torch by
            more than the tolerance; nothing is written then.
        OutputError: the output cannot be written.
    """
    require("onnx")
    single = output.suffix.lower() == ".onnx"
    if not single and output.exists() and not output.is_dir():
        raise OutputError(f"{output}: is a file; name a folder, or a file that ends in .onnx")
    graphs = _graphs(model, vocoder, whole=single)
    written = {role: _trace(graph, role, config) for role, graph in graphs.items()}
    parts = {role: open_part(data, torch.get_num_threads()) for role, data in written.items()}
    errors = _compare(model.eval(), vocoder, config, parts)
    worst = max(errors, key=lambda name: errors[name])
    # Written so that a NaN is refused too.
    if not errors[worst] <= tolerance:
        raise CheckpointError(
            f"{output}: not written: its {worst} differs from torch's by {errors[worst]:.1e}, more than "
            f"{tolerance:.0e}; keep to torch for {card.get('name', 'this model')}"
        )
    about = _about(model, config, vocoder, card, errors)
    files = {role: output if single else output / f"{role}.onnx" for role in written}
    if not single:
        for role in ROLES:
            # Parts of another model that was here.
            (output / f"{role}.onnx").unlink(missing_ok=True)
    # The model itself last: a folder that holds it is complete.
    for role in sorted(written, reverse=True, key=lambda role: role != "model"):
        with atomic_path(files[role]) as temporary:
            temporary.write_bytes(_described(written[role], {**about, "unsilent.role": role}))
    return Exported({"whole": output} if single else files, errors)


def trial_crops(frames: int, side: int) -> NDArray[np.uint8]:
    """Drawn crops (T, side, side) of a mouth that opens and closes, to compare engines with."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    x, y = axis[None, None, :], axis[None, :, None]
    time = np.arange(frames, dtype=np.float32)[:, None, None]
    opening = 0.08 + 0.25 * np.abs(np.sin(0.55 * time)) * (0.5 + 0.5 * np.cos(0.13 * time))
    width = 0.62 + 0.1 * np.sin(0.31 * time)
    distance = np.hypot(x / width, y / opening)
    lips = np.exp(-np.square(np.hypot(x / (width + 0.12), y / (opening + 0.16)) - 1) / 0.03)
    picture = 150 + 20 * x + 12 * y - 45 * lips - 47.5 * (1 - np.tanh(6 * (distance - 1)))
    crops: NDArray[np.uint8] = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    return crops


def _graphs(model: Reconstructor, vocoder: Vocoder | PublicVocoder | None, *, whole: bool) -> dict[str, nn.Module]:
    graph = ModelGraph(model)
    graphs: dict[str, nn.Module] = {"model": graph}
    if vocoder is not None:
        if whole:
            return {"whole": WholeGraph(graph, vocoder_graph(vocoder))}
        graphs["vocoder"] = vocoder_graph(vocoder)
    if model.speaker is not None and not whole:
        graphs["voice"] = VoiceGraph(model.speaker)
    return graphs


def _trace(graph: nn.Module, role: str, config: ReconstructorConfig) -> bytes:
    """The graph as an ONNX file.

    By torch's older exporter: the newer one needs minutes for the unrolled phase iterations, and writes the same.
    """
    frames, mel = TRACED, config.mel
    speaker = [SPEAKER] if config.speaker else []
    crops = torch.from_numpy(trial_crops(frames, _side(config)))[None]
    voice = [torch.ones(1, config.speaker.width)] if config.speaker else []
    mels = torch.full((1, mel.n_mels, frames * mel.mels_per_frame), -4.0)
    result = MEL if config.decoder.target == "mel" else SAMPLES
    inputs, given, outputs = {
        "whole": ([CROPS, *speaker], (crops, *voice), [MEL, SAMPLES]),
        "model": ([CROPS, *speaker], (crops, *voice), [result]),
        "vocoder": ([MEL], (mels,), [SAMPLES]),
        "voice": ([REFERENCE], (mels,), [SPEAKER]),
    }[role]
    axes = {CROPS: {1: "frames"}, MEL: {2: "mel_frames"}, REFERENCE: {2: "mel_frames"}, SAMPLES: {1: "samples"}}
    with tempfile.TemporaryDirectory(prefix="unsilent-") as folder, warnings.catch_warnings(), torch.no_grad():
        # Of its age, and of shapes that it takes for constants: the trials at other lengths show that none is.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            cast(tuple[Any, ...], given),
            Path(folder) / "graph.onnx",
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={name: axes[name] for name in (*inputs, *outputs) if name in axes},
            opset_version=OPSET,
            dynamo=False,
        )
        return (Path(folder) / "graph.onnx").read_bytes()


@torch.inference_mode()
def _compare(
    model: Reconstructor, vocoder: Vocoder | PublicVocoder | None, config: ReconstructorConfig, parts: dict[str, Part]
) -> Errors:
    """Largest differences between the parts and torch, which speaks here as `Synthesizer` lets it."""
    folded, errors = fold_batch_norms(model), Errors()

    def note(name: str, made: NDArray[np.float32], wanted: Tensor) -> None:
        difference = np.abs(made - wanted.numpy()).max() if made.shape == wanted.shape else np.inf
        errors[name] = float(np.maximum(errors.get(name, 0.0), difference))

    for length in LENGTHS:
        crops = torch.from_numpy(trial_crops(length, _side(config)))[None]
        feeds, voice = {CROPS: crops.numpy()}, None
        if config.speaker:
            voice = nn.functional.normalize(torch.cos(torch.arange(config.speaker.width) * float(length)), dim=0)[None]
            feeds[SPEAKER] = voice.numpy()
        wanted = folded(crops, torch.ones(1, length, dtype=torch.bool), voice)
        results = (parts.get("whole") or parts["model"]).run(feeds)
        if vocoder is None:
            note(SAMPLES, results[SAMPLES], wanted.clamp(-1, 1))
            continue
        note(MEL, results[MEL], wanted)
        if "vocoder" in parts:
            results = parts["vocoder"].run({MEL: results[MEL]})
        note(SAMPLES, results[SAMPLES], vocoder.eval()(wanted).clamp(-1, 1))
        if "voice" in parts:
            note(
                SPEAKER, parts["voice"].run({REFERENCE: wanted.numpy()})[SPEAKER], cast(Tensor, model.voice_of(wanted))
            )
    return errors


def _about(
    model: Reconstructor,
    config: ReconstructorConfig,
    vocoder: Vocoder | PublicVocoder | None,
    card: dict[str, Any],
    errors: Errors,
) -> dict[str, str]:
    encoder, mel = cast(VideoEncoderConfig, config.encoder), config.mel
    about: dict[str, Any] = {
        "format": FORMAT,
        "name": card.get("name", "unnamed"),
        "card": {**card, "config": config.model_dump(mode="json")},
        "mel": mel.model_dump(mode="json"),
        "frame_rate": mel.frame_rate,
        "sample_rate": mel.sample_rate,
        "crops": f"grey, resized to {encoder.resize} pixels by area, the middle {encoder.crop}; T >= 5",
        "errors": errors,
        "note": NOTE,
    }
    if vocoder is not None:
        about["vocoder"] = vocoder.config.model_dump(mode="json")
        about["context_frames"] = vocoder.context_frames
    if config.speaker:
        unknown = cast(Tensor, model.voice_of(torch.zeros(1, mel.n_mels, 0)))
        about["unknown_voice"] = unknown[0].tolist()
    return {
        f"unsilent.{name}": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in about.items()
    }


def _described(written: bytes, about: dict[str, str]) -> bytes:
    import onnx

    graph = onnx.load_from_string(written)
    onnx.helper.set_model_props(graph, about)
    graph.producer_name = "unsilent"
    for output in graph.graph.output:
        output.type.tensor_type.shape.dim[0].dim_value = 1
    described: bytes = graph.SerializeToString()
    return described


def _side(config: ReconstructorConfig) -> int:
    return cast(VideoEncoderConfig, config.encoder).crop
