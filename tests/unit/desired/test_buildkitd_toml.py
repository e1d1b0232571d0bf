"""buildkitd.toml: what the fields give, what the raw part may say, and which of them wins."""

import tomllib
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.buildkitd_toml import render
from buildkit_operator.kube.resources import Manifest
from tests.unit.make import make_builder

GIB = 1024**3


def rendered(cache: str = "20Gi", **daemon: Any) -> Manifest:
    return tomllib.loads(render(make_builder(daemon=daemon), process_sandbox=False, room=cache))


def policies(cache: str = "20Gi", **wanted: Any) -> list[Manifest]:
    found: list[Manifest] = rendered(cache, garbageCollection=wanted)["worker"]["oci"]["gcpolicy"]
    return found


def refusal(toml: str) -> str:
    with pytest.raises(TerminalError) as caught:
        render(make_builder(daemon={"toml": toml}), process_sandbox=False, room="20Gi")
    assert caught.value.reason is Reason.INVALID_TOML
    return caught.value.message


# Garbage collection


def test_amounts_follow_from_the_size_of_the_cache() -> None:
    everything_else = policies("20Gi")[2]

    assert everything_else == {"maxUsedSpace": 12 * GIB, "reservedSpace": 2 * GIB}


def test_amounts_that_are_given_win() -> None:
    everything_else = policies("20Gi", maxUsedSpace="15Gi", reservedSpace="1Gi", minFreeSpace="500M")[2]

    assert everything_else == {"maxUsedSpace": 15 * GIB, "reservedSpace": GIB, "minFreeSpace": 500_000_000}


def test_sources_and_cache_mounts_go_first() -> None:
    assert policies()[0]["filters"] == ["type==source.local", "type==exec.cachemount", "type==source.git.checkout"]


def test_sources_get_no_more_than_all_cache_gets() -> None:
    assert policies(maxUsedSpace="100M")[0]["maxUsedSpace"] == 100_000_000


def test_the_age_is_given_in_seconds() -> None:
    assert policies(keepSeconds=3600)[1]["keepDuration"] == "3600s"


def test_shared_and_internal_records_go_last() -> None:
    assert [policy.get("all", False) for policy in policies()] == [False, False, False, True]


# Listeners


def test_a_shared_daemon_listens_on_its_port_with_mutual_tls() -> None:
    grpc = tomllib.loads(render(make_builder(shared={"port": 4321}), process_sandbox=False, room="20Gi"))["grpc"]

    assert grpc["address"] == ["unix:///run/buildkit/buildkitd.sock", "tcp://:4321"]
    assert grpc["tls"].keys() == {"cert", "key", "ca"}


def test_without_tls_no_certificate_is_named() -> None:
    assert (
        "tls"
        not in tomllib.loads(
            render(make_builder(shared={"tls": {"mode": "Disabled"}}), process_sandbox=False, room="20Gi")
        )["grpc"]
    )


def test_a_sidecar_has_no_port_that_a_build_step_could_reach() -> None:
    assert tomllib.loads(render(make_builder(mode="Sidecar"), process_sandbox=False, room="20Gi"))["grpc"] == {
        "address": ["unix:///run/buildkit/buildkitd.sock"]
    }


# Registries


def test_mirrors_keep_their_order_and_need_nothing_else() -> None:
    assert rendered(registries=[{"host": "docker.io", "mirrors": ["b", "a"]}])["registry"] == {
        "docker.io": {"mirrors": ["b", "a"]}
    }


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"plainHTTP": True}, {"http": True}),
        ({"insecureSkipVerify": True}, {"insecure": True}),
        ({"caSecretName": "company-ca"}, {"ca": ["/etc/buildkit-registry-ca/company-ca.crt"]}),
    ],
)
def test_a_registry_is_spoken_to_as_asked(field: Manifest, expected: Manifest) -> None:
    assert rendered(registries=[{"host": "example.com:5000", **field}])["registry"] == {"example.com:5000": expected}


# The raw part


def test_the_raw_part_wins_over_fields_and_leaves_the_rest() -> None:
    config = rendered(
        logLevel="debug", maxParallelism=4, toml='[worker.oci]\nmax-parallelism = 8\nsnapshotter = "native"'
    )

    assert config["worker"]["oci"]["max-parallelism"] == 8
    assert config["worker"]["oci"]["snapshotter"] == "native"
    assert config["worker"]["oci"]["noProcessSandbox"] is True
    assert config["log"]["level"] == "debug"


def test_a_list_of_the_raw_part_replaces_the_whole_list() -> None:
    assert rendered(toml="[[worker.oci.gcpolicy]]\nall = true")["worker"]["oci"]["gcpolicy"] == [{"all": True}]


def test_the_raw_part_adds_to_a_registry_of_the_fields() -> None:
    config = rendered(
        registries=[{"host": "docker.io", "mirrors": ["mirror"]}],
        toml='[registry."docker.io"]\ntlsconfigdir = ["/etc/certs"]',
    )

    assert config["registry"]["docker.io"] == {"mirrors": ["mirror"], "tlsconfigdir": ["/etc/certs"]}


def test_an_unknown_key_is_named_with_the_one_that_was_meant() -> None:
    message = refusal("[worker.oci]\nmax-paralelism = 4")

    assert "worker.oci.max-paralelism" in message
    assert "did you mean max-parallelism?" in message


def test_an_unknown_key_without_a_likeness_gets_no_suggestion() -> None:
    message = refusal("zzz = 1")

    assert "the key zzz," in message
    assert "did you mean" not in message


def test_an_unknown_key_within_a_list_of_tables_is_found() -> None:
    assert "worker.oci.gcpolicy.keepDurations" in refusal('[[worker.oci.gcpolicy]]\nkeepDurations = "1h"')


def test_an_unknown_key_of_a_registry_is_named_with_its_host() -> None:
    assert 'registry."docker.io".mirror,' in refusal('[registry."docker.io"]\nmirror = ["a"]')


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ('root = "/tmp"', "root"),
        ("[grpc]\naddress = []", "grpc.address"),
        ("[grpc]\nuid = 0", "grpc.uid"),
        ("[grpc]\ngid = 0", "grpc.gid"),
        ('[grpc.tls]\ncert = "mine"', "grpc.tls"),
        ("[worker.containerd]\nenabled = true", "worker.containerd"),
        ("[worker.oci]\nenabled = false", "worker.oci.enabled"),
        ("[worker.oci]\nnoProcessSandbox = false", "worker.oci.noProcessSandbox"),
        ("[worker.oci]\nrootless = false", "worker.oci.rootless"),
    ],
)
def test_what_the_operator_sets_is_not_the_users(toml: str, key: str) -> None:
    assert refusal(toml) == f"spec.daemon.toml sets {key}, which is the operator's; remove it."


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('debug = "yes"', "debug must be true or false"),
        ("debug = 1", "debug must be true or false"),
        ("provenanceEnvDir = 1", "provenanceEnvDir must be a string"),
        ("worker = 1", "worker must be a table"),
        ("[worker.oci]\nmax-parallelism = true", "worker.oci.max-parallelism must be an integer"),
        ("[worker.oci]\nmax-parallelism = 1.5", "worker.oci.max-parallelism must be an integer"),
        ("[worker.oci]\ngcpolicy = {}", "worker.oci.gcpolicy must be an array of tables"),
        ("[worker.oci.labels]\na = 1", "worker.oci.labels must be a table of strings"),
        ('[dns]\nnameservers = "10.0.0.1"', "dns.nameservers must be a list of strings"),
        ("[dns]\nnameservers = [1]", "dns.nameservers must be a list of strings"),
        ("[history]\nmaxAge = true", "history.maxAge must be a number of seconds or a duration such as 48h"),
        ("[worker.oci]\nmaxUsedSpace = []", "worker.oci.maxUsedSpace must be a number of bytes"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_the_right_one(toml: str, sentence: str) -> None:
    assert sentence in refusal(toml)


@pytest.mark.parametrize(
    "toml",
    [
        'insecure-entitlements = ["network.host"]',
        '[history]\nmaxAge = "24h"\nmaxEntries = 5',
        "[history]\nmaxAge = 3600",
        '[worker.oci]\nmaxUsedSpace = "30%"',
        '[worker.oci.labels]\npool = "fast"',
        '[frontend."gateway.v0"]\nallowedRepositories = ["docker/dockerfile"]',
        '[[registry."example.com".keypair]]\nkey = "k"\ncert = "c"',
        "[worker.oci]\nstargzSnapshotter = {a = 1}",
        "# nothing but a comment",
    ],
)
def test_what_buildkitd_knows_is_taken(toml: str) -> None:
    assert merged_into(rendered(toml=toml), tomllib.loads(toml))


def test_what_is_no_toml_is_refused_with_the_place() -> None:
    assert refusal("debug = true\nlog =\n").startswith("spec.daemon.toml is not valid TOML: Invalid value (at line 2")


@pytest.mark.parametrize("toml", ["debug = " + "[" * 6_000, f"[cache.gha.verify.{'a.' * 2_000}a]"])
def test_nesting_without_end_is_refused_and_no_crash(toml: str) -> None:
    assert refusal(toml) == "spec.daemon.toml is nested too deeply."


KEYS_TO_SET: dict[str, st.SearchStrategy[Any]] = {
    "debug": st.booleans(),
    "provenanceEnvDir": st.text(),
    "insecure-entitlements": st.lists(st.text()),
    "history": st.fixed_dictionaries(
        {}, optional={"maxAge": st.integers(0, 2**62), "maxEntries": st.integers(0, 2**31)}
    ),
    "log": st.fixed_dictionaries({}, optional={"level": st.text(), "format": st.text()}),
    "dns": st.fixed_dictionaries({}, optional={"nameservers": st.lists(st.text()), "options": st.lists(st.text())}),
    "registry": st.dictionaries(
        st.text(), st.fixed_dictionaries({}, optional={"http": st.booleans(), "ca": st.lists(st.text())})
    ),
}


@settings(max_examples=30)
@given(st.fixed_dictionaries({}, optional=KEYS_TO_SET))
def test_whatever_is_allowed_arrives_and_can_be_read_back(raw: Manifest) -> None:
    config = rendered(
        logLevel="debug",
        dns={"nameservers": ["10.0.0.10"]},
        registries=[{"host": "example.com", "plainHTTP": True}],
        toml=tomli_w.dumps(raw),
    )

    assert merged_into(config, raw)
    assert config["root"] == "/home/user/.local/share/buildkit/root"


def merged_into(config: Any, raw: Any) -> bool:
    """Return whether every value of the raw part stands in the configuration; tables may hold more."""
    if isinstance(raw, dict):
        return isinstance(config, dict) and all(key in config and merged_into(config[key], raw[key]) for key in raw)
    return bool(config == raw)
