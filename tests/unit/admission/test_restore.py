from typing import Any

from buildkit_operator.admission.review import AdmissionResult, WebhookName, answer
from buildkit_operator.kube.resources import Manifest
from tests.unit.admission.make import Builders, make_pod, make_review, patched


def written_back(old: Manifest, new: Manifest) -> tuple[AdmissionResult, Manifest]:
    """Return what became of an update."""
    given = answer(WebhookName.RESTORE, make_review(new, operation="UPDATE", old=old), Builders())
    return given.result, patched(new, given)


def make_injected(**sidecar: Any) -> Manifest:
    return make_pod(initContainers=[{"name": "buildkitd", "image": "buildkit", **sidecar}])


def test_what_is_all_there_stays_as_it_is() -> None:
    pod = make_injected(restartPolicy="Always", securityContext={"runAsUser": 1000, "procMount": "Unmasked"})

    assert written_back(pod, pod) == (AdmissionResult.UNCHANGED, pod)


def test_what_is_lost_is_put_back() -> None:
    profile = {"type": "Localhost", "localhostProfile": "p"}
    security = {"runAsUser": 1000, "appArmorProfile": profile, "seccompProfile": profile, "procMount": "Unmasked"}
    old = make_injected(restartPolicy="Always", securityContext=security)

    new = make_injected(securityContext={"runAsUser": 1000})

    assert written_back(old, new) == (AdmissionResult.RESTORED, old)


def test_a_security_context_of_which_nothing_was_left_is_put_back() -> None:
    old = make_injected(securityContext={"procMount": "Unmasked"})

    assert written_back(old, make_injected()) == (AdmissionResult.RESTORED, old)


def test_a_user_namespace_is_put_back() -> None:
    assert written_back(make_pod(hostUsers=False), make_pod()) == (AdmissionResult.RESTORED, make_pod(hostUsers=False))


def test_what_was_changed_stays_changed() -> None:
    new = make_injected(restartPolicy="Never", image="other")

    assert written_back(make_injected(restartPolicy="Always"), new) == (AdmissionResult.UNCHANGED, new)


def test_a_container_that_is_new_or_gone_is_left_to_the_api_server() -> None:
    pod = make_injected(restartPolicy="Always")

    assert written_back(make_pod(), pod) == (AdmissionResult.UNCHANGED, pod)
    assert written_back(pod, make_pod()) == (AdmissionResult.UNCHANGED, make_pod())
