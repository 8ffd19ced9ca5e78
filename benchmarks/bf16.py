"""What bfloat16 brings at synthesis: a recipe's network in float32 and in bfloat16, in turns, on this processor.

    python benchmarks/bf16.py [paper-s] [--repeats 5]

Processor time of one forward pass over 3 s of video on one thread, random weights, batch-norms folded as `speak`
folds them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from unsilent.config import load_recipe
from unsilent.models import build_reconstructor
from unsilent.models.config import VideoEncoderConfig
from unsilent.models.folding import fold_batch_norms
from unsilent.training.recipe import TrainRecipe

NATIVE = ("avx512_bf16", "amx_bf16", "bf16")
"""Flags of processors that multiply bfloat16 themselves."""


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="paper-s")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    config = load_recipe(arguments.recipe, TrainRecipe).model
    assert isinstance(config.encoder, VideoEncoderConfig)
    torch.set_num_threads(1)  # a second one would count while it waits
    torch.manual_seed(0)
    model = fold_batch_norms(build_reconstructor(config).eval())
    crops = torch.randint(0, 256, (1, 75, config.encoder.crop, config.encoder.crop), dtype=torch.uint8)
    mask = torch.ones(1, 75, dtype=torch.bool)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(crops, mask)
    seconds: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    with torch.inference_mode():
        for number in range(arguments.repeats + 1):
            for dtype, times in seconds.items():
                with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
                    started = time.process_time()
                    model(crops, mask)
                if number:
                    times.append(time.process_time() - started)
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split() if Path("/proc/cpuinfo").is_file() else []
    native = [flag for flag in NATIVE if flag in flags]
    plain, brief = (statistics.median(seconds[dtype]) for dtype in seconds)
    sys.stdout.write(
        f"{arguments.recipe}: {counter.get_total_flops() / 1e9:.1f} GFLOP; {plain:.2f} s of processor time in float32, "
        f"{brief:.2f} s in bfloat16, {brief / plain:.1f} times as much; "
        f"this processor's own bfloat16: {', '.join(native) or 'none'}\n"
    )


if __name__ == "__main__":
    main()
