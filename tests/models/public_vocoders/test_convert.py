"""Published checkpoints become model folders that compute what the published code computes."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import save_file
from tests.models.public_vocoders import published
from tests.models.public_vocoders.published import HIFIGAN, KAN_BAYASHI_HIFIGAN, PWG, State
from tests.models.small import CONFIG, VOCODER, reconstructor

from unsilent.errors import CheckpointError
from unsilent.features import MelConfig
from unsilent.models import Vocoder
from unsilent.models.pretrained import init_from, load_vocoder, save_model
from unsilent.models.public_vocoders import PublicVocoder
from unsilent.models.public_vocoders.convert import convert_vocoder
from unsilent.models.public_vocoders.hifigan import HifiganGenerator
from unsilent.models.public_vocoders.parallel_wavegan import ParallelWaveganGenerator
from unsilent.synthesis.synthesizer import load

MEAN, SCALE = np.linspace(-3, -1, 5, dtype=np.float32), np.linspace(0.5, 1.5, 5, dtype=np.float32)


def write_hifigan(folder: Path, state: State | None = None, **settings: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"generator": state or published.hifigan_state()}, folder / "g_02500000")
    (folder / "config.json").write_text(json.dumps({**HIFIGAN, "segment_size": 8192, **settings}))
    return folder / "g_02500000"


def write_kan_bayashi(folder: Path, config: dict[str, Any], state: State) -> Path:
    """As the published archives are laid out, with what else is in such a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "model": {"generator": state, "discriminator": {"x": torch.zeros(2)}},
        "optimizer": {"generator": {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": []}},
        "steps": 400000,
        "epochs": 7,
    }
    torch.save(content, folder / "checkpoint-400000steps.pkl")
    (folder / "config.yml").write_text(yaml.dump({**config, "batch_size": 6, "version": "0.4.0"}))
    np.save(folder / "stats.npy", np.stack((MEAN, SCALE)))
    return folder / "checkpoint-400000steps.pkl"


def converted(checkpoint: Path, **options: Any) -> PublicVocoder:
    out = checkpoint.parent / "out"
    convert_vocoder(checkpoint, out, **options)
    model = load_vocoder(out)[0]
    assert isinstance(model, PublicVocoder)
    return model


def refused(checkpoint: Path, **options: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        convert_vocoder(checkpoint, checkpoint.parent / "out", **options)
    assert "\n" not in str(caught.value)
    assert not (checkpoint.parent / "out").exists()
    return str(caught.value)


def test_hifigan_computes_what_its_authors_code_computes(tmp_path: Path) -> None:
    state = published.hifigan_state()
    model = converted(write_hifigan(tmp_path, state))
    mel = torch.randn(1, 5, 9)
    with torch.inference_mode():
        made = model(mel)
    expected = published.hifigan(state, mel[0]).float()
    assert made.shape == (1, 72)
    assert expected.abs().max() > 0.05
    torch.testing.assert_close(made[0], expected, atol=1e-6, rtol=1e-5)


def test_names_and_shapes_are_the_published_ones_with_weights_folded(tmp_path: Path) -> None:
    def folded(state: State) -> dict[str, tuple[int, ...]]:
        kept = {name.replace("weight_v", "weight"): tuple(value.shape) for name, value in state.items()}
        return {name: shape for name, shape in kept.items() if not name.endswith("weight_g")}

    hifigan = converted(write_hifigan(tmp_path / "a")).generator
    assert isinstance(hifigan, HifiganGenerator)
    assert {name: tuple(value.shape) for name, value in hifigan.state_dict().items()} == folded(
        published.hifigan_state()
    )
    pwg = converted(write_kan_bayashi(tmp_path / "b", PWG, published.pwg_state())).generator
    assert {name: tuple(value.shape) for name, value in pwg.state_dict().items()} == folded(published.pwg_state())


def test_parallel_wavegan_computes_what_the_published_code_computes(tmp_path: Path) -> None:
    state = published.pwg_state()
    generator = converted(write_kan_bayashi(tmp_path, PWG, state)).generator
    assert isinstance(generator, ParallelWaveganGenerator)
    mel, noise = torch.randn(1, 5, 9 + 4), torch.randn(1, 1, 9 * 15)
    with torch.inference_mode():
        made = generator(noise, mel)
    expected = published.pwg(state, noise[0, 0], mel[0]).float()
    assert expected.std() > 0.01
    torch.testing.assert_close(made[0, 0], expected, atol=1e-6, rtol=1e-5)


def test_hifigan_as_kan_bayashi_trained_it(tmp_path: Path) -> None:
    own = KAN_BAYASHI_HIFIGAN["generator_params"]
    flat = {
        **HIFIGAN,
        "upsample_rates": own["upsample_scales"],
        "upsample_kernel_sizes": own["upsample_kernal_sizes"],
    }
    state = published.hifigan_state(flat)
    checkpoint = write_kan_bayashi(tmp_path, KAN_BAYASHI_HIFIGAN, published.kan_bayashi_names(state))
    model = converted(checkpoint)
    assert isinstance(model.generator, HifiganGenerator)
    mel = torch.randn(1, 5, 9)
    with torch.inference_mode():
        made = model.generator(mel)
    torch.testing.assert_close(made[0], published.hifigan(state, mel[0], flat, late=True).float(), atol=1e-6, rtol=1e-5)
    assert model.config.log_base == "10"
    assert model.config.centred
    torch.testing.assert_close(model.mean, torch.from_numpy(MEAN))


def test_newer_weight_normalisation_and_folded_weights_are_read_too(tmp_path: Path) -> None:
    state = published.hifigan_state()
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    newer = {}
    for name, value in state.items():
        prefix, _, last = name.rpartition(".")
        newer[f"{prefix}.{names.get(last, last)}"] = value
    first = converted(write_hifigan(tmp_path / "a", state))
    second = converted(write_hifigan(tmp_path / "b", newer))
    third = converted(write_hifigan(tmp_path / "c", first.generator.state_dict()))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
        assert torch.equal(value, third.state_dict()[name])


@pytest.mark.parametrize("suffix", ["npy", "safetensors"])
def test_statistics_are_found_beside_the_checkpoint_or_named(tmp_path: Path, suffix: str) -> None:
    checkpoint = write_kan_bayashi(tmp_path, PWG, published.pwg_state())
    (tmp_path / "stats.npy").unlink()
    assert "--statistics" in refused(checkpoint)
    named = tmp_path / f"mine.{suffix}"
    if suffix == "npy":
        np.save(named, np.stack((MEAN, SCALE)))
    else:
        save_file({"mean": MEAN, "scale": SCALE}, named)
    model = converted(checkpoint, statistics=named)
    torch.testing.assert_close(model.mean, torch.from_numpy(MEAN))
    torch.testing.assert_close(model.scale, torch.from_numpy(SCALE))


def test_statistics_inside_the_checkpoint(tmp_path: Path) -> None:
    state = published.pwg_state() | {"mean": torch.from_numpy(MEAN), "scale": torch.from_numpy(SCALE)}
    checkpoint = write_kan_bayashi(tmp_path, PWG, state)
    (tmp_path / "stats.npy").unlink()
    assert torch.equal(converted(checkpoint).mean, torch.from_numpy(MEAN))


def test_hdf5_statistics(tmp_path: Path) -> None:
    checkpoint = write_kan_bayashi(tmp_path, PWG, published.pwg_state())
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "stats.h5", "w") as handle:
        handle["mean"], handle["scale"] = MEAN + 1, SCALE
    torch.testing.assert_close(converted(checkpoint, statistics=tmp_path / "stats.h5").mean, torch.from_numpy(MEAN + 1))


def test_without_h5py_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    checkpoint = write_kan_bayashi(tmp_path, PWG, published.pwg_state())
    (tmp_path / "stats.h5").write_bytes(b"\x89HDF")
    assert "pip install h5py" in refused(checkpoint, statistics=tmp_path / "stats.h5")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((2, 4), np.float32), "4 and 4 bands"),
        (np.zeros((2, 5), np.float32), "scale above zero"),
        (np.full((2, 5), np.nan, np.float32), "finite"),
        (np.zeros(5, np.float32), "two rows"),
    ],
)
def test_impossible_statistics(tmp_path: Path, values: Any, said: str) -> None:
    checkpoint = write_kan_bayashi(tmp_path, PWG, published.pwg_state())
    np.save(tmp_path / "stats.npy", values)
    assert said in refused(checkpoint)


def test_the_card_says_where_it_came_from(tmp_path: Path) -> None:
    checkpoint = write_kan_bayashi(tmp_path / "libritts_pwg.v1", PWG, published.pwg_state())
    made = convert_vocoder(checkpoint, tmp_path / "out", licence="CC-BY-4.0")
    card = load_vocoder(tmp_path / "out")[2]
    assert card["name"] == "libritts_pwg.v1"
    assert card["licence"] == "CC-BY-4.0"
    assert card["converted_from"]["checkpoint"] == checkpoint.name
    assert card["config"]["kind"] == "vocoder-pwg"
    assert card["parameters"] == made.parameters
    assert made.config.mel.frame_rates == (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)


def test_another_networks_settings_name_the_tensor_and_both_shapes(tmp_path: Path) -> None:
    said = refused(write_hifigan(tmp_path, upsample_initial_channel=16))
    assert "conv_post.weight is (1, 2, 7), its settings ask for (1, 4, 7)" in said
    missing = published.hifigan_state()
    del missing["ups.0.bias"]
    assert "ups.0.bias is missing" in refused(write_hifigan(tmp_path, missing))
    extra = published.hifigan_state() | {"cond.weight": torch.zeros(1)}
    assert "cond.weight is (1,), its settings ask for no such tensor" in refused(write_hifigan(tmp_path, extra))


def changed(config: dict[str, Any], section: str, key: str, value: Any) -> dict[str, Any]:
    copy = deepcopy(config)
    (copy[section] if section else copy)[key] = value
    return copy


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (changed(PWG, "", "generator_type", "MelGANGenerator"), "MelGANGenerator"),
        (changed(PWG, "generator_params", "use_causal_conv", True), "use_causal_conv is True"),
        (changed(PWG, "generator_params", "upsample_net", "UpsampleNetwork"), "upsample_net is 'UpsampleNetwork'"),
        (changed(PWG, "generator_params", "upsample_params", {"upsample_scales": [3, 4]}), "is 12, the hop 15"),
        (changed(PWG, "generator_params", "layers", 5), "multiple of stacks"),
        (changed(PWG, "", "window", "blackman"), "window is 'blackman'"),
        (changed(PWG, "", "fmax", 500), "f_max"),
        (changed(KAN_BAYASHI_HIFIGAN, "generator_params", "use_additional_convs", False), "use_additional_convs"),
        ({"generator_params": {}}, "num_mels"),
        ({"generator_params": 3, "num_mels": 5}, "generator_params"),
    ],
)
def test_settings_that_are_not_known_are_named(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    checkpoint = write_kan_bayashi(tmp_path, config, published.pwg_state())
    message = refused(checkpoint)
    assert "config.yml" in message
    assert said in message or said == "generator_params"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"resblock": "2"}, "resblock is '2'"),
        ({"upsample_kernel_sizes": [9, 4]}, "uneven"),
        ({"hop_size": 16}, "is 8, the hop 16"),
        ({"upsample_initial_channel": "8"}, "channels"),
    ],
)
def test_settings_of_hifigan_that_are_not_known_are_named(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    assert said in refused(write_hifigan(tmp_path, **settings))


def test_no_settings_or_broken_ones(tmp_path: Path) -> None:
    checkpoint = write_hifigan(tmp_path)
    for text in ("{", "[]", "", "\0", "!!python/object/apply:os.getcwd []", "[" * 1500):
        (tmp_path / "config.json").unlink(missing_ok=True)
        (tmp_path / "config.yml").write_text(text)
        assert "config.yml" in refused(checkpoint)
    (tmp_path / "config.yml").unlink()
    assert "--settings" in refused(checkpoint)
    assert "cannot be read" in refused(checkpoint, settings=tmp_path / "nothing.json")


def test_other_kinds_of_folder_are_refused(tmp_path: Path) -> None:
    convert_vocoder(write_hifigan(tmp_path), tmp_path / "out")
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    for kind in (["vocoder-pwg"], "reconstructor", None):
        card["config"]["kind"] = kind
        (tmp_path / "out" / "card.json").write_text(json.dumps(card))
        with pytest.raises(CheckpointError, match="kind"):
            load_vocoder(tmp_path / "out")


def write_small_model(folder: Path, mel: MelConfig) -> None:
    config = CONFIG.model_copy(update={"mel": mel})
    save_model(folder, reconstructor(config), config, {"name": "small"})


def test_a_model_speaks_through_a_converted_vocoder_whose_mel_is_its_own(tmp_path: Path) -> None:
    convert_vocoder(write_kan_bayashi(tmp_path / "public", PWG, published.pwg_state()), tmp_path / "model" / "vocoder")
    mel = MelConfig(
        sample_rate=900, n_fft=64, hop_length=15, win_length=40, n_mels=5, f_min=20, f_max=400, frame_rate=15
    )
    write_small_model(tmp_path / "model", mel)
    crops = np.random.default_rng(0).integers(0, 255, (12, 96, 96), np.uint8)
    speech = load(tmp_path / "model").speak_crops(crops)
    assert speech.samples.shape == (12 * 60,)
    assert speech.mel.shape == (5, 48)
    assert np.abs(speech.samples).max() > 0


def test_another_mel_is_refused_with_both_values(tmp_path: Path) -> None:
    convert_vocoder(write_kan_bayashi(tmp_path / "public", PWG, published.pwg_state()), tmp_path / "model" / "vocoder")
    write_small_model(tmp_path / "model", MelConfig())
    with pytest.raises(CheckpointError, match=r"hop_length 240, the vocoder's 15") as caught:
        load(tmp_path / "model")
    assert "sample_rate 24000, the vocoder's 900" in str(caught.value)
    assert "\n" not in str(caught.value)
    ours = MelConfig(n_fft=2048, hop_length=300, win_length=1200, f_min=80, f_max=7600, frame_rate=20)
    write_small_model(tmp_path / "svts", ours)
    with pytest.raises(CheckpointError, match=r"hop_length 300, the vocoder's 240"):
        load(tmp_path / "svts")


def test_a_public_vocoder_is_no_start_for_one_of_ours(tmp_path: Path) -> None:
    convert_vocoder(write_hifigan(tmp_path), tmp_path / "out")
    with pytest.raises(CheckpointError, match="its mel"):
        init_from(Vocoder(VOCODER), tmp_path / "out")
