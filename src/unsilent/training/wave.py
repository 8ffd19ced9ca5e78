"""Training towards waveforms: what both inputs have in common, and silent video to sound (V2A-WaveGAN).

Shapes: B batch, T video frames, N = 960 T samples, F mel bands, M = 4 T mel frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from unsilent.config import dump_recipe
from unsilent.features import log_mel
from unsilent.models.config import VideoEncoderConfig
from unsilent.models.pretrained import save_model
from unsilent.models.reconstructor import Reconstructor, build_reconstructor
from unsilent.models.source import SourceFilter
from unsilent.models.wave import WaveDecoder
from unsilent.nn import length_mask
from unsilent.shards import ShardReader
from unsilent.training.adversary import Adversary
from unsilent.training.clips import clip_order, open_clips
from unsilent.training.finetune import Thaw, parameter_groups, start
from unsilent.training.intelligibility import mel_estoi
from unsilent.training.losses import best_lags, centre_lags, shift_frames
from unsilent.training.order import BatchOrder
from unsilent.training.pitch import autocorrelation_pitch, fill_pitch, pitch_l1
from unsilent.training.plots import mel_figure
from unsilent.training.recipe import StartConfig
from unsilent.training.reduce import average_gradients, clip_gradients, global_mean
from unsilent.training.references import References
from unsilent.training.wave_data import WaveBatch, WaveClipData, WaveSample, collate_waves
from unsilent.training.wave_losses import Heard, Mean, local_mean, low_pass, mel_l1, mfcc_l1, power_l1, stft_loss
from unsilent.training.wave_recipe import PretrainWaveRecipe, TrainWaveRecipe

__all__ = ["TrainWaveTask", "WaveTask"]

Metrics = dict[str, float]


class WaveTask:
    """A `Reconstructor` whose target is a waveform, and the adversary that it may have.

    Args:
        recipe: of the stage.
        accelerator: device, processes, precision.
        begin: where the weights come from.
    """

    def __init__(
        self, recipe: PretrainWaveRecipe | TrainWaveRecipe, accelerator: Accelerator, begin: StartConfig | None = None
    ) -> None:
        self.settings, self.accelerator = recipe, accelerator
        begin, optim, adversary = begin or StartConfig(), recipe.optim, recipe.adversary
        torch.manual_seed(recipe.run.seed)
        model = build_reconstructor(recipe.model)
        model.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        start(model, begin)
        self._thaw = Thaw(model, begin)
        self.modules = nn.ModuleDict({"model": model}).to(accelerator.device)
        groups = parameter_groups(self.modules, optim, begin.rates)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "model": torch.optim.AdamW(groups, optim.lr, optim.betas, fused=True)
        }
        self.keep_last = adversary.begin < 1
        if self.keep_last:
            self.modules["adversary"] = Adversary(adversary).to(accelerator.device)
            own = [{"params": list(self.modules["adversary"].parameters()), "scale": adversary.rate}]
            self.optimizers["adversary"] = torch.optim.AdamW(own, optim.lr, adversary.betas, weight_decay=0, fused=True)

    def collate(self, samples: list[WaveSample]) -> WaveBatch:
        """Pad to the longest."""
        return collate_waves(samples, self.settings.model.mel.samples_per_frame)

    def update(self, batch: WaveBatch, step: int, total: int) -> Metrics:
        """A step of the model, after those of its adversary once it is their turn."""
        self._thaw.apply(step, total)
        batch, metrics = batch.to(self.accelerator.device), Metrics()
        made, pitch = self._made(batch, told=True)
        true, heard, losses = self._losses(batch, made, pitch, global_mean)
        if self.keep_last and step >= self.settings.adversary.begin * total:
            real, generated = self._shown(true, made, heard)
            adversary: Adversary = self.modules["adversary"]  # type: ignore[assignment]
            for _ in range(self.settings.adversary.steps):
                with self.accelerator.autocast():
                    own = adversary.own_loss(real, generated)
                self._step("adversary", own)
                metrics["adversary"] = own.item()
            with self.accelerator.autocast():
                losses |= adversary.losses(real, generated)
        losses["loss"] = self._total(losses)
        metrics["gradient_norm"] = self._step("model", losses["loss"])
        return {**{name: value.item() for name, value in losses.items()}, **metrics}

    def judge(self, batches: Sequence[WaveBatch], writer: SummaryWriter, step: int) -> Metrics:
        """Mean losses over held-out batches, and ESTOI, which is the score; the first item can be heard and seen."""
        sums, mel = Metrics(), self.settings.model.mel
        items = sum(len(batch.frames) for batch in batches)
        for number, each in enumerate(batches):
            batch = each.to(self.accelerator.device)
            made, pitch = self._made(batch)
            _, _, losses = self._losses(batch, made, pitch, local_mean)
            mels = [log_mel(sound, mel) for sound in (made, batch.samples)]
            counts = length_mask(batch.valid // mel.hop_length, mels[0].shape[2])
            losses["estoi_unmoved"] = mel_estoi(mels[0], mels[1], counts, mel).mean()
            losses["loss"] = self._total(losses)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(batch.frames) / items
            if number == 0:
                self._show(writer, batch, made, mels, step)
        return {**sums, "score": 1 - sums["estoi_unmoved"]}

    def save(self, folder: Path, trained_on: Any, metrics: Metrics, step: int) -> None:
        """Write the averaged model as a model folder."""
        card = {
            "name": self.settings.name,
            "trained_on": trained_on,
            "step": step,
            "metrics": {name: round(value, 5) for name, value in metrics.items()},
            "recipe": dump_recipe(self.settings),
        }
        save_model(folder, self.modules["model"], self.settings.model, card)

    def _made(self, batch: WaveBatch, *, told: bool = False) -> tuple[Tensor, Tensor | None]:
        """Samples (B, N) of a batch's sources, and the pitch (B, M) that a decoder with a source gives them.

        Where it is ``told`` the true pitch, that is what is heard: harmonics elsewhere than in the true sound would
        teach the gains to do without any.
        """
        mask = length_mask(batch.frames, batch.samples.shape[1] // self.settings.model.mel.samples_per_frame)
        model: Reconstructor = self.modules["model"]  # type: ignore[assignment]
        voice = model.voice_of(batch.reference)
        source = model.decoder.head if isinstance(model.decoder, WaveDecoder) else None
        with self.accelerator.autocast():
            if not isinstance(source, SourceFilter):
                return model(batch.source, mask, voice).float(), None
            latents = model.latents(batch.source, mask, voice)
            given = fill_pitch(self._pitch(source, batch.samples)) if told else None
            assert isinstance(model.decoder, WaveDecoder)
            made, pitch = model.decoder.voiced(latents, mask, given, model.modality)
        return made.float(), pitch.float()

    def _pitch(self, source: SourceFilter, sound: Tensor) -> Tensor:
        """Pitch (B, M) of sound, 0 where there is none."""
        own = source.config
        return autocorrelation_pitch(sound, source.hop_length, source.sample_rate, own.lowest, own.highest)

    def _losses(
        self, batch: WaveBatch, made: Tensor, pitch: Tensor | None, mean: Mean
    ) -> tuple[Tensor, Heard, dict[str, Tensor]]:
        """The sound that was to be made, moved where the recipe allows it; what of it counts; and every loss."""
        weights, mel = self.settings.loss, self.settings.model.mel
        true, heard = batch.samples, Heard(batch.valid, batch.bandwidth, mel.sample_rate)
        mine, wanted = log_mel(made, mel), log_mel(true, mel)
        keep = heard.mel(mel, wanted.shape[2])
        if weights.lag:
            lags = centre_lags(best_lags(mine, wanted, keep.any(1), weights.lag), alone=mean is local_mean)
            true, heard = heard.moved(true, lags * mel.hop_length)
            wanted, _ = shift_frames(wanted, keep.any(1), lags)
            keep = heard.mel(mel, wanted.shape[2])
        losses = {
            "stft": stft_loss(made, true, heard, weights.resolutions, mean),
            "mel": mel_l1(mine, wanted, keep, mean),
        }
        if weights.power:
            losses["power"] = power_l1(made, true, heard, mean)
        if weights.mfcc:
            losses["mfcc"] = mfcc_l1(mine, wanted, keep, mean)
        if pitch is not None:
            wanted_pitch = self._pitch(self.modules["model"].decoder.head, true)  # type: ignore[union-attr, arg-type]
            losses["pitch"] = pitch_l1(pitch, wanted_pitch, mean)
        if weights.estoi:
            losses["estoi"] = 1 - mel_estoi(mine, wanted, keep.any(1), mel).mean()
        return true, heard, losses

    def _total(self, losses: dict[str, Tensor]) -> Tensor:
        """Sum of ``losses`` by the recipe's weights."""
        weighted = [getattr(self.settings.loss, name) * value for name, value in losses.items() if name in WEIGHED]
        total: Tensor = sum(weighted[1:], start=weighted[0])
        return total

    def _shown(self, true: Tensor, made: Tensor, heard: Heard) -> tuple[Tensor, Tensor]:
        """Real and generated sound as an adversary gets them: low-passed to the bandwidth, silent after the end."""
        rate = self.settings.model.mel.sample_rate
        keep = heard.samples(true.shape[1]).to(made.dtype)
        real, generated = (low_pass(each * keep, heard.bandwidth, rate) for each in (true, made))
        frames = self.settings.adversary.segment_frames
        length = true.shape[1] if frames is None else frames * self.settings.model.mel.samples_per_frame
        # Torch's generator is seeded by the step: a resumed run draws the same stretch.
        first = int(torch.randint(0, max(1, true.shape[1] - length + 1), (1,)))
        return real[:, first : first + length], generated[:, first : first + length]

    def _step(self, name: str, loss: Tensor) -> float:
        optimizer, parameters = self.optimizers[name], list(self.modules[name].parameters())
        optimizer.zero_grad(set_to_none=True)
        # The adversary judges the same generated sound several times, and the model learns from it last.
        self.accelerator.backward(loss)
        average_gradients(parameters)
        norm = clip_gradients(parameters, self.settings.optim.clip)
        optimizer.step()
        return norm

    def _show(self, writer: SummaryWriter, batch: WaveBatch, made: Tensor, mels: list[Tensor], step: int) -> None:
        writer.add_audio("validation/made", made[0].cpu(), step, self.settings.model.mel.sample_rate)
        crops = batch.source[0, : int(batch.frames[0])].cpu().numpy() if batch.source.ndim == 4 else None
        pictures = {name: mel[0].cpu().numpy() for name, mel in zip(("made", "true"), mels, strict=True)}
        writer.add_figure("validation/mel", mel_figure(crops, pictures), step)


WEIGHED = frozenset({"stft", "mel", "power", "mfcc", "estoi", "pitch", "adversarial", "feature_matching"})
"""Losses that have a weight in the recipe."""


class TrainWaveTask(WaveTask):
    """`unsilent.training.loop.Task` that fits a `Reconstructor` to prepared clips and their sound.

    Args:
        recipe: what to train.
        accelerator: device, processes, precision.
        on_load: called after every training clip that is read into memory.
    """

    def __init__(
        self, recipe: TrainWaveRecipe, accelerator: Accelerator, on_load: Callable[[], None] | None = None
    ) -> None:
        self.recipe = recipe
        data, config = recipe.data, recipe.model
        assert isinstance(config.encoder, VideoEncoderConfig)
        told = config.speaker
        common: dict[str, Any] = {
            "mel": config.mel,
            "encoder": config.encoder,
            "bandwidth": recipe.bandwidth or config.mel.sample_rate / 2,
        }
        rows = self._rows = open_clips(data, recipe.run, config)
        self._train = WaveClipData(
            rows, seed=recipe.run.seed, augment=data.augment, window=data.window,
            references=References(rows.speakers, told.reference_frames) if told else None,
            cache=recipe.run.cache, on_load=on_load, **common
        )  # fmt: skip
        held_out = ShardReader(data.shards, split=data.validation)[: data.validation_clips]
        others = References([row.speaker for row in held_out], told.reference_frames) if told else None
        self._held_out = WaveClipData(held_out, references=others, **common)
        super().__init__(recipe, accelerator, recipe.start)

    def data(self) -> WaveClipData:
        """Augmented training clips."""
        return self._train

    def order(self, start: int) -> BatchOrder:
        """Batches from step ``start`` on."""
        return clip_order(self._rows, self.recipe.run, start)

    def validate(self, writer: SummaryWriter, step: int) -> Metrics:
        """Losses and ESTOI over held-out clips."""
        size, count = self.recipe.run.batch_size, len(self._held_out)
        batches = [
            self.collate([self._held_out[i] for i in range(first, min(first + size, count))])
            for first in range(0, count, size)
        ]
        return self.judge(batches, writer, step)

    def ship(self, folder: Path, metrics: Metrics, step: int) -> None:
        """Write the averaged model as a model folder."""
        data = self.recipe.data
        trained_on = {"shards": Path(data.shards).name, "split": data.train, "clips": len(self._train)}
        self.save(folder, trained_on, metrics, step)
