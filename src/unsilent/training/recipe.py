"""Typed recipes of every training stage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from unsilent.config import RecipeModel
from unsilent.models.config import ReconstructorConfig, VocoderConfig

__all__ = [
    "AugmentConfig",
    "DataConfig",
    "LossConfig",
    "OptimConfig",
    "RateConfig",
    "RunConfig",
    "StartConfig",
    "TrainRecipe",
    "VocoderDataConfig",
    "VocoderLossConfig",
    "VocoderRecipe",
]

Fraction = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class OptimConfig(RecipeModel):
    """AdamW with linear warm-up and cosine decay."""

    lr: float = Field(1e-3, gt=0)
    """Highest learning rate."""
    final_lr: Fraction = 0.01
    """Learning rate of the last step, as a fraction of the highest."""
    betas: tuple[Decay, Decay] = (0.9, 0.98)
    weight_decay: float = Field(0.01, ge=0)
    warmup: Fraction = 0.1
    """Fraction of all steps over which the learning rate rises from zero."""
    hold: Fraction = 0.0
    """Fraction of the steps after that over which it stays at its highest, before it falls."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    ema: float = Field(0.999, ge=0, lt=1)
    """Decay of the moving average of the weights, which is what validation, synthesis and the shipped model use."""


class RunConfig(RecipeModel):
    """How long, how often, how reproducibly."""

    seed: int = Field(0, ge=0, lt=2**32)
    epochs: int = Field(100, ge=1)
    batch_size: int = Field(8, ge=1)
    """Clips a step, over all processes and all parts of ``accumulate``."""
    accumulate: int = Field(1, ge=1)
    """Parts in which each process works on its share of a step, one after the other, to need less memory. Batch-norm
    then sees a part at a time, so that the result is not that of the whole batch at once."""
    fsdp: bool = False
    """Spread weights, gradients and optimiser state over processes, for models that do not fit one GPU."""
    compile: bool = False
    """Let `torch.compile` translate the network that learns: some minutes at the start, for steps that may be faster.
    What it gains has not been measured here, and results are not those of the plain network: dropout draws other
    numbers. A run may go on with the other setting."""
    threads: int | None = Field(None, ge=1)
    """Threads of torch; all cores if not given. The result is bit-identical only for the same number."""
    workers: int = Field(0, ge=0)
    """Processes that load data; 0 loads in the training process."""
    cache: bool = True
    """Keep decoded clips in memory (about 0.4 MB a clip of 3 s at 72x72, 0.8 MB at 96x96). Without it they are read and
    unpacked as they are needed, by ``workers``, and shuffled within a window of some hundred neighbours, so that memory
    does not grow with the corpus."""
    log_every: int = Field(20, ge=1)
    """Steps from one line of the log to the next."""
    validate_every: int = Field(5, ge=1)
    """Epochs from one validation to the next."""
    checkpoint_minutes: float = Field(5.0, ge=0)
    """Minutes from one resumable checkpoint to the next; one is also written after every validation."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16 is for GPUs: on a CPU its convolutions' backward pass is about twenty times slower."""


class AugmentConfig(RecipeModel):
    """What is done to the mouth crops of a training clip; every draw is a function of (seed, epoch, position)."""

    crop: bool = True
    """A random crop, the same for the whole clip, instead of the centre."""
    flip: Fraction = 0.5
    """Probability to mirror the clip."""
    erase: Fraction = 0.5
    """Probability to fill a random rectangle with the mean grey."""
    erase_size: Fraction = 0.33
    """Longest side of that rectangle, as a fraction of the crop."""
    time_mask: float = Field(0.4, ge=0)
    """Longest stretch, in seconds for every second of video, that is replaced by the clip's mean frame."""
    brightness: Fraction = 0.2
    """Largest relative change of brightness and of contrast."""
    speed: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Largest relative change of tempo, of pictures and sound alike (our addition)."""


class DataConfig(RecipeModel):
    """Prepared clips (`unsilent prepare`)."""

    shards: str = "runs/shards/grid"
    """Folder of shards."""
    train: str = "s1-train"
    """Split to train on."""
    validation: str = "s1-val"
    """Split for validation; never a test split."""
    validation_clips: int = Field(50, ge=1)
    minutes: float | None = Field(None, gt=0)
    """Train on so many minutes of the split, chosen at random, the same for every seed; on all of it if not given."""
    window: int | None = Field(None, ge=1)
    """Train on a random stretch of this many video frames of every clip; the whole clip if not given."""
    augment: AugmentConfig = AugmentConfig()


class LossConfig(RecipeModel):
    """Weights of the losses on the log-mel spectrogram."""

    l1: float = Field(1.0, ge=0)
    spectral_convergence: float = Field(1.0, ge=0)
    """Of the amplitude mel: ||predicted - true|| / ||true||, a clip at a time."""
    delta: float = Field(0.0, ge=0)
    """L1 of the first difference over time (our addition)."""
    lag: int = Field(0, ge=0)
    """Largest lag, in mel frames, by which a clip's target may be moved to where it fits the prediction best, against
    the mean lag of its batch: for corpora whose picture and sound are out of step (our addition); 0 takes targets as
    they are."""
    estoi: float = Field(0.0, ge=0)
    """1 - ESTOI, estimated from the mels (our addition)."""
    content: float = Field(0.0, ge=0)
    """Cross-entropy of the word spoken in every video frame, from the corpus's word times, by a linear head that
    only training has (our addition; 0 where a corpus has no word times)."""


class RateConfig(RecipeModel):
    """Learning rates of a model's parts, relative to ``optim.lr``."""

    encoder: float = Field(1.0, gt=0)
    temporal: float = Field(1.0, gt=0)
    decoder: float = Field(1.0, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Factor from a decoder layer to the one after it, so that layers near the sound change less."""


class StartConfig(RecipeModel):
    """Where the weights come from, and how those that were handed over go on to learn."""

    init: Literal["scratch", "decoder", "decoder+temporal", "model"] = "scratch"
    """What is handed over: nothing, the decoder alone, the temporal module too, or the whole model."""
    source: str | None = None
    """Model folder, run folder or name of a shipped model that hands over: of pre-training, or, for ``model``, of an
    earlier training."""
    encoder_from: str | None = None
    """Model folder, run folder or name of a shipped model with the same input, whose encoder is handed over, and its
    temporal module unless ``init`` names another's: eyes that have learnt to read with one decoder may go on with
    another. ``strategy`` is not of these."""
    strategy: Literal["full", "frozen", "staged"] = "full"
    """What was handed over learns with the rest, not at all, or layer by layer, from its input to its output."""
    staged: tuple[Fraction, Fraction] = (0.2, 0.6)
    """Fractions of all steps at which the first and the last handed-over layer begin to learn, for ``staged``."""
    rates: RateConfig = RateConfig()
    latents: Fraction = 0.0
    """Fraction of all steps, the first ones, in which only what the decoder reads is learnt: it is regressed onto what
    ``source``, a model that reads sound, makes of each clip's own sound. The decoder learns from then on."""

    @model_validator(mode="after")
    def _check(self) -> StartConfig:
        if (self.source is None) != (self.init == "scratch"):
            raise ValueError(f"source must be given if, and only if, init is not scratch (init is {self.init})")
        if self.encoder_from is not None and self.init == "model":
            raise ValueError("encoder_from contradicts init: model, which hands over the encoder too")
        if self.strategy != "full" and self.init in ("scratch", "model"):
            raise ValueError(f"strategy {self.strategy} needs init: decoder or decoder+temporal")
        if self.staged[0] > self.staged[1]:
            raise ValueError("staged: the first layer must not begin to learn after the last")
        if self.latents and self.init in ("scratch", "model"):
            raise ValueError("latents needs init: decoder or decoder+temporal, whose source has made them")
        return self


class TrainRecipe(RecipeModel):
    """Video to log-mel: `unsilent train`."""

    kind: Literal["train"] = "train"
    name: str
    model: ReconstructorConfig = ReconstructorConfig()
    start: StartConfig = StartConfig()
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _check(self) -> TrainRecipe:
        if self.model.path != "v2a-mel":
            raise ValueError(f"model is {self.model.path}, kind train makes v2a-mel")
        return self


class VocoderDataConfig(RecipeModel):
    """Speech to train a vocoder on: shards of clips, folders of audio files, or both."""

    shards: str | None = "runs/shards/grid"
    split: str | None = "s1-train"
    folders: tuple[str, ...] = ()
    """Folders of audio files, read recursively; their bandwidth must reach the mel's highest band."""
    minutes_per_folder: float | None = Field(None, gt=0)
    """Use at most this much of each folder."""
    shards_share: Fraction = 0.5
    """Probability that a segment comes from the shards, where there are both."""
    validation: str = "s1-val"
    validation_clips: int = Field(20, ge=1)
    segment_frames: int = Field(48, ge=8)
    """Mel frames of a training segment."""
    predicted: str | None = None
    """A video-to-mel checkpoint: train on the mels that it predicts for the shards' clips instead of true ones."""


class VocoderLossConfig(RecipeModel):
    """Weights of the vocoder's losses. Adversarial ones start at ``adversarial_from``."""

    magnitude: float = Field(1.0, ge=0)
    """L1 between the log-magnitude that the network predicts and that of the recording."""
    convergence: float = Field(0.5, ge=0)
    """||predicted - true|| / ||true|| of the magnitudes."""
    adversarial: float = Field(0.05, ge=0)
    feature_matching: float = Field(0.2, ge=0)
    adversarial_from: Fraction = 0.8
    """Fraction of all steps without discriminators: on a CPU they cost several times what the generator does."""


class VocoderRecipe(RecipeModel):
    """Log-mel to waveform: `unsilent train`."""

    kind: Literal["vocoder"] = "vocoder"
    name: str
    model: VocoderConfig = VocoderConfig()
    data: VocoderDataConfig = VocoderDataConfig()
    loss: VocoderLossConfig = VocoderLossConfig()
    optim: OptimConfig = OptimConfig(lr=5e-4, betas=(0.8, 0.99), warmup=0.02)
    run: RunConfig = RunConfig(batch_size=16)
    phase_iterations: int = Field(6, ge=0)
    """Fast Griffin-Lim iterations before a waveform is shown to the discriminators."""
    period_widths: tuple[int, ...] = (16, 32, 64, 128)
    """Channels of the multi-period discriminators (HiFi-GAN: 32, 128, 512, 1024)."""
    resolution_width: int = Field(16, ge=1)
    """Channels of the multi-resolution discriminators (UnivNet: 32)."""
    steps_per_epoch: int = Field(200, ge=1)
    """Segments are drawn at random, so an epoch is so many steps."""
    source: str | None = None
    """A vocoder's model folder to start from; fresh weights if not given."""

    @model_validator(mode="after")
    def _check(self) -> VocoderRecipe:
        if self.data.shards is None and not self.data.folders:
            raise ValueError("data.shards or data.folders must be given")
        if self.data.predicted and self.data.shards is None:
            raise ValueError("data.predicted needs data.shards: the mels are predicted from their mouth crops")
        return self
