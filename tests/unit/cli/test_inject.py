"""`inject`: pods, and what makes pods, with their builder."""

import json
from typing import Any

import pytest

from buildkit_operator.kube.resources import Manifest
from tests.unit.cli.run import Printed, Run, builder, written

LABELS = {"buildkit-operator.dev/builder": "demo"}
PICKING = {"podSelector": {"matchLabels": {"pool": "linux"}}}
OPTED_IN = ("--namespace-label", "buildkit-operator.dev/injection=enabled")


def template(labels: Manifest | None = None, **spec: Any) -> Manifest:
    containers = [{"name": "job", "image": "app"}]
    return {"metadata": {"labels": LABELS if labels is None else labels}, "spec": {"containers": containers, **spec}}


def pod(labels: Manifest | None = None, **spec: Any) -> Manifest:
    made = template(labels, **spec)
    return {"apiVersion": "v1", "kind": "Pod", **made, "metadata": {"name": "job", **made["metadata"]}}


def maker(kind: str, spec: Manifest, api_version: str = "apps/v1", **metadata: str) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "build", **metadata}, "spec": spec}


def inject(run: Run, *manifests: Manifest, arguments: tuple[str, ...] = (), **spec: Any) -> Printed:
    given = {"builder": written(builder(**{"mode": "Sidecar", **spec})), "pod": written(*manifests)}
    return run("inject", "-f", "builder.yaml", "-f", "pod.yaml", *arguments, **given)


def names(containers: list[Manifest]) -> list[str]:
    return [container["name"] for container in containers]


def test_a_pod_gets_its_builder(run: Run) -> None:
    printed = inject(run, pod())

    (injected,) = printed.objects
    (container,) = injected["spec"]["containers"]
    assert (printed.code, printed.err) == (0, "")
    assert injected["metadata"]["labels"]["buildkit-operator.dev/injected"] == "demo"
    assert injected["metadata"]["namespace"] == "default"
    assert names(injected["spec"]["initContainers"]) == ["buildkitd"]
    assert {"name": "BUILDKIT_HOST", "value": "unix:///run/buildkit/buildkitd.sock"} in container["env"]


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (maker("Job", {"template": template()}, "batch/v1"), "spec.template"),
        (maker("CronJob", {"jobTemplate": {"spec": {"template": template()}}}), "spec.jobTemplate.spec.template"),
        (maker("Deployment", {"replicas": 2, "template": template()}), "spec.template"),
        (maker("StatefulSet", {"template": template()}), "spec.template"),
        (maker("DaemonSet", {"template": template()}), "spec.template"),
        (maker("AutoscalingRunnerSet", {"template": template()}, "actions.github.com/v1alpha1"), "spec.template"),
        (maker("GithubActionRunner", {"podTemplateSpec": template()}, "garo.tietoevry.com/v1"), "spec.podTemplateSpec"),
        ({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "t"}, "template": template()}, "template"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else value,
)
def test_the_template_of_an_object_gets_it_and_the_rest_stays(manifest: Manifest, path: str, *, run: Run) -> None:
    printed = inject(run, manifest)

    (injected,) = printed.objects
    found, before, others = injected, manifest, injected
    for part in path.split("."):
        found, before = found[part], before[part]
    *parents, last = path.split(".")
    for part in parents:
        others = others[part]
    others[last] = before
    assert printed.code == 0
    assert names(found["spec"]["initContainers"]) == ["buildkitd"]
    assert "ownerReferences" not in found["metadata"]
    assert injected == {**manifest, "metadata": {**manifest["metadata"], "namespace": "default"}}


@pytest.mark.parametrize(
    ("manifest", "key"),
    [
        (maker("Job", {"template": template()}, "batch/v1"), "default/build"),
        (maker("Job", {"template": template()}, "batch/v1", namespace="ci"), "ci/build"),
        (maker("StatefulSet", {"template": template()}), "default/build"),
        (maker("Deployment", {"template": template()}), None),
        (maker("CronJob", {"jobTemplate": {"spec": {"template": template()}}}), None),
    ],
)
def test_the_cache_key_is_told_where_it_is_known(manifest: Manifest, key: str | None, *, run: Run) -> None:
    namespace = manifest["metadata"].get("namespace")
    given = {"builder": written(builder(namespace=namespace)), "pod": written(manifest)}

    printed = run("inject", "-f", "builder.yaml", "-f", "pod.yaml", **given)

    annotation = "buildkit-operator.dev/cache-key"
    (injected,) = printed.objects
    found = injected["spec"].get("template") or injected["spec"]["jobTemplate"]["spec"]["template"]
    assert found["metadata"]["annotations"].get(annotation) == key
    assert (f"# Its pods also get the annotation {annotation}, by the name of" in printed.out) is (key is None)


def test_a_key_of_the_templates_own_stays(run: Run) -> None:
    own = template()
    own["metadata"]["annotations"] = {"buildkit-operator.dev/cache-key": "mine"}

    printed = inject(run, maker("Deployment", {"template": own}), mode="Shared")

    (injected,) = printed.objects
    annotations = injected["spec"]["template"]["metadata"]["annotations"]
    assert annotations["buildkit-operator.dev/cache-key"] == "mine"
    assert "#" not in printed.out


def test_json_is_an_object_or_a_list_of_several(run: Run) -> None:
    one = json.loads(inject(run, pod(), arguments=("-o", "json")).out)
    two = json.loads(inject(run, pod(), maker("Job", {"template": template()}), arguments=("-o", "json")).out)

    assert one["kind"] == "Pod"
    assert (two["kind"], [item["kind"] for item in two["items"]]) == ("List", ["Pod", "Job"])


def test_remarks_go_to_standard_error_in_json(run: Run) -> None:
    printed = inject(run, maker("Deployment", {"template": template()}), mode="Shared", arguments=("-o", "json"))

    assert json.loads(printed.out)["kind"] == "Deployment"
    assert printed.err.startswith("Deployment build: Its pods also get the annotation")
    assert printed.code == 0


def test_a_builder_picks_pods_where_the_namespace_lets_it(run: Run) -> None:
    picked = inject(run, pod({"pool": "linux"}), arguments=OPTED_IN, injection=PICKING)
    not_let = inject(run, pod({"pool": "linux"}), injection=PICKING)
    other = inject(run, pod({"pool": "mac"}), arguments=OPTED_IN, injection=PICKING)

    assert picked.code == 0
    assert names(picked.only("Pod")["spec"]["initContainers"]) == ["buildkitd"]
    assert (not_let.code, other.code) == (1, 1)
    assert "initContainers" not in not_let.only("Pod")["spec"]
    assert "initContainers" not in other.only("Pod")["spec"]
    assert not_let.err.endswith("buildkit-operator.dev/injection=enabled: --namespace-label gives it\n")
    assert other.err == (
        "pod.yaml, document 1: Pod job: nothing is injected: it has no label buildkit-operator.dev/builder, and no "
        "builder that was given picks pods with its labels\n"
    )


def test_a_pod_that_is_refused_is_not_printed(run: Run) -> None:
    printed = inject(run, pod(hostNetwork=True))

    assert (printed.code, printed.out) == (1, "")
    assert printed.err == (
        'pod.yaml, document 1: Pod job: BuildKitBuilder "demo" in namespace "default" cannot serve this pod: the pod '
        "has hostNetwork: true, and what a Dockerfile runs would be let into its node's network too. Remove it.\n"
    )


def test_a_pod_that_is_picked_and_cannot_be_served_gets_a_note(run: Run) -> None:
    printed = inject(run, pod({"pool": "linux"}, hostPID=True), arguments=OPTED_IN, injection=PICKING)

    note = printed.only("Pod")["metadata"]["annotations"]["buildkit-operator.dev/not-injected"]
    assert printed.code == 1
    assert printed.err == f"pod.yaml, document 1: Pod job: {note}\n"


def test_a_builder_that_was_not_given_is_missed(run: Run) -> None:
    printed = run("inject", "-f", "pod.yaml", pod=written(pod()))

    assert (printed.code, printed.out) == (1, "")
    assert 'there is no BuildKitBuilder "demo" in namespace "default"' in printed.err


def test_a_builder_of_another_namespace_is_none(run: Run) -> None:
    given = {"builder": written(builder(namespace="builds")), "pod": written(pod())}

    printed = run("inject", "-f", "builder.yaml", "-f", "pod.yaml", **given)

    assert printed.code == 1
    assert 'there is no BuildKitBuilder "demo" in namespace "default"' in printed.err


def test_a_builder_with_a_problem_serves_nobody(run: Run) -> None:
    printed = inject(run, pod(), daemon={"toml": "= no toml"})

    first, second = printed.err.splitlines()
    assert (printed.code, printed.out) == (1, "")
    assert first.startswith("builder.yaml, document 1: InvalidToml: ")
    assert second.startswith(
        'pod.yaml, document 1: Pod job: BuildKitBuilder "demo" in namespace "default" cannot serve this pod: '
        "it is not ready: spec.daemon.toml"
    )


def test_a_builder_that_the_api_server_refuses_is_none(run: Run) -> None:
    printed = inject(run, pod(), shared={})

    first, second = printed.err.splitlines()
    assert printed.code == 1
    assert "spec.shared: Invalid value: shared is only for mode Shared" in first
    assert "there is no BuildKitBuilder" in second


def test_a_builder_from_a_cluster_gives_what_its_status_says(run: Run) -> None:
    rendered = run("render", "-f", "-", stdin=written(builder(mode="Sidecar"))).only("BuildKitBuilder")
    rendered["status"]["injection"]["initContainers"][0]["image"] = "example.com/buildkit:older"
    unseen = rendered | {"status": {"observedGeneration": -1}}

    old = run("inject", "-f", "builder.yaml", "-f", "pod.yaml", builder=written(rendered), pod=written(pod()))
    none = run("inject", "-f", "builder.yaml", "-f", "pod.yaml", builder=written(unseen), pod=written(pod()))

    assert old.only("Pod")["spec"]["initContainers"][0]["image"] == "example.com/buildkit:older"
    assert none.code == 1
    assert "the operator has not looked at it yet" in none.err


def test_a_pod_with_a_builder_stays_as_it_is(run: Run) -> None:
    (once,) = inject(run, pod()).objects

    printed = inject(run, once)

    assert printed.objects == [once]
    assert printed.code == 0
    assert printed.err == ("pod.yaml, document 1: Pod job: it has BuildKitBuilder demo already, and is left as it is\n")


def test_a_pod_that_is_marked_only_is_not_picked(run: Run) -> None:
    marked = pod({"pool": "linux", "buildkit-operator.dev/injected": "demo"})

    printed = inject(run, marked, arguments=OPTED_IN, injection=PICKING)

    assert printed.code == 1
    assert printed.err.endswith("it is labelled buildkit-operator.dev/injected already, and is left as it is\n")


def test_a_warning_is_told_and_nothing_is_wrong(run: Run) -> None:
    own = [{"name": "job", "image": "app", "env": [{"name": "BUILDKIT_HOST", "value": "tcp://elsewhere"}]}]

    printed = inject(run, pod(containers=own))

    assert printed.code == 0
    assert printed.err == (
        "pod.yaml, document 1: Pod job: Warning: container job sets BUILDKIT_HOST itself and will not use "
        "BuildKitBuilder demo\n"
    )


@pytest.mark.parametrize("namespace", ["kube-system", "buildkit-operator"])
def test_pods_of_some_namespaces_are_left_alone(namespace: str, *, run: Run) -> None:
    given = {"builder": written(builder(namespace=namespace)), "pod": written(pod())}

    printed = run("inject", "-f", "builder.yaml", "-f", "pod.yaml", "-n", namespace, **given)

    assert printed.code == 1
    assert "initContainers" not in printed.only("Pod")["spec"]
    assert printed.err.endswith(f"nothing is injected: pods of namespace {namespace} are left alone\n")


def test_nulls_stand_for_nothing(run: Run) -> None:
    written_by_kubectl = template(initContainers=None, hostUsers=None)
    written_by_kubectl["metadata"] |= {"creationTimestamp": None, "annotations": None}

    printed = inject(run, maker("Job", {"template": written_by_kubectl}))

    assert printed.code == 0
    assert names(printed.only("Job")["spec"]["template"]["spec"]["initContainers"]) == ["buildkitd"]


def test_objects_without_pods_are_passed_over(run: Run) -> None:
    service = maker("Service", {"selector": {"a": "b"}}, "v1")

    printed = inject(run, service, pod())

    assert printed.code == 0
    assert printed.err == "pod.yaml, document 1: Service build is passed over\n"
    assert [o["kind"] for o in printed.objects] == ["Pod"]


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (maker("Service", {}), "there is no pod, and nothing that makes pods, in builder.yaml, pod.yaml"),
        (
            pod(containers=[]),
            "pod.yaml, document 1: Pod job is none: spec.containers: List should have at least 1 item",
        ),
        (pod(containers=None), "pod.yaml, document 1: Pod job is none: spec.containers: Field required"),
        (pod(containers=[{"image": "a"}]), "pod.yaml, document 1: Pod job is none: spec.containers.0.name: Field"),
        (pod(volumes=[3]), "pod.yaml, document 1: Pod job is none: spec.volumes.0: Input should be"),
        (
            pod(containers=[{"name": "a", "volumeMounts": [{"name": "b"}]}]),
            "pod.yaml, document 1: Pod job is none: spec.containers.0.volumeMounts.0.mountPath: Field required",
        ),
        (
            maker("Job", {"template": template(nodeSelector={"a": 3})}),
            "pod.yaml, document 1: Job build is none: spec.template.spec.nodeSelector.a: Input should be a",
        ),
        ({"apiVersion": "v1", "kind": "Pod"}, "pod.yaml, document 1: Pod without a name is none: spec: Field required"),
    ],
)
def test_what_is_no_pod_is_told_with_its_place(manifest: Manifest, sentence: str, *, run: Run) -> None:
    printed = inject(run, manifest)

    assert (printed.code, printed.out) == (2, "")
    assert printed.err.splitlines()[-1].startswith(sentence)


def test_a_namespace_that_refuses_the_daemon_is_told(run: Run) -> None:
    printed = inject(run, pod(), arguments=("--pod-security", "restricted"))

    assert printed.code == 1
    assert printed.err.startswith("builder.yaml, document 1: PodSecurityDenied: ")
