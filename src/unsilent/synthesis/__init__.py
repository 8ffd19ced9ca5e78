"""Silent video to speech: files, crops, long clips."""

from unsilent.synthesis.copier import Copier
from unsilent.synthesis.speech import Speech
from unsilent.synthesis.synthesizer import Synthesizer, find_model, load, shipped_models
from unsilent.synthesis.windows import WindowPlan

__all__ = ["Copier", "Speech", "Synthesizer", "WindowPlan", "find_model", "load", "shipped_models"]
