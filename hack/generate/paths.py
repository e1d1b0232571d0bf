"""Where generated files stand, and what they are made from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).parents[2]
CRDS: Final = TOP / "crds"
DEPLOY: Final = TOP / "deploy"
KUSTOMIZE: Final = DEPLOY / "kustomize"
CHART: Final = DEPLOY / "helm" / "buildkit-operator"
INSTALL: Final = DEPLOY / "install.yaml"
REFERENCE: Final = TOP / "docs" / "reference.md"
