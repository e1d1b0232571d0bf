"""The definition as a real API server understands it: what it refuses with which words, and what users get to see."""

import json
import subprocess
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from buildkit_operator.api import crd
from tests.cluster import artifacts
from tests.cluster.controlplane import ControlPlane

Manifest = dict[str, Any]

pytestmark = pytest.mark.usefixtures("crds")

TOP = Path(__file__).parents[2]
SAMPLES = sorted((TOP / "deploy" / "samples").glob("*.yaml"))
EVERYTHING = Path(__file__).parents[1] / "unit" / "golden" / "everything" / "builder.yaml"
MANY_LABELS = {f"label-{number}": "x" for number in range(33)}


def test_the_oldest_kubernetes_that_is_served_takes_it() -> None:
    program = artifacts.ensure("oldest")["oldest"] / "oldest"
    generated = TOP / "crds" / "buildkitbuilders.yaml"

    said = subprocess.run([str(program), str(generated)], text=True, capture_output=True, check=False)

    assert (said.stdout, said.stderr) == ("", "")
    assert said.returncode == 0


def test_what_it_would_refuse_is_told(tmp_path: Path) -> None:
    program = artifacts.ensure("oldest")["oldest"] / "oldest"
    text = (TOP / "crds" / "buildkitbuilders.yaml").read_text()
    newer = tmp_path / "newer.yaml"
    newer.write_text(text.replace("rule: isIP(self)", "rule: isSemver(self)"))

    said = subprocess.run([str(program), str(newer)], text=True, capture_output=True, check=False)

    assert "undeclared reference to 'isSemver'" in said.stdout
    assert said.returncode == 1


def builder(name: str = "demo", **spec: Any) -> Manifest:
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": name},
        "spec": {"mode": "Shared", **spec},
    }


def address(namespace: str, name: str = "") -> str:
    return f"/apis/buildkit-operator.dev/v1alpha1/namespaces/{namespace}/buildkitbuilders{name and '/' + name}"


def create(control_plane: ControlPlane, manifest: Manifest, namespace: str = "default", *, dry_run: bool = True) -> Any:
    query = "fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
    return control_plane.request("POST", f"{address(namespace)}?{query}", manifest)


def refusal(control_plane: ControlPlane, manifest: Manifest) -> str:
    """Return what the API server says; it must not take the object."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        create(control_plane, manifest)
    message: str = json.loads(caught.value.read())["message"]
    return message


def pod(**overlay: Any) -> Manifest:
    return {"shared": {"pod": overlay}}


def registry(**fields: Any) -> Manifest:
    return {"daemon": {"registries": [{"host": "example.com", **fields}]}}


def peer(content: Manifest) -> Manifest:
    return {"shared": {"networkPolicy": {"from": [content]}}}


def budget(unavailable: object) -> Manifest:
    return {"shared": {"disruptionBudget": {"maxUnavailable": unavailable}}}


# What is refused


@pytest.mark.parametrize(
    ("spec", "path", "sentence"),
    [
        ({"mode": "Both"}, "spec.mode", 'supported values: "Shared", "Sidecar"'),
        ({"mode": None}, "spec.mode", "Required value"),
        ({"mode": "Sidecar", "shared": {}}, "spec.shared", "shared is only for mode Shared; remove it or set mode"),
        ({"isolation": "None"}, "spec.isolation", 'supported values: "Rootless"'),
        ({"image": "two words"}, "spec.image", "should match"),
        ({"imagePullPolicy": "Sometimes"}, "spec.imagePullPolicy", "Unsupported value"),
        ({"imagePullSecrets": [{"name": ""}]}, "spec.imagePullSecrets[0].name", "at least 1 chars"),
        ({"resources": {"limits": {"cpu": "much"}}}, "spec.resources.limits[cpu]", "must be a quantity such as 500m"),
        ({"resources": {"requests": {"memory": 1.5}}}, "spec.resources.requests.memory", "integer,string"),
        ({"resources": {"limits": MANY_LABELS}}, "spec.resources.limits", "at most 12 items"),
        ({"env": [{"name": "BUILDKIT_HOST", "value": "x"}]}, "spec.env[0].name", "are set by the operator"),
        ({"env": [{"name": "1A"}]}, "spec.env[0].name", "should match"),
        ({"env": [{"name": "A"}, {"name": "A"}]}, "spec.env[1]", "Duplicate value"),
        (
            {"env": [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            "spec.env[0]",
            "value and valueFrom exclude each other",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {}}]},
            "spec.env[0].valueFrom",
            "exactly one of secretKeyRef and configMapKeyRef must be set",
        ),
        (
            {
                "env": [
                    {
                        "name": "A",
                        "valueFrom": {
                            "secretKeyRef": {"name": "s", "key": "k"},
                            "configMapKeyRef": {"name": "c", "key": "k"},
                        },
                    }
                ]
            },
            "spec.env[0].valueFrom",
            "exactly one of secretKeyRef and configMapKeyRef must be set",
        ),
        ({"daemon": {"logLevel": "loud"}}, "spec.daemon.logLevel", "Unsupported value"),
        ({"daemon": {"maxParallelism": 0}}, "spec.daemon.maxParallelism", "greater than or equal to 1"),
        ({"daemon": {"toml": "#" * 65537}}, "spec.daemon.toml", "may not be more than 65536 bytes"),
        (registry(plainHTTP=True, caSecretName="ca"), "spec.daemon.registries[0]", "plainHTTP excludes"),
        (registry(plainHTTP=True, insecureSkipVerify=True), "spec.daemon.registries[0]", "plainHTTP excludes"),
        (
            registry(insecureSkipVerify=True, caSecretName="ca"),
            "spec.daemon.registries[0]",
            "the certificate is checked or it is not",
        ),
        (registry(host="https://example.com"), "spec.daemon.registries[0].host", "should match"),
        (registry(mirrors=["a"] * 17), "spec.daemon.registries[0].mirrors", "at most 16 items"),
        (
            {"daemon": {"registries": [{"host": "a"}, {"host": "a"}]}},
            "spec.daemon.registries[1]",
            "Duplicate value",
        ),
        *(
            (
                registry(mirrors=[mirror]),
                "spec.daemon.registries[0].mirrors[0]",
                "must be a host, with its port and a path",
            )
            for mirror in ("https://mirror.example.com", "mirror.example.com/", "mirror:port", "/team", "a b")
        ),
        ({"daemon": {"dns": {"nameservers": ["10.0.0.10"] * 4}}}, "spec.daemon.dns.nameservers", "at most 3 items"),
        *(
            ({"daemon": {"dns": {"nameservers": [server]}}}, "spec.daemon.dns.nameservers[0]", "must be an IP address")
            for server in ("dns.example.com", "10.0.0.10:53", "10.0.0", "")
        ),
        (peer({}), "spec.shared.networkPolicy.from[0]", "either ipBlock or podSelector and namespaceSelector must be"),
        (
            peer({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}),
            "spec.shared.networkPolicy.from[0]",
            "either ipBlock or podSelector and namespaceSelector must be",
        ),
        (
            peer({"ipBlock": {"cidr": "10.0.0.1"}}),
            "spec.shared.networkPolicy.from[0].ipBlock.cidr",
            "must be a range of addresses such as 10.0.0.0/8",
        ),
        (
            peer({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/33"]}}),
            "spec.shared.networkPolicy.from[0].ipBlock.except[0]",
            "must be a range of addresses such as 10.0.0.0/8",
        ),
        ({"shared": {"networkPolicy": {"from": []}}}, "spec.shared.networkPolicy.from", "at least 1 items"),
        (budget("half"), "spec.shared.disruptionBudget.maxUnavailable", "must be a number of pods or a percentage"),
        (budget("101%"), "spec.shared.disruptionBudget.maxUnavailable", "must be a number of pods or a percentage"),
        (budget(-1), "spec.shared.disruptionBudget.maxUnavailable", "must be a number of pods or a percentage"),
        (
            {"daemon": {"garbageCollection": {"maxUsedSpace": "all"}}},
            "spec.daemon.garbageCollection.maxUsedSpace",
            "must be a quantity such as 20Gi",
        ),
        (
            {"daemon": {"garbageCollection": {"reservedSpace": "0"}}},
            "spec.daemon.garbageCollection.reservedSpace",
            "must be more than 0",
        ),
        (
            {"daemon": {"garbageCollection": {"keepSeconds": 59}}},
            "spec.daemon.garbageCollection.keepSeconds",
            "greater than or equal to 60",
        ),
        ({"cache": {"size": "big"}}, "spec.cache.size", "must be a quantity such as 20Gi"),
        ({"cache": {"size": "1000Mi"}}, "spec.cache.size", "must be at least 1Gi"),
        ({"cache": {"size": 20}}, "spec.cache.size", "must be of type string"),
        ({"shared": {"replicas": -1}}, "spec.shared.replicas", "greater than or equal to 0"),
        ({"shared": {"replicas": 101}}, "spec.shared.replicas", "less than or equal to 100"),
        ({"shared": {"port": 80}}, "spec.shared.port", "greater than or equal to 1024"),
        ({"shared": {"tls": {"mode": "Mutual"}}}, "spec.shared.tls.mode", "Unsupported value"),
        ({"shared": {"tls": {"dnsNames": ["a b"]}}}, "spec.shared.tls.dnsNames[0]", "should match"),
        ({"shared": {"tls": {"dnsNames": ["a", "a"]}}}, "spec.shared.tls.dnsNames[1]", "Duplicate value"),
        ({"shared": {"service": {"type": "ExternalName"}}}, "spec.shared.service.type", "Unsupported value"),
        ({"shared": {"drainTimeoutSeconds": 86401}}, "spec.shared.drainTimeoutSeconds", "less than or equal to 86400"),
        (pod(labels={"app.kubernetes.io/name": "x"}), "spec.shared.pod.labels", "label keys may not begin with"),
        (
            pod(annotations={"buildkit-operator.dev/config-hash": "x"}),
            "spec.shared.pod.annotations",
            "annotation keys may not begin with",
        ),
        (pod(labels=MANY_LABELS), "spec.shared.pod.labels", "at most 32 items"),
        (pod(labels={"team": "x" * 64}), "spec.shared.pod.labels.team", "may not be more than 63 bytes"),
        (pod(tolerations=[{"effect": "Never"}]), "spec.shared.pod.tolerations[0].effect", "Unsupported value"),
        (pod(topologySpreadConstraints=[{}]), "spec.shared.pod.topologySpreadConstraints[0].topologyKey", "Required"),
    ],
)
def test_bad_input_is_refused_with_its_place_and_a_sentence(
    control_plane: ControlPlane, spec: Manifest, path: str, sentence: str
) -> None:
    message = refusal(control_plane, builder(**spec))

    assert f"{path}: " in message
    assert sentence in message


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a" * 41, "the name of a builder may have at most 40 characters"),
        ("1st", "the name of a builder must begin with a letter"),
        ("a.b", "the name of a builder must begin with a letter and hold only a-z, 0-9 and -"),
    ],
)
def test_a_name_that_could_not_be_a_services_is_refused(control_plane: ControlPlane, name: str, sentence: str) -> None:
    assert sentence in refusal(control_plane, builder(name))


def test_an_unknown_field_is_an_error_for_those_who_ask_for_strictness(control_plane: ControlPlane) -> None:
    assert 'unknown field "spec.shared.replica"' in refusal(control_plane, builder(shared={"replica": 2}))


def test_an_unknown_field_is_an_error_for_kubectl(control_plane: ControlPlane) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        control_plane.kubectl("apply", "--filename=-", text=yaml.safe_dump(builder("typo", chache={"size": "2Gi"})))

    assert 'unknown field "spec.chache"' in caught.value.stderr


# What is taken


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"mode": "Sidecar"},
        {"suspend": True},
        {"shared": {}},
        {"shared": {"replicas": 0}},
        {"shared": {"port": 1024}},
        {"shared": {"port": 65535}},
        {"cache": {"size": "1Gi"}},
        {"cache": {"size": "1.5Ti"}},
        {"resources": {"limits": {"cpu": 2, "memory": "4Gi"}, "requests": {"cpu": "500m", "example.com/disk": "1"}}},
        {"env": [{"name": "EMPTY", "value": ""}, {"name": "UNSET"}]},
        {"daemon": {"toml": "this is for the operator to refuse"}},
        {"daemon": {"garbageCollection": {"maxUsedSpace": "12Gi", "minFreeSpace": "1"}}},
        registry(host="registry.example.com:5000", mirrors=["mirror.example.com/team"]),
        registry(mirrors=["mirror", "mirror:5000", "mirror.example.com/a/b_c-d.e", "10.0.0.1:80"]),
        {"daemon": {"dns": {"nameservers": ["10.0.0.10", "fd00::10", "169.254.20.10"]}}},
        peer({"podSelector": {}}),
        peer({"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": {}}),
        peer({"ipBlock": {"cidr": "fd00::/8", "except": ["fd00:1::/32"]}}),
        *(budget(unavailable) for unavailable in (0, 3, "2", "0%", "34%", "100%")),
        registry(host="localhost"),
        registry(plainHTTP=True),
        registry(insecureSkipVerify=True),
        registry(caSecretName="company-ca"),
        {"shared": {"tls": {"mode": "Disabled"}}},
        {"shared": {"tls": {"dnsNames": ["*.example.com", "builds"]}}},
        pod(labels={"team": "builds"}, annotations={"example.com/note": "x" * 4096}),
        pod(tolerations=[{"operator": "Exists"}]),
        pod(affinity={"podAntiAffinity": {"anything": ["goes", 1]}}),
        pod(topologySpreadConstraints=[{"topologyKey": "topology.kubernetes.io/zone"}]),
    ],
)
def test_good_input_is_taken(control_plane: ControlPlane, spec: Manifest) -> None:
    assert create(control_plane, builder(**spec))["spec"].items() >= {"mode": spec.get("mode", "Shared")}.items()


@pytest.mark.parametrize("name", ["a", "a" * 40, "b-2", "builds"])
def test_a_good_name_is_taken(control_plane: ControlPlane, name: str) -> None:
    assert create(control_plane, builder(name))["metadata"]["name"] == name


def test_everything_at_once_is_taken(control_plane: ControlPlane) -> None:
    spec = yaml.safe_load(EVERYTHING.read_text())

    assert create(control_plane, builder(**spec))["spec"]["shared"]["replicas"] == 3


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.name)
def test_samples_are_taken(control_plane: ControlPlane, namespace: str, file: Path) -> None:
    control_plane.kubectl(f"--namespace={namespace}", "apply", "--validate=strict", f"--filename={file}")


def test_defaults_are_written_down_where_users_look(control_plane: ControlPlane) -> None:
    assert create(control_plane, builder(shared={}))["spec"] == {
        "mode": "Shared",
        "suspend": False,
        "isolation": "Rootless",
        "imagePullPolicy": "IfNotPresent",
        "daemon": {"logLevel": "info", "garbageCollection": {"keepSeconds": 5_184_000}},
        "cache": {"size": "20Gi"},
        "shared": {
            "replicas": 1,
            "port": 1234,
            "tls": {"mode": "SelfSigned"},
            "service": {"type": "ClusterIP"},
            "disruptionBudget": {"maxUnavailable": "1"},
            "drainTimeoutSeconds": 900,
        },
    }


def test_a_builder_that_nobody_has_looked_at_says_so(control_plane: ControlPlane) -> None:
    assert create(control_plane, builder())["status"] == {"observedGeneration": -1}


def test_users_cannot_write_a_status(control_plane: ControlPlane) -> None:
    assert create(control_plane, builder() | {"status": {"endpoint": "tcp://elsewhere"}})["status"] == {
        "observedGeneration": -1
    }


def test_the_generation_counts_changes_of_the_spec_alone(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, builder(), namespace, dry_run=False)
    kubectl = ["patch", "bkb", "demo", f"--namespace={namespace}", "--type=merge"]

    control_plane.kubectl(*kubectl, "--subresource=status", '--patch={"status": {"endpoint": "tcp://x"}}')
    control_plane.kubectl(*kubectl, '--patch={"metadata": {"labels": {"team": "a"}}}')
    assert control_plane.request("GET", address(namespace, "demo"))["metadata"]["generation"] == 1

    control_plane.kubectl(*kubectl, '--patch={"spec": {"suspend": true}}')
    assert control_plane.request("GET", address(namespace, "demo"))["metadata"]["generation"] == 2


# What kubectl makes of it


def test_client_side_apply_of_the_definition_works(control_plane: ControlPlane) -> None:
    file = Path(__file__).parents[2] / "crds" / "buildkitbuilders.yaml"

    assert "buildkitbuilders" in control_plane.kubectl("apply", "--server-side=false", f"--filename={file}")


def test_builders_are_found_by_short_name_and_category(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, builder(), namespace, dry_run=False)

    for word in ("bkb", "buildkit", "buildkitbuilder"):
        assert "demo" in control_plane.kubectl("get", word, f"--namespace={namespace}")


def test_columns_show_what_the_status_says(start_control_plane: Callable[[], ControlPlane]) -> None:
    # Of its own: on the shared one an operator may still run, with something else to say.
    control_plane, namespace = start_control_plane(), "default"
    create(control_plane, builder(), namespace, dry_run=False)
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Available",
        "message": "All is well.",
        "lastTransitionTime": "2026-11-24T12:00:00Z",
        "observedGeneration": 1,
    }
    status = {"conditions": [ready], "endpoint": "tcp://demo:1234", "image": "buildkit:1", "readyReplicas": 2}
    control_plane.kubectl(
        f"--namespace={namespace}", "patch", "bkb", "demo", "--subresource=status", "--type=merge", "--patch",
        json.dumps({"status": status}),
    )  # fmt: skip

    header, row = control_plane.kubectl("get", "bkb", "demo", "--output=wide", f"--namespace={namespace}").splitlines()
    columns = ["NAME", "MODE", "READY", "REASON", "ENDPOINT", "AGE", "IMAGE", "REPLICAS", "PODS", "MESSAGE"]
    assert header.split() == columns
    assert row.split()[:5] == ["demo", "Shared", "True", "Available", "tcp://demo:1234"]
    assert row.split()[-5:] == ["buildkit:1", "2", "All", "is", "well."]


def fields(schema: Manifest, path: str) -> list[str]:
    """Return the path of every field beneath, as `kubectl explain` takes it."""
    schema = schema.get("items", schema)
    found = [f"{path}.{name}" for name in schema.get("properties", {})]
    return found + [
        inner for name, child in schema.get("properties", {}).items() for inner in fields(child, f"{path}.{name}")
    ]


def test_kubectl_explains_every_field(control_plane: ControlPlane) -> None:
    schema = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    explained = control_plane.kubectl("explain", "bkb", "--recursive")
    for name in {path.rsplit(".", 1)[-1] for path in fields(schema, "bkb")}:
        assert f"{name}\t<" in explained


@pytest.mark.parametrize("path", ["spec.daemon.toml", "spec.shared.tls.mode", "status.conditions.reason"])
def test_an_explanation_is_the_fields_description(control_plane: ControlPlane, path: str) -> None:
    described: Any = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in path.split("."):
        described = described.get("items", described)["properties"][part]
    explained = control_plane.kubectl("explain", f"bkb.{path}")

    assert " ".join(described["description"].split()) in " ".join(explained.split())


def test_scaling_changes_the_replicas(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, builder(shared={}), namespace, dry_run=False)

    control_plane.kubectl("scale", "bkb", "demo", "--replicas=3", f"--namespace={namespace}")

    assert control_plane.request("GET", address(namespace, "demo"))["spec"]["shared"]["replicas"] == 3
    assert control_plane.request("GET", address(namespace, "demo") + "/scale")["spec"]["replicas"] == 3
