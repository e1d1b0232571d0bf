"""Workloads of several architectures on a real API server: made, counted, repaired, and taken away again."""

from typing import Any, Final

import pytest

from tests.integration.builders.builder_namespace import Builders

ARCHITECTURES: Final = ("amd64", "arm64")


def shared(*architectures: str, **more: Any) -> dict[str, Any]:
    return {"architectures": list(architectures), **more}


def of_architectures(builders: Builders) -> set[str]:
    """Return the objects that there are for each architecture or, without any, once."""
    plurals = ("deployments", "statefulsets", "services", "poddisruptionbudgets")
    return {name for name in builders.children() if name.startswith(plurals)}


def made_for(*architectures: str) -> set[str]:
    return {
        "services/demo-buildkitd",
        *(
            f"{plural}/demo-buildkitd{suffix}{end}"
            for architecture in architectures
            for suffix in ([f"-{architecture}"] if architecture else [""])
            for plural, end in (
                ("deployments", ""),
                ("services", ""),
                ("services", "-headless"),
                ("poddisruptionbudgets", ""),
            )
        ),
    }


def test_each_architecture_has_its_objects_and_the_builder_is_ready_with_all(builders: Builders) -> None:
    builders.create(shared=shared(*ARCHITECTURES, replicas=2))
    builders.wait("there are Deployments", lambda: builders.get("deployments", "demo-buildkitd-arm64"))
    builders.play_controller(architecture="amd64")

    builders.wait(
        "one architecture is told to lack",
        lambda: "amd64: 2 of 2 daemons ready. arm64: 0 of 2 daemons ready." in builders.condition().get("message", ""),
    )
    assert builders.condition()["status"] == "False"
    builders.make_ready(architectures=ARCHITECTURES)

    status = builders.status()
    assert (status["replicas"], status["readyReplicas"]) == (4, 4)
    assert status["endpoint"] == f"tcp://demo-buildkitd.{builders.namespace}.svc:1234"
    assert of_architectures(builders) == made_for(*ARCHITECTURES)


@pytest.mark.parametrize(
    ("before", "after"),
    [((), ARCHITECTURES), (ARCHITECTURES, ()), (ARCHITECTURES, ("arm64",)), (("arm64",), ("amd64",))],
)
def test_what_is_of_no_architecture_any_more_goes(
    builders: Builders, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    builders.create(shared=shared(*before))
    builders.make_ready(architectures=before or ("",))
    endpoint = builders.status()["endpoint"]

    builders.edit(shared=shared(*after))
    builders.make_ready(architectures=after or ("",))
    builders.wait("the others are gone", lambda: of_architectures(builders) == made_for(*(after or ("",))))

    assert builders.status()["endpoint"] == endpoint
    builders.wait_at_rest()


@pytest.mark.parametrize("child", sorted(made_for("arm64")))
def test_a_deleted_child_comes_back(builders: Builders, child: str) -> None:
    builders.create(shared=shared("arm64"))
    builders.make_ready(architectures=("arm64",))

    builders.delete(*child.split("/"))

    builders.wait(f"{child} is back", lambda: builders.get(*child.split("/")))


def test_with_claims_each_has_a_stateful_set(builders: Builders) -> None:
    builders.create(shared=shared(*ARCHITECTURES), cache={"persistentVolumeClaim": {}})
    builders.make_ready(plural="statefulsets", architectures=ARCHITECTURES)

    for architecture in ARCHITECTURES:
        found = builders.get("statefulsets", f"demo-buildkitd-{architecture}") or {}
        assert found["spec"]["serviceName"] == f"demo-buildkitd-{architecture}-headless"
        assert found["spec"]["template"]["spec"]["nodeSelector"] == {"kubernetes.io/arch": architecture}
    builders.wait_at_rest()
