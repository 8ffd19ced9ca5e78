"""A model for one person, from that person's own clips and a model that is there already."""

from __future__ import annotations

from unsilent.adaptation.clips import JUDGED_ON, MINIMUM, divide
from unsilent.adaptation.forecast import Forecast
from unsilent.adaptation.run import Adapted, adapt, adapted_recipe

__all__ = ["JUDGED_ON", "MINIMUM", "Adapted", "Forecast", "adapt", "adapted_recipe", "divide"]
