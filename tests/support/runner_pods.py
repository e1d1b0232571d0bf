"""The pods that CI systems make of this project's samples, for tests that have none of these systems.

Of each system there is as little as it takes to be honest: labels and annotations go the way that its documentation
says, and the pod has the system's own containers, volumes, name and owner. docs/ci names the sources.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Final

import yaml

from buildkit_operator.kube.resources import Manifest

TOP: Final = Path(__file__).parents[2]
CI: Final = TOP / "deploy/samples/ci"

_HELPER: Final = "registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper:x86_64-v19.2.0"


def read(sample: str) -> Manifest:
    """Return the one YAML document of a file of deploy/samples/ci."""
    document: Manifest = yaml.safe_load((CI / sample).read_text())
    return document


# Reading


def yaml_of_jenkinsfile(text: str) -> str:
    """Return the pod that a declarative pipeline writes out."""
    found = re.search(r"yaml '''\n(.*?)'''", text, re.DOTALL)
    assert found
    return dedent(found[1])


def blocks(file: Path) -> Iterator[tuple[str, str]]:
    """Give the fenced blocks of a Markdown file, each with its language; what is indented in a list counts, too."""
    for found in re.finditer(r"^( *)```(\w+)\n(.*?)^\1```$", file.read_text(), re.DOTALL | re.MULTILINE):
        yield found[2], dedent(found[3])


def documents(file: Path) -> list[Manifest]:
    """Return the Kubernetes objects of a Markdown file's YAML, in their order."""
    texts = (text for language, text in blocks(file) if language == "yaml")
    return [document for text in texts for document in yaml.safe_load_all(text) if "apiVersion" in document]


# Kubernetes itself


def pod_of_template(owner: Manifest) -> Manifest:
    """Return the pod of a Job, or of the Job of a CronJob, or a Pod as it is."""
    if owner["kind"] == "Pod":
        return {**owner, "metadata": {**owner["metadata"]}}
    name = owner["metadata"]["name"]
    spec = owner["spec"]
    if owner["kind"] == "CronJob":
        name, spec = f"{name}-29384756", spec["jobTemplate"]["spec"]
    return _owned(f"{name}-", spec["template"], "batch/v1", "Job", name)


# GitHub


def pod_of_scale_set(template: Manifest) -> Manifest:
    """Return the pod of a runner of an AutoscalingRunnerSet (actions.github.com)."""
    runner = "linux-build-x7k2p-runner-q9m4z"
    pod = _owned(runner, template, "actions.github.com/v1alpha1", "EphemeralRunner", runner)
    pod["metadata"]["name"] = pod["metadata"].pop("generateName")
    pod["metadata"]["labels"]["actions-ephemeral-runner"] = "True"
    return pod


def pod_of_hook(template: str, image: str, *, has_volume: bool = True) -> Manifest:
    """Return the pod that the container hook of kubernetes mode makes for a job with this image.

    Template is the file that ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE names; its metadata is added to the hook's own.
    With a volume the job works in the runner's PVC; without (kubernetes-novolume) an init container fills an emptyDir.
    """
    extension = yaml.safe_load(template)
    runner = "linux-kubernetes-x7k2p-runner-q9m4z"
    mounts = [{"name": "work", "mountPath": "/__w"}]
    start = {"name": "fs-init", "image": "ghcr.io/actions/actions-runner:latest", "command": ["sh", "-c", "true"]}
    work = {"persistentVolumeClaim": {"claimName": f"{runner}-work"}} if has_volume else {"emptyDir": {}}
    return {
        "metadata": {
            "name": f"{runner}-workflow",
            "labels": {"runner-pod": runner, **extension["metadata"].get("labels", {})},
            "annotations": extension["metadata"].get("annotations", {}),
        },
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"fsGroup": 1001},
            **({} if has_volume else {"initContainers": [{**start, "volumeMounts": mounts}]}),
            "containers": [
                {"name": "job", "image": image, "command": ["tail", "-f", "/dev/null"], "volumeMounts": mounts}
            ],
            "volumes": [{"name": "work", **work}],
            **extension.get("spec", {}),
        },
    }


def pod_of_runner_deployment(deployment: Manifest) -> Manifest:
    """Return the pod of a Runner of a RunnerDeployment (actions.summerwind.dev)."""
    template = deployment["spec"]["template"]
    container = {"name": "runner", "image": "docker.io/summerwind/actions-runner:latest"}
    spec = {"restartPolicy": "Never", "containers": [{**container, "resources": template["spec"]["resources"]}]}
    runner = f"{deployment['metadata']['name']}-x7k2p-q9m4z"
    made = {"metadata": template["metadata"], "spec": spec}
    pod = _owned(runner, made, "actions.summerwind.dev/v1alpha1", "Runner", runner)
    pod["metadata"]["name"] = pod["metadata"].pop("generateName")
    return pod


def pod_of_evryfs(pool: Manifest) -> Manifest:
    """Return the pod of a GithubActionRunner (garo.tietoevry.com)."""
    name = pool["metadata"]["name"]
    template = pool["spec"]["podTemplateSpec"]
    pod = _owned(f"{name}-pod-", template, "garo.tietoevry.com/v1alpha1", "GithubActionRunner", name)
    pod["metadata"]["labels"]["garo.tietoevry.com/pool"] = name
    pod["metadata"]["finalizers"] = ["garo.tietoevry.com/runner-registration"]
    return pod


# GitLab


def pod_of_gitlab(runner: Manifest, job: Manifest, variables: Mapping[str, str]) -> Manifest:
    """Return the pod of a job of .gitlab-ci.yml, by a `[[runners]]` of config.toml and GitLab's own variables.

    Raises ValueError where the job sets a label that the runner does not allow.
    """
    settings = runner["kubernetes"]
    known = {**variables, **job.get("variables", {})}
    image = job.get("image", settings["image"])
    mounts = [{"name": "repo", "mountPath": "/builds"}]
    env = [{"name": name, "value": _expanded(value, known)} for name, value in known.items()]
    build = {
        "name": "build",
        "image": image["name"] if isinstance(image, dict) else image,
        "command": ["sh", "-ec", "\n".join(job["script"])],
        "workingDir": "/builds",
    }
    helper = {"name": "helper", "image": _HELPER, "command": ["sh"]}
    rights = {"securityContext": {"capabilities": {"drop": ["NET_RAW"]}}}
    containers = [{**container, **rights, "env": env, "volumeMounts": mounts} for container in (build, helper)]
    return {
        "metadata": {
            "name": "runner-t1-project-12-concurrent-0-k3j9xw2p",
            "labels": _gitlab_map("pod_labels", settings, known),
            "annotations": {"job.runner.gitlab.com/id": "815", **_gitlab_map("pod_annotations", settings, known)},
        },
        "spec": {
            "restartPolicy": "Never",
            "initContainers": [{**helper, "name": "init-permissions", "volumeMounts": mounts}],
            "containers": containers,
            "volumes": [{"name": "repo", "emptyDir": {}}],
        },
    }


def _gitlab_map(name: str, settings: Manifest, variables: Mapping[str, str]) -> dict[str, str]:
    """Return a table of the runner's settings with what the job's variables may write over it."""
    found = dict(settings.get(name, {}))
    allowed = settings.get(f"{name}_overwrite_allowed", "")
    for variable, value in variables.items():
        if not allowed or not variable.startswith(f"KUBERNETES_{name.upper()}_"):
            continue
        # As Go's MatchString: anywhere in the text.
        if not re.search(allowed, value):
            raise ValueError(f'provided value "{value}" does not match "{allowed}"')
        key, _, found[key] = value.partition("=")
    return {key: _expanded(value, variables) for key, value in found.items()}


def _expanded(value: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: variables.get(found[1], ""), value)


# Jenkins


def pod_of_jenkins(template: str) -> Manifest:
    """Return the agent's pod by the YAML of a pod template."""
    pod: Manifest = yaml.safe_load(template)
    agent = {"name": "jnlp", "image": "docker.io/jenkins/inbound-agent:3355"}
    workspace = {"name": "workspace-volume", "mountPath": "/home/jenkins/agent"}
    containers = [
        {**container, "volumeMounts": [*container.get("volumeMounts", []), workspace]}
        for container in (*pod["spec"]["containers"], agent)
    ]
    return {
        "metadata": {
            **pod["metadata"],
            "name": "app-main-42-9zk1w-1h0jx",
            "labels": {"jenkins": "slave", **pod["metadata"]["labels"]},
        },
        "spec": {
            **pod["spec"],
            "restartPolicy": "Never",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "containers": containers,
            "volumes": [*pod["spec"].get("volumes", []), {"name": "workspace-volume", "emptyDir": {}}],
        },
    }


# Tekton


def pod_of_tekton(task: Manifest, run: Manifest) -> Manifest:
    """Return the pod of a TaskRun: labels and annotations of the Task and, before those, of the TaskRun."""
    mounts = [{"name": "tekton-internal-bin", "mountPath": "/tekton/bin"}]
    shared = {"image": "ghcr.io/tektoncd/pipeline/entrypoint:v1.15.0", "volumeMounts": mounts}
    text = yaml.safe_dump(task["spec"]["steps"])
    for parameter in run["spec"]["params"]:
        text = text.replace(f"$(params.{parameter['name']})", parameter["value"])
    text = re.sub(r"\$\(workspaces\.(\w+)\.path\)", r"/workspace/\1", text)
    steps = [
        {
            "name": f"step-{step['name']}",
            "image": step["image"],
            "command": ["/tekton/bin/entrypoint", "-entrypoint", "/tekton/scripts/script-0"],
            "workingDir": step["workingDir"],
            "env": step["env"],
            "volumeMounts": mounts,
        }
        for step in yaml.safe_load(text)
    ]
    name = run["metadata"]["name"]
    metadata = {
        key: {**task["metadata"].get(key, {}), **run["metadata"].get(key, {})} for key in ("labels", "annotations")
    }
    spec = {
        "restartPolicy": "Never",
        "initContainers": [{"name": kind, "command": ["/bin/true"], **shared} for kind in ("prepare", "place-scripts")],
        "containers": steps,
        "volumes": [{"name": "tekton-internal-bin", "emptyDir": {}}],
    }
    pod = _owned(f"{name}-pod", {"metadata": metadata, "spec": spec}, "tekton.dev/v1", "TaskRun", name)
    pod["metadata"]["name"] = pod["metadata"].pop("generateName")
    return pod


# Argo Workflows, Buildkite, Woodpecker


def pod_of_argo(workflow: Manifest) -> Manifest:
    """Return the pod of the one step of a Workflow."""
    (template,) = workflow["spec"]["templates"]
    name = f"{workflow['metadata']['generateName']}x7k2p"
    mounts = [{"name": "var-run-argo", "mountPath": "/var/run/argo"}]
    executor = {"image": "quay.io/argoproj/argoexec:latest", "volumeMounts": mounts}
    step = template["container"]
    command = ["/var/run/argo/argoexec", "emissary", "--", *step["command"]]
    spec = {
        "restartPolicy": "Never",
        "initContainers": [{"name": "init", "command": ["argoexec", "init"], **executor}],
        "containers": [
            {"name": "wait", "command": ["argoexec", "wait"], **executor},
            {**step, "name": "main", "command": command, "volumeMounts": [*step["volumeMounts"], *mounts]},
        ],
        "volumes": [*workflow["spec"]["volumes"], {"name": "var-run-argo", "emptyDir": {}}],
    }
    labels = {"workflows.argoproj.io/workflow": name, **template["metadata"]["labels"]}
    metadata = {"labels": labels, "annotations": template["metadata"].get("annotations", {})}
    pod = _owned(name, {"metadata": metadata, "spec": spec}, "argoproj.io/v1alpha1", "Workflow", name)
    pod["metadata"]["name"] = pod["metadata"].pop("generateName")
    return pod


def pod_of_buildkite(metadata: Manifest, step: Manifest) -> Manifest:
    """Return the pod of a step: by metadata of the kubernetes plugin, or of the controller's values."""
    job = "buildkite-0190c3f2-5d0e-7c1b-9d8f-2f6f0f5b7a11"
    mounts = [{"name": "workspace", "mountPath": "/workspace"}]
    agent = {"image": "ghcr.io/buildkite/agent:latest", "volumeMounts": mounts}
    spec = {
        "restartPolicy": "Never",
        "initContainers": [{"name": "copy-agent", "command": ["cp"], **agent}],
        "containers": [
            {"name": "agent", "args": ["start"], **agent},
            {"name": "container-0", "image": step["image"], "command": [step["command"]], "volumeMounts": mounts},
            {"name": "checkout", "args": ["bootstrap"], **agent},
        ],
        "volumes": [{"name": "workspace", "emptyDir": {}}],
    }
    labels = {"buildkite.com/job-uuid": job.removeprefix("buildkite-"), **metadata.get("labels", {})}
    annotations = {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        **metadata.get("annotations", {}),
    }
    template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec}
    return _owned(f"{job}-", template, "batch/v1", "Job", job)


def pod_of_woodpecker(pipeline: Manifest, agent: Mapping[str, str]) -> Manifest:
    """Return the pod of the one step of a pipeline, by an agent that has these variables."""
    (step,) = pipeline["steps"]
    options = step["backend_options"]["kubernetes"]
    allowed = {
        kind: options[kind] if agent.get(f"WOODPECKER_BACKEND_K8S_POD_{kind.upper()}_ALLOW_FROM_STEP") == "true" else {}
        for kind in ("labels", "annotations")
    }
    name = "wp-01jd0q7v9m5x8r2t4w6y8z0a1b"
    container = {
        "name": name,
        "image": step["image"],
        "command": ["/bin/sh", "-c", "echo $CI_SCRIPT | base64 -d | /bin/sh -e"],
        "env": [{"name": "CI_SCRIPT", "value": "dHJ1ZQ=="}],
        "volumeMounts": [{"name": "wp-workspace", "mountPath": "/woodpecker"}],
    }
    return {
        "metadata": {
            "name": name,
            "labels": {"step": step["name"], **allowed["labels"]},
            "annotations": dict(allowed["annotations"]),
        },
        "spec": {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{"name": "wp-workspace", "persistentVolumeClaim": {"claimName": "wp-workspace"}}],
        },
    }


def pod_of_deployment(deployment: Manifest) -> Manifest:
    """Return the pod of a Deployment's ReplicaSet."""
    name = f"{deployment['metadata']['name']}-6d5c7b9f84"
    return _owned(f"{name}-", deployment["spec"]["template"], "apps/v1", "ReplicaSet", name)


def _owned(generate_name: str, template: Manifest, version: str, kind: str, owner: str) -> Manifest:
    metadata = template.get("metadata", {})
    return {
        "metadata": {
            "generateName": generate_name,
            "labels": dict(metadata.get("labels", {})),
            "annotations": dict(metadata.get("annotations", {})),
            "ownerReferences": [
                {"apiVersion": version, "kind": kind, "name": owner, "uid": "7a1e", "controller": True}
            ],
        },
        "spec": template["spec"],
    }
