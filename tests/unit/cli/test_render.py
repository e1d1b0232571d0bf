"""`render`: all that the operator would make for a builder, and what pods get of it."""

import json
import re
from pathlib import Path
from textwrap import indent
from typing import Final

import pytest
import yaml

from buildkit_operator.desired import injection
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.desired.platform import Platform
from buildkit_operator.desired.scripts import CONNECTOR_SCRIPTS, FRONT_SCRIPTS, SCRIPTS
from tests.unit.cli.run import Run, builder, written
from tests.unit.make import make_builder

GOLDEN: Final = Path(__file__).parent / "golden"
CASES: Final = sorted(folder.name for folder in GOLDEN.iterdir())

QUOTING_SCRIPTS: Final = "cert-manager"
"""The case whose golden file has the scripts in full, so that it can be seen once how they are printed."""


@pytest.mark.parametrize("case", CASES)
def test_a_builder_is_printed_like_this(case: str, *, run: Run, request: pytest.FixtureRequest) -> None:
    golden = GOLDEN / case / "rendered.yaml"

    printed = run("render", "-f", "builder.yaml", builder=(GOLDEN / case / "builder.yaml").read_text())

    assert (printed.code, printed.err) == (0, "")
    text = printed.out if case == QUOTING_SCRIPTS else without_scripts(printed.out)
    if request.config.getoption("--update-golden"):
        golden.write_text(text)
    assert text == golden.read_text()


def without_scripts(text: str) -> str:
    """Return YAML with the name of each script in place of its text, which stands in its own file."""
    for name, script in {**SCRIPTS, **CONNECTOR_SCRIPTS, **FRONT_SCRIPTS}.items():
        text = text.replace(f"{name}: |\n{indent(script, '    ')}", f"{name}: <desired/scripts/{name}>\n")
    return text


def test_there_is_a_case_of_each_sort() -> None:
    assert {"sidecar", "shared-with-claims", "consumer", "consumer-and-provider", "cert-manager"} <= set(CASES)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("output", ["yaml", "json"])
def test_no_secret_has_anything_in_it(case: str, output: str, *, run: Run) -> None:
    text = (GOLDEN / case / "builder.yaml").read_text()

    printed = run("render", "-o", output, "-f", "builder.yaml", builder=text)

    found = json.loads(printed.out)["items"] if output == "json" else printed.objects
    secrets = [manifest for manifest in found if manifest["kind"] == "Secret"]
    assert all(secret.keys() == {"apiVersion", "kind", "metadata", "type"} for secret in secrets)
    assert "PRIVATE KEY" not in printed.out + printed.err
    assert "BEGIN CERTIFICATE-----" not in printed.out + printed.err


def test_the_keys_of_secrets_are_told(run: Run) -> None:
    text = written(builder())

    as_yaml = run("render", "-f", "builder.yaml", builder=text)
    as_json = run("render", "-f", "builder.yaml", "-o", "json", builder=text)

    told = "Its data is not shown: keys BUILDKIT_HOST, ca.crt, tls.crt, tls.key."
    assert f"# {told}\napiVersion: v1\nkind: Secret\nmetadata:\n  name: demo-connection\n" in as_yaml.out
    assert as_yaml.err == ""
    assert f"Secret demo-connection: {told}\n" in as_json.err
    assert as_json.code == 0


def test_json_is_the_same_as_yaml(run: Run) -> None:
    text = written(builder("one"), builder("two", mode="Sidecar"))

    as_json = json.loads(run("render", "-f", "builder.yaml", "-o", "json", builder=text).out)

    assert (as_json["apiVersion"], as_json["kind"]) == ("v1", "List")
    assert as_json["items"] == run("render", "-f", "builder.yaml", builder=text).objects


def test_the_builder_comes_first_with_its_defaults_and_what_pods_get(run: Run) -> None:
    given = written(builder(mode="Sidecar", image="example.com/buildkit:1"))

    printed = run("render", "-f", "builder.yaml", builder=given)

    first, *_ = printed.objects
    made = make_builder(mode="Sidecar", image="example.com/buildkit:1")
    rendered = injection.render(made, Platform(), confine(made.spec, PodSecurity()))
    assert first["spec"]["cache"]["size"] == "20Gi"
    assert first["metadata"] == {"name": "demo", "namespace": "default"}
    assert first["status"] == {"injection": rendered}


def test_what_is_printed_can_be_rendered_again(run: Run) -> None:
    once = run("render", "-f", "builder.yaml", builder=written(builder()))

    again = run("render", "-f", "-", stdin=once.out)

    assert again.out == once.out
    assert "standard input, document 3: Secret demo-buildkitd-ca is passed over\n" in again.err


def test_several_files_and_documents_are_rendered_together(run: Run) -> None:
    shared = builder("provider", "builds", shared={"allowedNamespaces": {"names": ["ci"]}, "port": 4321})
    consumer = builder(namespace="ci", shared={"from": {"namespace": "builds", "name": "provider"}})

    printed = run(
        *("render", "-f", "one.yaml", "-f", "-"),
        one=written({"apiVersion": "v1", "kind": "List", "items": [shared]}),
        stdin=written(consumer),
    )

    assert printed.code == 0
    assert (
        "provider-buildkitd.builds.svc.cluster.local:4321"
        in printed.only("ConfigMap", "demo-connector")["data"]["haproxy.cfg"]
    )


# What the cluster and the operator's settings change


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (["--cluster-domain", "example.org"], "demo-buildkitd.default.svc.example.org"),
        (["--buildkit-image", "example.com/buildkit:2"], "image: example.com/buildkit:2"),
        (["--connector-image", "example.com/haproxy:2"], "image: example.com/haproxy:2"),
        (["--namespace", "ci"], "demo-buildkitd.ci.svc.cluster.local"),
    ],
)
def test_a_setting_of_the_operators_acts(arguments: list[str], changed: str, *, run: Run) -> None:
    text = written(builder())

    before = run("render", "-f", "builder.yaml", builder=text)
    after = run("render", "-f", "builder.yaml", *arguments, builder=text)

    assert after.code == 0
    assert changed not in before.out
    assert changed in after.out


@pytest.mark.parametrize(
    ("arguments", "proc"),
    [
        ([], "Unmasked"),
        (["--pod-security", "baseline"], "Unmasked"),
        (["--pod-security", "baseline", "--kubernetes-version", "v1.34.2-gke.100"], None),
        (["--pod-security", "privileged", "--kubernetes-version", "1.34"], "Unmasked"),
        (["--namespace-label", "pod-security.kubernetes.io/enforce=baseline", "--kubernetes-version", "1.34"], None),
        (
            ["--pod-security", "baseline", "--namespace-label", "pod-security.kubernetes.io/enforce-version=v1.30"],
            None,
        ),
    ],
)
def test_pod_security_and_version_decide_on_a_user_namespace(arguments: list[str], proc: str | None, run: Run) -> None:
    text = written(builder(mode="Sidecar", isolation="UserNamespace"))

    printed = run("render", "-f", "builder.yaml", *arguments, builder=text)

    (container,) = printed.only("BuildKitBuilder")["status"]["injection"]["initContainers"]
    assert printed.code == 0
    assert container["securityContext"].get("procMount") == proc


def test_a_namespace_that_refuses_the_daemons_is_told_with_a_remedy(run: Run) -> None:
    printed = run("render", "--pod-security", "baseline", "-f", "builder.yaml", builder=written(builder()))

    assert printed.code == 1
    assert printed.err.startswith(
        "builder.yaml, document 1: PodSecurityDenied: Namespace default enforces Pod Security level baseline"
    )
    assert printed.only("Deployment")


def test_labels_of_the_namespace_let_a_consumer_in(run: Run) -> None:
    selector = {"selector": {"matchLabels": {"team": "a"}}}
    text = written(
        builder("provider", "builds", shared={"allowedNamespaces": selector}),
        builder(shared={"from": {"namespace": "builds", "name": "provider"}}),
    )

    refused = run("render", "-f", "builder.yaml", builder=text)
    admitted = run("render", "-f", "builder.yaml", "--namespace-label", "team=a", builder=text)

    assert refused.code == 1
    assert refused.err.startswith("builder.yaml, document 2: NotAdmitted: Builder provider of namespace builds")
    assert [o["metadata"]["name"] for o in refused.objects if o["kind"] == "BuildKitBuilder"] == ["provider"]
    assert admitted.code == 0
    assert admitted.only("ConfigMap", "demo-connector")["data"]


def test_help_tells_the_defaults_that_the_operator_has(run: Run) -> None:
    text = " ".join(run("render", "--help").out.split())

    assert f"the cluster's (default: {Platform().cluster_domain})" in text
    assert f"(default: 1.{PodSecurity().minor}, and newer ones are the same)" in text


# What is not rendered


def test_a_spec_that_the_api_server_refuses_is_refused_in_its_words(run: Run) -> None:
    text = written(builder("bad", mode="Sidecar", shared={}), builder("good"))

    printed = run("render", "-f", "builder.yaml", builder=text)

    assert printed.code == 1
    assert printed.err == (
        'builder.yaml, document 1: BuildKitBuilder.buildkit-operator.dev "bad" is invalid: '
        "spec.shared: Invalid value: shared is only for mode Shared; remove it or set mode to Shared\n"
    )
    assert printed.only("BuildKitBuilder")["metadata"]["name"] == "good"


def test_what_only_the_operator_refuses_is_told_with_its_reason(run: Run) -> None:
    printed = run("render", "-f", "builder.yaml", builder=written(builder(daemon={"toml": "no = = toml"})))

    assert (printed.code, printed.out) == (1, "")
    assert printed.err.startswith("builder.yaml, document 1: InvalidToml: ")


def test_what_only_the_models_refuse_is_told_with_its_reason(run: Run) -> None:
    text = written(builder(resources={"limits": {"nvidia": 1}}))

    printed = run("render", "-f", "builder.yaml", builder=text)

    assert printed.code == 1
    assert printed.err == (
        "builder.yaml, document 1: InvalidSpec: spec.resources.limits: 'nvidia' is not the key of a resource. "
        "See https://docs.unreleased.invalid/reasons/InvalidSpec/.\n"
    )


def test_a_suspended_builder_is_rendered_with_a_note(run: Run) -> None:
    printed = run("render", "-f", "builder.yaml", builder=written(builder(suspend=True)))

    assert printed.code == 0
    assert printed.only("Deployment")
    assert printed.err == (
        "builder.yaml, document 1: spec.suspend is true: the operator makes and changes nothing of this until it is "
        "false\n"
    )


def test_objects_of_other_kinds_are_passed_over(run: Run) -> None:
    text = written({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ci"}}, builder())

    printed = run("render", "-f", "builder.yaml", builder=text)

    assert printed.code == 0
    assert printed.err == "builder.yaml, document 1: Namespace ci is passed over\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "builder.yaml: it is empty"),
        ("# nothing\n---\n", "builder.yaml: it is empty"),
        ("a: [", "builder.yaml: line 1: "),
        ("a: b: c", "builder.yaml: line 1: mapping values are not allowed here"),
        ("{", "builder.yaml: line 1: "),
        ('{"a": 1, "a": 2}', "builder.yaml, document 1: it cannot be written as JSON: key 'a' is set twice"),
        ("a: 1\na: 2", 'builder.yaml: line 2: key "a" is set twice'),
        ("a: .inf", "builder.yaml, document 1: it cannot be written as JSON: "),
        ("a: &a [*a]", "builder.yaml: line 1: "),
        ("a: !!binary eA==", "builder.yaml, document 1: it cannot be written as JSON: "),
        ("a: !python/object b", "builder.yaml: line 1: could not determine a constructor for the tag"),
        ("? [a]\n: b", "builder.yaml: line 1: a key must be a string"),
        ("\x07", "builder.yaml: unacceptable character"),
        ("a: " + "[" * 101 + "]" * 101, "builder.yaml, document 1: it cannot be written as JSON: it is nested too"),
        ("a: " + "[" * 9000, "builder.yaml, document 1: it cannot be written as JSON: maximum recursion"),
        ("- a", "builder.yaml, document 1: it is no Kubernetes object, but a list"),
        ("text", "builder.yaml, document 1: it is no Kubernetes object, but a str"),
        ("kind: Pod", "builder.yaml, document 1: it is no Kubernetes object, as it has no apiVersion"),
        ("apiVersion: v1", "builder.yaml, document 1: it is no Kubernetes object, as it has no kind"),
        ("apiVersion: v1\nkind: Pod\nmetadata: x", "builder.yaml, document 1: metadata must be an object"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 3}", "builder.yaml, document 1: metadata.name must be a string"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: 3}}",
            "builder.yaml, document 1: metadata.labels must be an object whose values are strings",
        ),
        ("apiVersion: v1\nkind: Pod", "there is no BuildKitBuilder in builder.yaml"),
        (
            "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod}, 3]",
            "builder.yaml, document 1, item 2: it is no Kubernetes object, but a int",
        ),
        (
            written(builder() | {"apiVersion": "buildkit-operator.dev/v1"}),
            'builder.yaml, document 1: no matches for kind "BuildKitBuilder" in version "buildkit-operator.dev/v1": ',
        ),
        (
            written(builder() | {"kind": "BuildkitBuilder"}),
            'builder.yaml, document 1: no matches for kind "BuildkitBuilder"',
        ),
        (
            written(builder() | {"metadata": {"generateName": "demo-"}}),
            "builder.yaml, document 1: give it a name",
        ),
        (
            written(builder(), builder(namespace="default")),
            "builder.yaml, document 2: BuildKitBuilder default/demo was given before: builder.yaml, document 1",
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, sentence: str, *, run: Run) -> None:
    printed = run("render", "-f", "builder.yaml", builder=text)

    assert (printed.code, printed.out) == (2, "")
    assert printed.err.startswith(sentence)
    assert printed.err.count("\n") == 1


def test_the_version_that_is_known_is_told(run: Run) -> None:
    printed = run("render", "-f", "-", stdin=written(builder() | {"apiVersion": "buildkit-operator.dev/v1"}))

    assert printed.err.endswith(": this operator knows BuildKitBuilder in version buildkit-operator.dev/v1alpha1\n")


def test_files_that_are_none_are_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")

    assert run("render", "-f", "none.yaml").err == "none.yaml: No such file or directory\n"
    assert run("render", "-f", ".").err == ".: Is a directory\n"
    assert run("render", "-f", "latin.yaml").err.startswith("latin.yaml: it is not UTF-8: ")
    assert run("render", "-f", "none.yaml").code == 2


def test_a_namespace_beside_another_is_refused_as_kubectl_does(run: Run) -> None:
    printed = run("render", "-n", "ci", "-f", "builder.yaml", builder=written(builder(namespace="builds")))

    assert printed.code == 2
    assert printed.err == (
        'builder.yaml, document 1: the namespace from the provided object "builds" does not match the namespace "ci". '
        "You must pass '--namespace=builds' to perform this operation.\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["render"],
        ["render", "-f", "a", "-o", "text"],
        ["render", "-f", "a", "--kubernetes-version", "2"],
        ["render", "-f", "a", "--pod-security", "none"],
        ["render", "-f", "a", "--namespace-label", "team"],
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments: list[str], *, run: Run) -> None:
    printed = run(*arguments)

    assert printed.code == 2
    assert re.search("usage: .* render", printed.err)


def test_yaml_is_read_as_kubectl_reads_it(run: Run) -> None:
    text = """
apiVersion: buildkit-operator.dev/v1alpha1
kind: BuildKitBuilder
metadata:
  name: demo
  annotations: {made: 2026-11-28, on: "1", ratio: '12:30'}
  creationTimestamp: 2026-11-28T09:00:00Z
spec: &spec
  mode: Shared
  shared: {replicas: 2.0, port: 0x1000}
  env: [{name: A, value: "08"}]
"""

    stored = run("render", "-f", "builder.yaml", builder=text).only("BuildKitBuilder")

    assert stored["metadata"]["annotations"] == {"made": "2026-11-28", "true": "1", "ratio": "12:30"}
    assert stored["metadata"]["creationTimestamp"] == "2026-11-28T09:00:00Z"
    assert (stored["spec"]["shared"]["replicas"], stored["spec"]["shared"]["port"]) == (2, 4096)


def test_texts_that_kubectl_would_take_for_something_else_are_quoted(run: Run) -> None:
    labels = {"a": "y", "b": "0o17", "c": "1e3", "d": "08", "e": "12", "f": "2026-11-28", "g": "yes", "h": "v1"}

    once = run(
        "render", "-f", "-", stdin=json.dumps(builder(cache={"size": "1e12"}, shared={"pod": {"labels": labels}}))
    )
    again = run("render", "-f", "-", stdin=once.out)

    assert again.out == once.out
    assert once.only("Deployment")["spec"]["template"]["metadata"]["labels"].items() >= labels.items()
    assert "    size: '1e12'\n" in once.out
    assert "  a: 'y'\n" in once.out
    assert "  b: '0o17'\n" in once.out
    assert "  h: v1\n" in once.out


def test_json_is_read_too(run: Run) -> None:
    text = "\n" + json.dumps(builder("one"), indent="\t") + "\n" + json.dumps(builder("two"))

    printed = run("render", "-f", "builder.yaml", builder=text)

    assert [o["metadata"]["name"] for o in printed.objects if o["kind"] == "BuildKitBuilder"] == ["one", "two"]


def test_the_uid_of_a_builder_that_exists_is_in_its_objects(run: Run) -> None:
    existing = builder() | {"metadata": {"name": "demo", "uid": "6f1c2a52", "generation": 3}}

    (owner,) = run("render", "-f", "builder.yaml", builder=written(existing)).only("Deployment")["metadata"][
        "ownerReferences"
    ]
    (unknown,) = run("render", "-f", "builder.yaml", builder=written(builder())).only("Deployment")["metadata"][
        "ownerReferences"
    ]

    assert owner["uid"] == "6f1c2a52"
    assert "uid" not in unknown


def test_a_digest_of_certificates_is_left_out_and_told(run: Run) -> None:
    secured = run("render", "-f", "builder.yaml", builder=written(builder()))
    open_to_all = run("render", "-f", "builder.yaml", builder=written(builder(shared={"tls": {"mode": "Disabled"}})))

    digest = "buildkit-operator.dev/config-hash"
    assert digest not in secured.only("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert f"# Its pods also have the annotation {digest}, " in secured.out
    assert digest in open_to_all.only("Deployment")["spec"]["template"]["metadata"]["annotations"]


def test_golden_files_are_valid_yaml_without_aliases() -> None:
    for case in CASES:
        text = (GOLDEN / case / "rendered.yaml").read_text()
        assert all(isinstance(manifest, dict) for manifest in yaml.safe_load_all(text))
        assert "&id0" not in text
