"""How much is generated, and from which seed, as the environment says: FUZZ_SEED, FUZZ_SPECS and FUZZ_PODS.

Without them a test is a small share of `make fuzz`, the same each time.
"""

import os
from typing import Final

SEED: Final = int(os.environ.get("FUZZ_SEED", "1"))
"""What all that is random comes from: the same seed and count generate the same."""

SPECS: Final = int(os.environ.get("FUZZ_SPECS", "100"))
"""Specs of builders that are sent to the API server."""

PODS: Final = int(os.environ.get("FUZZ_PODS", "100"))
"""Pods that are sent to each engine of injection."""
