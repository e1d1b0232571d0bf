"""Generated pods: what hostile or careless authors write, of the parts that injection looks at, and mostly valid."""

from typing import Any, Final

from hypothesis import strategies as st

from buildkit_operator.kube.resources import Manifest

Strategy = st.SearchStrategy[Any]

BUILDERS: Final = {
    "ci": [
        *("demo", "isolated", "chosen", "cached", "chosen-and-cached", "plain", "shared", "becoming-shared"),
        *("becoming-sidecar", "unseen", "unready", "unhealthy", "rendered-rootless", "rendered-node-default"),
        *("rendered-shared", "rendered-user-namespace", "rendered-volume", "ephemeral", "absent"),
    ],
    "open": ["runners", "two", "unready", "isolated", "absent"],
}
HOSTILE: Final = (
    *(
        "",
        " ",
        "'",
        '"',
        '"; exit 1',
        "$(id)",
        "`id`",
        "${HOME}",
        "%s",
        "{container}",
        "{builder}",
        "{{ x }}",
        "\\",
        "#",
    ),
    *(
        "~1",
        "/",
        "a\nb",
        "\u202e",
        "ﬀ",
        "\U0001f4a5",
        "null",
        "true",
        "1e999",
        "../..",
        "buildkitd",
        'a"b',
        'buildkitd,"',
        "x" * 2000,
    ),
)
"""Strings with what has a meaning in shells, YAML, JSON Pointer, CSV, HAProxy and our own templates."""
OUR_CONTAINERS: Final = ("buildkitd", "buildkit-connector")
OUR_VOLUMES: Final = (
    *("buildkit-socket", "buildkit-state", "buildkit-no-token", "buildkit-client", "buildkit-local-cache"),
    *("buildkit-config", "buildkit-registry-ca"),
)
VOLUMES: Final = ("work", "w2", "kube")
CONTAINERS: Final = ("job", "build", "prepare", "other", "runner", "x-1", "c" * 63)
VARIABLES: Final = ("A", "PATH", "BUILDKIT_HOST", "BUILDX_BUILDER", "BUILDX_CONFIG", "BUILDX_CONTAINERS", "CACHE_KEY")
PATHS: Final = (
    *(
        "/work",
        "/run",
        "/var/run",
        "/run/buildkit",
        "/run/buildkit/",
        "//run/buildkit",
        "/run/./buildkit",
        "run/buildkit",
    ),
    *(
        "/run/buildkit/buildx/job",
        "/run/buildkit/buildkitd.sock",
        "/var/run/buildkit",
        "/run/x/../buildkit",
        "/..",
        "/",
    ),
    *(
        "/mnt/buildkit-cache",
        "/mnt/buildkit-cache/",
        "/mnt/buildkit-cache/a",
        "/mnt",
        "/run/buildkit2",
        "/etc/buildkit-tls",
    ),
    "/var/run/secrets/kubernetes.io/serviceaccount",
)
SECRETS: Final = ("shared-connection", "demo-buildkitd-ca", "other")
ANNOTATIONS: Final = (
    *("buildkit-operator.dev/containers", "buildkit-operator.dev/cache-key", "buildkit-operator.dev/not-injected"),
    *("eks.amazonaws.com/skip-containers", "azure.workload.identity/skip-containers", "example.com/x", "a.b/c"),
    *("cluster-autoscaler.kubernetes.io/safe-to-evict", "karpenter.sh/do-not-disrupt"),
    "pod-identity.alibabacloud.com/skip-containers",
)
LABELS: Final[dict[str, tuple[str, ...]]] = {
    "pool": ("linux", "two", "isolated", "unready", ""),
    "size": ("large", "small"),
    "app.kubernetes.io/name": ("buildkitd", "runner"),
    "buildkit-operator.dev/injected": ("demo", "shared", "nobody"),
    "buildkit-operator.dev/owner": ("demo", "shared"),
}

flags: Final = st.booleans()
one_of_eight: Final = st.sampled_from([False] * 7 + [True])
one_of_thirty: Final = st.sampled_from([False] * 29 + [True])
hostile: Final = st.sampled_from(HOSTILE)


def seldom(strategy: Strategy, otherwise: Strategy) -> Strategy:
    """Return the first in one of eight cases: a pod with all that can be wrong is refused for one thing alone."""
    return one_of_eight.flatmap(lambda is_so: strategy if is_so else otherwise)


def optional(**fields: Strategy) -> st.SearchStrategy[Manifest]:
    """Return objects in which each field is or is not."""
    return st.fixed_dictionaries({}, optional=fields)


def rare(**fields: Strategy) -> st.SearchStrategy[Manifest]:
    """Return objects that mostly have none of the fields."""
    return seldom(optional(**fields), st.just({}))


def listed(items: Strategy, key: str, most: int = 3) -> Strategy:
    """Return lists in which a key is unique, as the API server wants it."""
    return st.lists(items, max_size=most, unique_by=lambda item: item[key])


sources: Final = st.one_of(
    st.builds(lambda: {"emptyDir": {}}),
    st.builds(lambda secret: {"secret": {"secretName": secret}}, st.sampled_from(SECRETS)),
    st.just({"configMap": {"name": "demo-buildkitd"}}),
    st.just({"persistentVolumeClaim": {"claimName": "cache"}}),
    st.just({"hostPath": {"path": "/var/lib/kubelet"}}),
    st.builds(
        lambda secret: {"projected": {"sources": [{"secret": {"name": secret}}]}},
        st.sampled_from(SECRETS),
    ),
)
volumes: Final = st.builds(
    lambda name, source: {"name": name, **source},
    seldom(st.sampled_from(OUR_VOLUMES), st.sampled_from(VOLUMES)),
    sources,
)
variables: Final = st.builds(
    lambda name, rest: {"name": name, **rest},
    st.sampled_from(VARIABLES),
    st.one_of(
        st.builds(lambda value: {"value": value}, hostile),
        st.just({"valueFrom": {"secretKeyRef": {"name": "shared-connection", "key": "tls.key"}}}),
        st.just({"value": "unix:///run/buildkit/buildkitd.sock"}),
    ),
)


def mounts(own: list[str]) -> Strategy:
    """Return mounts of these volumes, and now and then of ours."""
    names = st.sampled_from(own) if own else st.sampled_from(OUR_VOLUMES)
    given_already = st.just({"name": "buildkit-socket", "mountPath": "/run/buildkit"})
    written = st.builds(
        lambda name, path, rest: {"name": name, "mountPath": path, **rest},
        seldom(st.sampled_from(OUR_VOLUMES), names),
        seldom(st.sampled_from(PATHS), st.sampled_from(["/work", "/w2", "/run", "/mnt"])),
        rare(
            readOnly=flags,
            subPath=st.sampled_from(["root", "", "a/b"]),
            mountPropagation=st.sampled_from(["None", "HostToContainer"]),
        ),
    )
    return seldom(given_already, written)


def containers(own: list[str], **fields: Strategy) -> Strategy:
    """Return containers of a pod with these volumes."""
    listed_mounts = listed(mounts(own), "mountPath") if own else seldom(listed(mounts(own), "mountPath"), st.just([]))
    return st.builds(
        lambda name, mounted, rest: {
            "name": name,
            "image": "app",
            **({"volumeMounts": mounted} if mounted else {}),
            **rest,
        },
        seldom(st.sampled_from(OUR_CONTAINERS), st.sampled_from(CONTAINERS)),
        listed_mounts,
        optional(
            env=listed(variables, "name"),
            envFrom=st.just([{"secretRef": {"name": "shared-connection"}}]),
            args=st.lists(hostile, max_size=2),
            securityContext=optional(runAsUser=st.sampled_from([0, 1000, 65532]), privileged=flags),
            resources=st.just({"limits": {"cpu": "1"}}),
            **fields,
        ),
    )


specs: Final = st.builds(
    lambda *parts: {k: v for part in parts for k, v in part.items()},
    rare(
        hostNetwork=flags,
        hostPID=flags,
        hostIPC=flags,
        hostUsers=flags,
        shareProcessNamespace=flags,
        os=st.sampled_from([{"name": "linux"}, {"name": "windows"}]),
        nodeSelector=st.sampled_from([{}, {"kubernetes.io/os": "windows"}, {"disk": "ssd"}]),
    ),
    optional(
        restartPolicy=st.sampled_from(["Never", "OnFailure", "Always"]),
        automountServiceAccountToken=flags,
        dnsPolicy=st.sampled_from(["ClusterFirst", "Default", "ClusterFirstWithHostNet"]),
        activeDeadlineSeconds=st.integers(1, 10**6),
        terminationGracePeriodSeconds=st.integers(0, 600),
        enableServiceLinks=flags,
        hostname=st.sampled_from(["a", "buildkitd"]),
        hostAliases=st.just([{"ip": "10.0.0.1", "hostnames": ["shared-buildkitd.ci.svc.cluster.local"]}]),
        tolerations=st.just([{"operator": "Exists"}]),
        securityContext=optional(
            runAsUser=st.sampled_from([0, 1000]),
            runAsNonRoot=flags,
            fsGroup=st.just(2000),
            supplementalGroups=st.just([1000]),
            seccompProfile=st.sampled_from([{"type": "RuntimeDefault"}, {"type": "Unconfined"}]),
            sysctls=st.just([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]),
        ),
    ),
)


def _labels(draw: st.DrawFn, namespace: str) -> dict[str, str]:
    labels = draw(optional(**{key: st.sampled_from(values) for key, values in list(LABELS.items())[:2]}))
    labels |= draw(rare(**{key: st.sampled_from(values) for key, values in list(LABELS.items())[2:]}))
    if draw(flags) if namespace == "open" else not draw(one_of_eight):
        labels["buildkit-operator.dev/builder"] = draw(st.sampled_from(BUILDERS[namespace]))
    return labels


def _annotations(draw: st.DrawFn) -> dict[str, str]:
    annotations: dict[str, str] = draw(st.dictionaries(st.sampled_from(ANNOTATIONS), hostile, max_size=3))
    if draw(one_of_thirty):
        annotations["container.apparmor.security.beta.kubernetes.io/buildkitd"] = "runtime/default"
    return annotations


@st.composite
def pods(draw: st.DrawFn) -> Manifest:
    """Draw a pod."""
    namespace = draw(st.sampled_from(["ci", "ci", "ci", "open"]))
    own = draw(listed(volumes, "name"))
    names = [volume["name"] for volume in own]
    of_init = containers(names, restartPolicy=st.just("Always"))
    every = draw(st.lists(containers(names), min_size=1, max_size=4, unique_by=lambda c: c["name"]))
    taken = {container["name"] for container in every}
    first = [container for container in draw(listed(of_init, "name", 2)) if container["name"] not in taken]
    spec = {**draw(specs), "containers": every}
    spec |= {"initContainers": first} if first else draw(st.sampled_from([{}, {"initContainers": []}]))
    spec |= {"volumes": own} if own else {}
    labels = _labels(draw, namespace)
    annotations = _annotations(draw)
    if draw(one_of_thirty):
        annotations["kubernetes.io/config.mirror"] = "x"
        spec["nodeName"] = "node"
    metadata: Manifest = {"namespace": namespace, **({"labels": labels} if labels else {})}
    metadata |= {"annotations": annotations} if annotations else {}
    metadata |= draw(st.sampled_from([{"name": "pod"}, {"generateName": "runner-"}, {"generateName": "runner-x7k9d-"}]))
    if draw(flags):
        owner = {"apiVersion": "v1", "kind": "X", "name": "set-abcde", "uid": "1", "controller": draw(flags)}
        metadata["ownerReferences"] = [owner]
    return {"metadata": metadata, "spec": spec}
