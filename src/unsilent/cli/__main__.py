"""``python -m unsilent.cli``."""

from __future__ import annotations

import sys

from unsilent.cli import main

if __name__ == "__main__":
    sys.exit(main())
