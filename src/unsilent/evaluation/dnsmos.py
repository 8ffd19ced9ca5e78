"""DNSMOS P.835 (Reddy, Gopal, Cutler, ICASSP 2022): Microsoft's network for quality without a reference.

The ONNX file comes with the package speechmos; it is run directly, because speechmos itself imports librosa for
parts that are not needed here. Windows, hop and the calibrating polynomial are those of ``speechmos.dnsmos``.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.optional import REMEDY, require

__all__ = ["RATE", "overall"]

RATE: Final = 16_000
_WINDOW: Final = int(9.01 * RATE)
_OVERALL: Final = (-0.06766283, 1.11546468, 0.04602535)


@lru_cache(maxsize=1)
def _session() -> Any:
    runtime = require("onnxruntime")
    spec = find_spec("speechmos")
    if spec is None or not spec.submodule_search_locations:
        raise EvaluationError(f"speechmos is not installed; {REMEDY}")
    network = Path(next(iter(spec.submodule_search_locations))) / "dnsmos_models" / "sig_bak_ovr.onnx"
    if not network.is_file():
        raise EvaluationError(f"{network}: is missing; {REMEDY}")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])


def overall(samples: NDArray[np.float32]) -> float:
    """Overall quality, 1 to 5, of (n,) samples at 16 kHz within [-1, 1].

    A signal shorter than 9.01 s is repeated until it fills that window; a longer one is scored in windows one second
    apart, and the mean is given.

    Raises:
        EvaluationError: onnxruntime or speechmos is missing, or there are no samples.
    """
    if not len(samples):
        raise EvaluationError("DNSMOS needs samples; the signal is empty")
    session = _session()
    while len(samples) < _WINDOW:
        samples = np.concatenate([samples, samples])
    starts = range(0, len(samples) - _WINDOW + 1, RATE)
    scores = [
        float(session.run(None, {"input_1": samples[None, start : start + _WINDOW].astype(np.float32)})[0][0][2])
        for start in starts
    ]
    return float(np.mean(np.polyval(_OVERALL, scores)))
