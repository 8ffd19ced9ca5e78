"""``python -m unsilent``, which is what launchers of several processes need."""

from __future__ import annotations

import sys

from unsilent.cli import main

if __name__ == "__main__":
    sys.exit(main())
