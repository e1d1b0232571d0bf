"""How long faults last and whom they meet, as the environment says: FAULTS, FAULT_SECONDS and FAULT_BUILDERS.

Without them tests are a small share of `make faults`: short faults, and none that the engine's tests have already.
"""

import os
from typing import Final

ALL: Final = os.environ.get("FAULTS") == "all"
SECONDS: Final = float(os.environ.get("FAULT_SECONDS", "3"))
BUILDERS: Final = int(os.environ.get("FAULT_BUILDERS", "20"))
