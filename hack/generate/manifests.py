"""Manifests that the package itself renders: the CRD from the models, admission objects from the rules of admission."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from buildkit_operator.admission import daemon_labels, own_pods, policies, webhook_configuration
from buildkit_operator.api import crd
from hack.generate.paths import CRDS, KUSTOMIZE


def files() -> Mapping[Path, str]:
    """Return the text of each file. The CRD stands twice: a kustomization can take no file from beside its folder."""
    definition, rules, configuration = crd.render(), policies.render(), webhook_configuration.render()
    return {
        CRDS / "buildkitbuilders.yaml": definition,
        KUSTOMIZE / "base" / "crds" / "buildkitbuilders.yaml": definition,
        KUSTOMIZE / "base" / "daemon-labels.yaml": daemon_labels.render(),
        KUSTOMIZE / "base" / "probe-policy.yaml": own_pods.render(),
        KUSTOMIZE / "components" / "policies" / "policies.yaml": rules,
        KUSTOMIZE / "components" / "webhook" / "configuration.yaml": configuration,
    }
