"""The webhook stops, is killed, and outlives its API server: nobody who asks is left without an answer."""

import json
import socket
import ssl
import time

from hack.cluster.kubectl import wait_for
from tests.integration.admission.engines import Refusal
from tests.integration.webhook.balancer import Balancer
from tests.integration.webhook.conftest import StartInstallation
from tests.integration.webhook.webhook_process import WebhookProcess


def connect(process: WebhookProcess) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", process.https_port), 5)
    return ssl._create_unverified_context().wrap_socket(plain)


def request(path: str, body: bytes) -> bytes:
    return b"POST %b?timeout=5s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


REVIEW = json.dumps(
    {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1-2-3",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "namespace": "ci",
            "operation": "CREATE",
            "object": {"metadata": {}, "spec": {"containers": []}},
        },
    }
).encode()


def test_a_stop_answers_who_is_there_and_takes_less_than_five_seconds(start_installation: StartInstallation) -> None:
    installation = start_installation()
    process = installation.start_ready()
    with connect(process) as idle, connect(process) as asking, connect(process) as slow:
        whole = request(installation.path(), REVIEW)
        slow.sendall(whole[:100])
        for client in (idle, asking):
            client.sendall(whole)
            assert b"Connection: close" not in client.recv(65536)

        process.terminate()
        wait_for("it to be unready", lambda: process.get("/readyz")[0] != 200, 1)

        time.sleep(0.5)
        slow.sendall(whole[100:])
        for client, what in ((slow, b""), (asking, whole)):
            client.sendall(what)
            assert b"Connection: close" in client.recv(65536)
            assert client.recv(65536) == b""
        assert process.running
        assert process.wait() == 0
        assert idle.recv(65536) == b""


def test_replacing_all_replicas_loses_no_pod(start_installation: StartInstallation) -> None:
    installation = start_installation()
    with Balancer() as balancer:
        for _ in range(2):
            balancer.add(installation.start_ready())
        installation.configure_port(balancer.port)
        wait_for("trust", installation.trusts_stored_authorities)
        installation.wait_until_effective()

        with installation.traffic() as traffic:
            for old in installation.processes[:2]:
                balancer.add(installation.start_ready())
                balancer.remove(old)
                time.sleep(0.5)  # of the five seconds that preStop waits in the cluster
                old.terminate()
                assert old.wait() == 0
                traffic.wait_for_more()

    assert traffic.lost == []


def test_an_api_server_that_comes_back_is_served_and_watched_again(start_installation: StartInstallation) -> None:
    installation = start_installation()
    process = installation.install()
    installation.control_plane.kill_api_server()
    time.sleep(1)
    assert process.get("/livez")[0] == 200
    assert process.get("/readyz")[0] == 200

    installation.control_plane.start_api_server()

    installation.wait_until_effective()
    builders = "/apis/buildkit-operator.dev/v1alpha1/namespaces/ci/buildkitbuilders"
    installation.control_plane.request("DELETE", f"{builders}/demo")
    wait_for("the deletion to be noticed", lambda: isinstance(installation.create_pod(), Refusal), 30)
    assert process.running


def test_a_port_that_is_taken_ends_it(start_installation: StartInstallation) -> None:
    installation = start_installation()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = installation.start(https_port=taken.getsockname()[1])

        assert process.wait() == 1

    assert "address already in use" in process.log.read_text().lower()


def test_the_path_is_told_to_who_makes_a_pod_while_nobody_answers(start_installation: StartInstallation) -> None:
    installation = start_installation()
    process = installation.install()
    assert installation.path() not in str(installation.create_pod("absent"))

    process.kill()

    said = installation.create_pod()
    assert isinstance(said, Refusal)
    assert installation.path() in said.sentence
