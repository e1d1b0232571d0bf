"""A resource to try the engine with, and the smallest reconcile: one ConfigMap and a status for each Widget.

`python -m tests.integration.engine.widgets` runs the engine with it, as `buildkit-operator operator` does with
builders.
"""

import asyncio
import os
import sys
from typing import Any, Final

from buildkit_operator import logs
from buildkit_operator.controller.process import Operator
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.events import EventRecorder
from buildkit_operator.engine.kinds import Kinds, Reconcile, drop_bookkeeping
from buildkit_operator.kube.auth import connect
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import CONFIG_MAP, SERVICE_ACCOUNT, Key, Manifest, Resource
from buildkit_operator.settings import Settings

OWNER_LABEL: Final = "engine.test/owner"
WIDGETS: Final = Kinds(
    primary=Resource("engine.test", "v1", "widgets", "Widget"),
    children={CONFIG_MAP: drop_bookkeeping, SERVICE_ACCOUNT: drop_bookkeeping},
    owner_label=OWNER_LABEL,
)
CRD: Final[Manifest] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.engine.test"},
    "spec": {
        "group": "engine.test",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"value": {"type": "string"}, "seconds": {"type": "number"}},
                            },
                            "status": {"type": "object", "properties": {"seen": {"type": "string"}}},
                        },
                    }
                },
            }
        ],
    },
}


def widget(name: str, value: str, **spec: Any) -> Manifest:
    """Make a Widget; `seconds` is how long its reconcile takes."""
    return {
        "apiVersion": WIDGETS.primary.api_version,
        "kind": WIDGETS.primary.kind,
        "metadata": {"name": name},
        "spec": {"value": value, **spec},
    }


def desired_config_map(owner: Manifest) -> Manifest:
    metadata = owner["metadata"]
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {OWNER_LABEL: metadata["name"]},
            "ownerReferences": [reference],
        },
        "data": {"value": owner["spec"]["value"]},
    }


def make_reconcile(client: Client, cache: Cache, recorder: EventRecorder, _settings: Settings) -> Reconcile:
    async def reconcile(key: Key) -> float | None:
        owner = cache.get(WIDGETS.primary, *key)
        if owner is None:
            return None
        await asyncio.sleep(owner["spec"].get("seconds", 0))
        wanted = desired_config_map(owner)
        live = cache.get(CONFIG_MAP, *key)
        if live is None or live.get("data") != wanted["data"]:
            await client.apply(wanted)
        status = {"seen": owner["spec"]["value"]}
        if owner.get("status") != status:
            identity = {name: owner["metadata"][name] for name in ("name", "namespace", "uid")}
            kind = {name: owner[name] for name in ("apiVersion", "kind")}
            await client.apply_status({**kind, "metadata": identity, "status": status})
            recorder.event(owner, "Normal", "Seen", f"The value is {status['seen']}.", "Reconcile")
        return None

    return reconcile


async def run(settings: Settings) -> int:
    return await Operator(settings, await connect(), WIDGETS, make_reconcile).run()


if __name__ == "__main__":
    settings = Settings.from_environment(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    sys.exit(asyncio.run(run(settings)))
