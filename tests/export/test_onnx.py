"""Exported models: what torch says, at every length, and a refusal where they would not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.small import CONFIG, ENCODER, VOCODER, reconstructor, unsettle

from unsilent.errors import CheckpointError, OutputError
from unsilent.export import export_onnx, open_part, open_parts
from unsilent.export.graphs import VocoderGraph
from unsilent.export.onnx import trial_crops
from unsilent.models import Reconstructor, ReconstructorConfig, Vocoder
from unsilent.models.config import AudioEncoderConfig, SourceConfig, SpeakerConfig, WaveDecoderConfig
from unsilent.models.folding import fold_batch_norms
from unsilent.models.public_vocoders import HifiganConfig, ParallelWaveganConfig, PublicMelConfig, PublicVocoder

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

CARD = {"name": "small", "data": ["none"]}
WAVE = CONFIG.model_copy(
    update={"decoder": WaveDecoderConfig(strides=(5, 4, 4, 12), widths=(8, 8, 6, 4), blocks=1)}
)  # fmt: skip
SHAPED = CONFIG.model_copy(
    update={"decoder": WaveDecoderConfig(strides=(4, 2, 120), widths=(8, 8, 6), blocks=1, source=SourceConfig())}
)
TOLD = CONFIG.model_copy(update={"speaker": SpeakerConfig(width=6, hidden=8, blocks=2)})


def vocoder(iterations: int = 2) -> Vocoder:
    made = Vocoder(VOCODER.model_copy(update={"phase_iterations": iterations}))
    unsettle(made)
    return made.eval()


def crops_of(length: int) -> torch.Tensor:
    noise = np.random.default_rng(length).integers(-20, 20, (length, 16, 16))
    return torch.from_numpy(np.clip(trial_crops(length, 16) + noise, 0, 255).astype(np.uint8))[None]


def by_torch(model: Reconstructor, crops: torch.Tensor, voice: torch.Tensor | None = None) -> torch.Tensor:
    with torch.inference_mode():
        made: torch.Tensor = fold_batch_norms(model)(crops, torch.ones(crops.shape[:2], dtype=torch.bool), voice)
    return made


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reconstructor, Vocoder]:
    """A small model as one file and as a folder."""
    torch.manual_seed(0)
    folder, model, voice = tmp_path_factory.mktemp("exported"), reconstructor(), vocoder()
    export_onnx(model, CONFIG, voice, CARD, folder / "whole.onnx")
    export_onnx(model, CONFIG, voice, CARD, folder / "parts")
    return folder, model, voice


@pytest.mark.parametrize("length", [5, 6, 7, 12, 41])
def test_every_length_is_as_torch_has_it(exported: tuple[Path, Reconstructor, Vocoder], length: int) -> None:
    folder, model, voice = exported
    crops = crops_of(length)
    mel = by_torch(model, crops)
    with torch.inference_mode():
        samples = voice(mel).clamp(-1, 1)
    whole = open_part(folder / "whole.onnx", 1).run({"crops": crops.numpy()})
    parts = open_parts(folder / "parts", 1)
    alone = parts["vocoder"].run({"mel": parts["model"].run({"crops": crops.numpy()})["mel"]})
    halves = open_parts(folder / "whole.onnx", 1)
    again = halves["vocoder"].run({"mel": halves["model"].run({"crops": crops.numpy()})["mel"]})
    assert whole["samples"].shape == (1, 960 * length)
    np.testing.assert_allclose(whole["mel"], mel.numpy(), atol=1e-4)
    for made in (whole, alone, again):
        np.testing.assert_allclose(made["samples"], samples.numpy(), atol=1e-3)
    assert np.abs(whole["samples"]).max() > 0.01


@pytest.mark.parametrize("iterations", [0, 1, 3])
@pytest.mark.parametrize("frames", [1, 2, 4, 5, 30])
def test_convolutions_are_the_transforms_at_the_edges_too(frames: int, iterations: int) -> None:
    voice, mel = vocoder(iterations), torch.randn(1, 80, frames) - 4
    with torch.inference_mode():
        wanted, made = voice(mel).clamp(-1, 1), VocoderGraph(voice)(mel)
    assert made.shape == wanted.shape
    torch.testing.assert_close(made, wanted, atol=2e-4, rtol=0)


def test_other_hops_and_windows() -> None:
    mel = VOCODER.mel.model_copy(update={"n_fft": 600, "win_length": 600, "hop_length": 320, "n_mels": 20})
    voice = Vocoder(VOCODER.model_copy(update={"mel": mel, "phase_iterations": 2})).eval()
    given = torch.randn(1, 20, 9) - 4
    with torch.inference_mode():
        torch.testing.assert_close(VocoderGraph(voice)(given), voice(given).clamp(-1, 1), atol=2e-4, rtol=0)


def test_a_file_says_what_it_holds(exported: tuple[Path, Reconstructor, Vocoder]) -> None:
    folder, _, voice = exported
    for path in (folder / "whole.onnx", folder / "parts" / "model.onnx", folder / "parts" / "vocoder.onnx"):
        graph = onnx.load(path)
        onnx.checker.check_model(graph)
        assert [(each.domain, each.version >= 17) for each in graph.opset_import] == [("", True)]
        about = open_part(path, 1).about
        assert about["card"]["config"]["encoder"]["crop"] == 16
        assert about["mel"]["hop_length"] == 240
        assert (about["frame_rate"], about["sample_rate"]) == (25, 24_000)
        assert about["context_frames"] == voice.context_frames
        assert max(about["errors"].values()) <= 1e-3
        assert "synthetic" in about["note"]
    whole = onnx.load(folder / "whole.onnx").graph
    shapes = {each.name: [axis.dim_param or axis.dim_value for axis in each.type.tensor_type.shape.dim]
              for each in (*whole.input, *whole.output)}  # fmt: skip
    assert shapes == {"crops": [1, "frames", 16, 16], "mel": [1, 80, "mel_frames"], "samples": [1, "samples"]}


@pytest.mark.parametrize("config", [WAVE, SHAPED])
def test_a_model_of_waves_needs_no_vocoder(tmp_path: Path, config: ReconstructorConfig) -> None:
    model = reconstructor(config)
    done = export_onnx(model, config, None, CARD, tmp_path / "wave")
    assert list(done.files) == ["model"]
    parts = open_parts(tmp_path / "wave", 1)
    for frames in (9, 150):
        crops = crops_of(frames)
        (made,) = parts["model"].run({"crops": crops.numpy()}).values()
        np.testing.assert_allclose(made, by_torch(model, crops).numpy(), atol=5e-4)
        assert made.shape == (1, frames * 960)


def test_a_voice_is_an_input_where_the_model_has_voices(tmp_path: Path) -> None:
    model, voice = reconstructor(TOLD), vocoder()
    done = export_onnx(model, TOLD, voice, CARD, tmp_path / "told")
    assert set(done.files) == {"model", "vocoder", "voice"}
    assert set(done.errors) == {"mel", "samples", "speaker"}
    parts = open_parts(tmp_path / "told", 1)
    reference = torch.randn(1, 80, 70) - 4
    with torch.inference_mode():
        wanted = model.voice_of(reference)
    assert wanted is not None
    told = parts["voice"].run({"reference": reference.numpy()})["speaker"]
    np.testing.assert_allclose(told, wanted.numpy(), atol=1e-4)
    crops = crops_of(8)
    mels = {}
    for name, embedding in (
        ("told", told),
        ("unknown", np.asarray([parts["model"].about["unknown_voice"]], np.float32)),
    ):
        mels[name] = parts["model"].run({"crops": crops.numpy(), "speaker": embedding})["mel"]
    np.testing.assert_allclose(mels["told"], by_torch(model, crops, wanted).numpy(), atol=1e-4)
    np.testing.assert_allclose(mels["unknown"], by_torch(model, crops).numpy(), atol=1e-4)
    assert np.abs(mels["told"] - mels["unknown"]).max() > 1e-3
    export_onnx(model, TOLD, voice, CARD, tmp_path / "told.onnx")
    inputs = [each.name for each in onnx.load(tmp_path / "told.onnx").graph.input]
    assert inputs == ["crops", "speaker"]


def test_a_public_vocoder_that_is_a_network_comes_along(tmp_path: Path) -> None:
    mel = PublicMelConfig(sample_rate=24_000, n_fft=1024, hop_length=240, win_length=1024, n_mels=80)
    public = PublicVocoder(
        HifiganConfig(
            mel=mel, log_base="e", normalised=False, centred=True, channels=16, rates=(5, 6, 8),
            rate_kernels=(10, 12, 16), block_kernels=(3,), block_dilations=((1, 3),),
        )
    ).eval()  # fmt: skip
    model = reconstructor()
    export_onnx(model, CONFIG, public, CARD, tmp_path / "public")
    crops = crops_of(7)
    parts = open_parts(tmp_path / "public", 1)
    made = parts["vocoder"].run({"mel": parts["model"].run({"crops": crops.numpy()})["mel"]})["samples"]
    with torch.inference_mode():
        np.testing.assert_allclose(made, public(by_torch(model, crops)).clamp(-1, 1).numpy(), atol=1e-4)
    noisy = ParallelWaveganConfig(mel=mel, log_base="10", normalised=False, centred=True, rates=(4, 5, 3, 4))
    with pytest.raises(CheckpointError, match="Parallel WaveGAN"):
        export_onnx(model, CONFIG, PublicVocoder(noisy), CARD, tmp_path / "noisy")


def test_what_differs_from_torch_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A defect in the graph: torch's own iterations keep their momentum.
    monkeypatch.setattr("unsilent.export.graphs.MOMENTUM", 0.2)
    with pytest.raises(CheckpointError, match="its samples differs from torch's") as caught:
        export_onnx(reconstructor(), CONFIG, vocoder(3), CARD, tmp_path / "x.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_no_numbers_is_not_written(tmp_path: Path) -> None:
    model = reconstructor()
    with torch.no_grad():
        model.decoder.project.weight.fill_(float("nan"))  # type: ignore[union-attr, operator]
    with pytest.raises(CheckpointError, match="differs"):
        export_onnx(model, CONFIG, vocoder(), CARD, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_hears_is_refused(tmp_path: Path) -> None:
    config = ReconstructorConfig.model_validate(
        {
            **CONFIG.model_dump(),
            "encoder": AudioEncoderConfig(widths=(2, 2, 2, 2, 2), bottleneck=2, out_width=8).model_dump(),
        }
    )
    with pytest.raises(CheckpointError, match="reads audio"):
        export_onnx(reconstructor(config), config, vocoder(), CARD, tmp_path / "x.onnx")


def test_a_folder_keeps_no_part_of_the_model_before(tmp_path: Path) -> None:
    export_onnx(reconstructor(), CONFIG, vocoder(), CARD, tmp_path / "m")
    export_onnx(reconstructor(WAVE), WAVE, None, CARD, tmp_path / "m")
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["model.onnx"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file"):
        export_onnx(reconstructor(), CONFIG, vocoder(), CARD, tmp_path / "file")


def _foreign() -> bytes:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [value], [out])
    made: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return made


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "foreign", "vocoder alone", "old", "missing"])
def test_a_damaged_file_is_one_line(exported: tuple[Path, Reconstructor, Vocoder], tmp_path: Path, kind: str) -> None:
    whole = (exported[0] / "whole.onnx").read_bytes()
    old = onnx.load_from_string(whole)
    onnx.helper.set_model_props(old, {"unsilent.format": json.dumps(0)})
    content: dict[str, Any] = {
        "text": b"not a model", "empty": b"", "truncated": whole[: len(whole) // 2], "foreign": _foreign(),
        "vocoder alone": (exported[0] / "parts" / "vocoder.onnx").read_bytes(), "old": old.SerializeToString(),
    }  # fmt: skip
    path = tmp_path / "model.onnx"
    if kind in content:
        path.write_bytes(content[kind])
    with pytest.raises(CheckpointError, match=r"model\.onnx") as caught:
        open_parts(path, 1)
    assert "\n" not in str(caught.value)


def test_the_drawn_mouth_moves() -> None:
    crops = trial_crops(30, 64)
    assert crops.shape == (30, 64, 64)
    assert crops.dtype == np.uint8
    assert crops.std(axis=0).max() > 20


def test_the_encoder_of_a_larger_recipe(tmp_path: Path) -> None:
    config = CONFIG.model_copy(
        update={"encoder": ENCODER.model_copy(update={"stem_pool": True, "pooling": "mean", "out_width": 6}),
                "split_norm": False}
    )  # fmt: skip
    model = reconstructor(ReconstructorConfig.model_validate(config.model_dump()))
    export_onnx(model, config, vocoder(), CARD, tmp_path / "m")
    crops = crops_of(6)
    made = open_parts(tmp_path / "m", 1)["model"].run({"crops": crops.numpy()})["mel"]
    np.testing.assert_allclose(made, by_torch(model, crops).numpy(), atol=1e-4)
