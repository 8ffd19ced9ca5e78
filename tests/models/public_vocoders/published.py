"""Published generators, written down again: their tensors' names and shapes, and what they compute.

Nothing of the package is used, and no convolution's padding: every result is cropped out of a full convolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]

HIFIGAN: dict[str, Any] = {
    "resblock": "1",
    "upsample_rates": [4, 2],
    "upsample_kernel_sizes": [8, 4],
    "upsample_initial_channel": 8,
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3], [1, 2]],
    "num_mels": 5,
    "n_fft": 32,
    "hop_size": 8,
    "win_size": 32,
    "sampling_rate": 800,
    "fmin": 0,
    "fmax": 400,
}
"""A small config.json of HiFi-GAN's authors."""

FEATURES: dict[str, Any] = {
    "sampling_rate": 900,
    "fft_size": 64,
    "hop_size": 15,
    "win_length": 40,
    "window": "hann",
    "num_mels": 5,
    "fmin": 20,
    "fmax": 400,
}
PWG: dict[str, Any] = {
    **FEATURES,
    "generator_params": {
        "in_channels": 1,
        "out_channels": 1,
        "kernel_size": 3,
        "layers": 4,
        "stacks": 2,
        "residual_channels": 4,
        "gate_channels": 6,
        "skip_channels": 5,
        "aux_channels": 5,
        "aux_context_window": 2,
        "dropout": 0.0,
        "use_weight_norm": True,
        "upsample_net": "ConvInUpsampleNetwork",
        "upsample_params": {"upsample_scales": [3, 5]},
    },
}
"""A small config.yml of Parallel WaveGAN."""
KAN_BAYASHI_HIFIGAN: dict[str, Any] = {
    **FEATURES,
    "generator_type": "HiFiGANGenerator",
    "generator_params": {
        "in_channels": 5,
        "out_channels": 1,
        "channels": 8,
        "kernel_size": 7,
        "upsample_scales": [5, 3],
        "upsample_kernal_sizes": [10, 6],
        "resblock_kernel_sizes": [3, 5],
        "resblock_dilations": [[1, 3], [1, 2]],
        "use_additional_convs": True,
        "bias": True,
        "nonlinear_activation": "LeakyReLU",
        "nonlinear_activation_params": {"negative_slope": 0.1},
        "use_weight_norm": True,
    },
}


def normalised(name: str, shape: Sequence[int], bias: int = 0) -> State:
    """Tensors of one layer under weight normalisation, of a size that keeps signals alive."""
    first, *rest = shape
    state = {
        f"{name}.weight_g": torch.rand(first, *[1] * len(rest)) + 0.5,
        f"{name}.weight_v": torch.randn(*shape),
    }
    return state | ({f"{name}.bias": torch.randn(bias) * 0.2} if bias else {})


def hifigan_layers(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Name, shape and bias of every layer of the authors' generator."""
    top = config["upsample_initial_channel"]
    widths = [top // 2**i for i in range(len(config["upsample_rates"]) + 1)]
    yield "conv_pre", (top, config["num_mels"], 7), top
    for i, (before, after) in enumerate(pairwise(widths)):
        yield f"ups.{i}", (before, after, config["upsample_kernel_sizes"][i]), after
        kernels = config["resblock_kernel_sizes"]
        for j, (kernel, dilations) in enumerate(zip(kernels, config["resblock_dilation_sizes"], strict=True)):
            for part in ("convs1", "convs2"):
                for k in range(len(dilations)):
                    yield f"resblocks.{i * len(kernels) + j}.{part}.{k}", (after, after, kernel), after
    yield "conv_post", (1, widths[-1], 7), 1


def hifigan_state(config: Mapping[str, Any] = HIFIGAN) -> State:
    """Random tensors under the authors' names."""
    layers = [normalised(*layer) for layer in hifigan_layers(config)]
    return {name: value for layer in layers for name, value in layer.items()}


def kan_bayashi_names(state: State) -> State:
    """The authors' names of HiFi-GAN, as kan-bayashi calls them."""
    renamed = {}
    for name, value in state.items():
        part, *rest = name.split(".")
        match part:
            case "conv_pre":
                new = ["input_conv", *rest]
            case "conv_post":
                new = ["output_conv", "1", *rest]
            case "ups":
                new = ["upsamples", rest[0], "1", *rest[1:]]
            case _:
                new = ["blocks", *rest[:3], "1", *rest[3:]]
        renamed[".".join(new)] = value
    return renamed


def pwg_layers(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Name, shape and bias of every layer of kan-bayashi's Parallel WaveGAN generator."""
    own = config["generator_params"]
    width, gates, skip, bands = (own[f"{name}_channels"] for name in ("residual", "gate", "skip", "aux"))
    yield "first_conv", (width, 1, 1), width
    yield "upsample_net.conv_in", (bands, bands, 2 * own["aux_context_window"] + 1), 0
    for i, scale in enumerate(own["upsample_params"]["upsample_scales"]):
        yield f"upsample_net.upsample.up_layers.{2 * i + 1}", (1, 1, 1, 2 * scale + 1), 0
    for i in range(own["layers"]):
        yield f"conv_layers.{i}.conv", (gates, width, own["kernel_size"]), gates
        yield f"conv_layers.{i}.conv1x1_aux", (gates, bands, 1), 0
        yield f"conv_layers.{i}.conv1x1_out", (width, gates // 2, 1), width
        yield f"conv_layers.{i}.conv1x1_skip", (skip, gates // 2, 1), skip
    yield "last_conv_layers.1", (skip, skip, 1), skip
    yield "last_conv_layers.3", (1, skip, 1), 1


def pwg_state(config: Mapping[str, Any] = PWG) -> State:
    """Random tensors under kan-bayashi's names."""
    layers = [normalised(*layer) for layer in pwg_layers(config)]
    return {name: value for layer in layers for name, value in layer.items()}


def weight(state: State, name: str) -> Tensor:
    """Direction, scaled to its magnitude along the first axis."""
    direction = state[f"{name}.weight_v"].double()
    length = direction.flatten(1).square().sum(1).sqrt().view(-1, *[1] * (direction.ndim - 1))
    return direction / length * state[f"{name}.weight_g"].double()


def conv(state: State, name: str, x: Tensor, dilation: int = 1, *, same: bool = True) -> Tensor:
    """Convolution of (C, N); with ``same``, centred and of the same length."""
    w = weight(state, name)
    side = (w.shape[-1] - 1) * dilation
    wide = torch.cat((x.new_zeros(len(x), side), x, x.new_zeros(len(x), side)), 1)
    steps = wide.shape[1] - side
    taps = [wide[:, k * dilation : k * dilation + steps] for k in range(w.shape[-1])]
    full = sum((w[:, :, k] @ tap for k, tap in enumerate(taps)), x.new_zeros(()))
    full = full + state[f"{name}.bias"].double()[:, None] if f"{name}.bias" in state else full
    return full[:, side // 2 : side // 2 + x.shape[1]] if same else full[:, side:-side]


def transposed(state: State, name: str, x: Tensor, rate: int, start: int) -> Tensor:
    """Transposed convolution of (C, N) to (C', N * rate), cropped from ``start`` of the full result."""
    w = weight(state, name)
    out = x.new_zeros(w.shape[1], (x.shape[1] + 1) * rate + w.shape[2])
    for n in range(x.shape[1]):
        out[:, n * rate : n * rate + w.shape[2]] += torch.einsum("c,cdk->dk", x[:, n], w)
    return out[:, start : start + x.shape[1] * rate] + state[f"{name}.bias"].double()[:, None]


def hifigan(state: State, mel: Tensor, config: Mapping[str, Any] = HIFIGAN, *, late: bool = False) -> Tensor:
    """Samples (N,) that HiFi-GAN makes of (F, M); ``late`` crops odd surplus as kan-bayashi does."""
    kernels, rates = config["resblock_kernel_sizes"], config["upsample_rates"]
    x = conv(state, "conv_pre", mel.double())
    for i, (rate, kernel) in enumerate(zip(rates, config["upsample_kernel_sizes"], strict=True)):
        start = rate // 2 + rate % 2 if late else (kernel - rate) // 2
        x = transposed(state, f"ups.{i}", functional.leaky_relu(x, 0.1), rate, start)
        outs = []
        for j, dilations in enumerate(config["resblock_dilation_sizes"]):
            y, block = x, f"resblocks.{i * len(kernels) + j}"
            for k, dilation in enumerate(dilations):
                z = conv(state, f"{block}.convs1.{k}", functional.leaky_relu(y, 0.1), dilation)
                y = y + conv(state, f"{block}.convs2.{k}", functional.leaky_relu(z, 0.1))
            outs.append(y)
        x = torch.stack(outs).mean(0)
    return conv(state, "conv_post", functional.leaky_relu(x, 0.01)).tanh()[0]


def pwg(state: State, noise: Tensor, mel: Tensor, config: Mapping[str, Any] = PWG) -> Tensor:
    """Samples (N,) that Parallel WaveGAN makes of noise (N,) and (F, M + 2 context)."""
    own = config["generator_params"]
    condition = conv(state, "upsample_net.conv_in", mel.double(), same=False)
    for i, scale in enumerate(own["upsample_params"]["upsample_scales"]):
        smooth = weight(state, f"upsample_net.upsample.up_layers.{2 * i + 1}")[0, 0, 0]
        columns = condition.shape[1] * scale
        stretched = condition[:, [n // scale for n in range(columns)]]
        wide = functional.pad(stretched, (scale, scale))
        condition = torch.stack([(wide[:, n : n + 2 * scale + 1] * smooth).sum(1) for n in range(columns)], 1)
    x = conv(state, "first_conv", noise.double()[None])
    total = torch.zeros(own["skip_channels"], x.shape[1], dtype=torch.float64)
    cycle = own["layers"] // own["stacks"]
    for i in range(own["layers"]):
        name = f"conv_layers.{i}"
        y = conv(state, f"{name}.conv", x, 2 ** (i % cycle)) + conv(state, f"{name}.conv1x1_aux", condition)
        half = own["gate_channels"] // 2
        y = y[:half].tanh() * y[half:].sigmoid()
        total = total + conv(state, f"{name}.conv1x1_skip", y)
        x = (conv(state, f"{name}.conv1x1_out", y) + x) / math.sqrt(2)
    x = (total / math.sqrt(own["layers"])).relu()
    return conv(state, "last_conv_layers.3", conv(state, "last_conv_layers.1", x).relu())[0]
