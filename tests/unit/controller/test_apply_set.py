"""What is written for a builder, in which order, what is deleted and what left alone, by the rows of child kinds."""

import itertools
from collections.abc import Sequence
from typing import Any, cast

import pytest

from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.apply_set import ApplySet
from buildkit_operator.controller.cert_manager_requests import CertManagerRequests
from buildkit_operator.controller.child_kinds import CHILD_KINDS, ByName
from buildkit_operator.controller.ownership import PreviousOwnerTerminating
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.desired import cert_manager
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.named_objects import NamedObjects
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import CERTIFICATE, KNOWN, SECRET, Manifest, Resource
from tests.unit.make import FAKE_CERTIFICATES, children_of, make_builder

BUILDER = make_builder()
WANTED = children_of(BUILDER, FAKE_CERTIFICATES)
VERSIONS = itertools.count(1)


class Server:
    """Keeps objects by kind and name, tells the cache of those that are watched, and notes every request."""

    def __init__(self) -> None:
        self.cache = Cache(BUILDERS)
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.serves_certificates = True
        self.writes: list[str] = []
        self.reads: list[str] = []
        client = cast("Client", self)
        self.named = {
            kind.resource: NamedObjects(client, kind.resource, lambda: 0.0, 60, optional=kind.read.optional)
            for kind in CHILD_KINDS
            if isinstance(kind.read, ByName)
        }
        self.apply_set = ApplySet(client, self.cache, self.named)
        self.requests = CertManagerRequests(client, self.apply_set, self.named[SECRET], self.named[CERTIFICATE])

    async def apply_and_prune(self, wanted: Sequence[Manifest], kept: Sequence[tuple[str, str]] = ()) -> None:
        await self.apply_set.apply(BUILDER, wanted)
        await self.apply_set.prune(BUILDER, wanted, kept)

    def resource_of(self, manifest: Manifest) -> Resource:
        return next(known for known in KNOWN if known.kind == manifest["kind"])

    def add(self, manifest: Manifest) -> Manifest:
        version = str(next(VERSIONS))
        metadata = {"uid": f"uid-{version}", **manifest["metadata"], "resourceVersion": version}
        live = {**manifest, "metadata": metadata}
        self.objects[live["kind"], metadata["name"]] = live
        if (resource := self.resource_of(live)) in BUILDERS.all:
            self.cache.put(resource, live)
        return live

    async def apply(self, manifest: Manifest) -> Manifest:
        self.writes.append(f"apply {manifest['kind']} {manifest['metadata']['name']}")
        return self.add(manifest)

    async def apply_new(self, manifest: Manifest) -> Manifest:
        if (manifest["kind"], manifest["metadata"]["name"]) in self.objects:
            raise errors.Conflict("It exists.")
        if manifest["kind"] == "Certificate" and not self.serves_certificates:
            raise errors.NotFound("No such kind.")
        return await self.apply(manifest)

    async def get(self, resource: Resource, _namespace: str, name: str, **_: Any) -> Manifest | None:
        self.reads.append(f"{resource.kind} {name}")
        return self.objects.get((resource.kind, name))

    async def serves(self, resource: Resource) -> bool:
        self.reads.append(resource.api_version)
        return self.serves_certificates

    async def delete(self, resource: Resource, _namespace: str, name: str, *, uid: str) -> None:
        removed = self.objects.pop((resource.kind, name))
        assert removed["metadata"]["uid"] == uid
        self.writes.append(f"delete {resource.kind} {name}")
        if resource in BUILDERS.all:
            self.cache.remove(resource, removed)


@pytest.fixture
def server() -> Server:
    return Server()


def kinds(writes: Sequence[str]) -> set[str]:
    return {" ".join(write.split()[:2]) for write in writes}


async def test_the_workload_is_written_after_all_that_its_pods_mount(server: Server) -> None:
    await server.apply_and_prune(WANTED)

    assert len(server.writes) == len(WANTED)
    assert server.writes[-1] == "apply Deployment demo-buildkitd"


async def test_at_rest_nothing_is_written_or_asked(server: Server) -> None:
    await server.apply_and_prune(WANTED)
    server.writes.clear()
    server.reads.clear()

    await server.apply_and_prune(WANTED)
    assert (server.writes, server.reads) == ([], [])


async def test_drift_is_written_back(server: Server) -> None:
    await server.apply_and_prune(WANTED)
    server.writes.clear()
    live = server.objects["Service", "demo-buildkitd"]
    server.add({**live, "spec": {**live["spec"], "selector": {"somebody": "else"}}})

    await server.apply_and_prune(WANTED)
    assert server.writes == ["apply Service demo-buildkitd"]


async def test_what_is_not_wanted_any_more_is_deleted_but_for_kept_secrets(server: Server) -> None:
    await server.apply_and_prune(WANTED)
    server.writes.clear()
    config = [manifest for manifest in WANTED if manifest["kind"] == "ConfigMap"]

    await server.apply_and_prune(config, [("Secret", "demo-buildkitd-tls")])
    assert "delete Secret demo-buildkitd-ca" in server.writes
    assert ("Secret", "demo-buildkitd-tls") in server.objects
    assert kinds(server.writes) == {
        f"delete {manifest['kind']}" for manifest in WANTED if manifest["kind"] != "ConfigMap"
    }


@pytest.mark.parametrize("kind", ["Pod", "PersistentVolumeClaim"])
async def test_what_others_make_is_never_deleted(server: Server, kind: str) -> None:
    await server.apply_and_prune(WANTED)
    server.add({**WANTED[0], "kind": kind, "apiVersion": "v1"})

    await server.apply_and_prune([])
    assert (kind, WANTED[0]["metadata"]["name"]) in server.objects


@pytest.mark.parametrize("kind", ["Service", "Secret"])
async def test_what_is_somebody_elses_is_left_alone(server: Server, kind: str) -> None:
    taken = next(manifest for manifest in WANTED if manifest["kind"] == kind)
    metadata = {"name": taken["metadata"]["name"], "namespace": "ci"}
    live = {"apiVersion": "v1", "kind": kind, "metadata": {**metadata, "uid": "1", "resourceVersion": "1"}}
    server.objects[kind, metadata["name"]] = live

    with pytest.raises(TerminalError) as refused:
        await server.apply_and_prune(WANTED)
    assert refused.value.reason is Reason.NAME_CONFLICT
    assert server.objects[kind, metadata["name"]] == live


async def test_what_a_deleted_builder_of_the_name_owns_is_waited_for(server: Server) -> None:
    taken = next(manifest for manifest in WANTED if manifest["kind"] == "Service")
    owner = {**taken["metadata"]["ownerReferences"][0], "uid": "of-the-deleted-one"}
    server.add({**taken, "metadata": {**taken["metadata"], "ownerReferences": [owner]}})

    with pytest.raises(PreviousOwnerTerminating):
        await server.apply_and_prune(WANTED)


async def test_certificates_are_withdrawn_with_the_secrets_that_they_filled(server: Server) -> None:
    requests = cert_manager.requests(BUILDER, "cluster.local")
    await server.apply_set.apply(BUILDER, requests)
    for request in requests:
        name, labels = request["metadata"]["name"], request["metadata"]["labels"]
        annotations = {cert_manager.CERTIFICATE_NAME: name}
        metadata = {"name": name, "namespace": "ci", "labels": labels, "annotations": annotations}
        server.add({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})

    await server.requests.withdraw(BUILDER)
    assert server.objects == {}

    server.reads.clear()
    await server.requests.withdraw(BUILDER)
    assert server.reads == [], "that there are none is known"


async def test_a_cluster_without_cert_manager_is_asked_for_its_kind_alone(server: Server) -> None:
    server.serves_certificates = False

    await server.requests.withdraw(BUILDER)
    await server.requests.withdraw(BUILDER)
    assert server.reads == ["cert-manager.io/v1"]
