"""buildkitd.toml: what the fields give, what the raw part may say, and which of them wins."""

import re
import tomllib
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_operator.api.field_types import HOST_AND_PORT, NOT_DOCKER_IO
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.buildkitd_keys import disk_space
from buildkit_operator.desired.buildkitd_toml import render
from buildkit_operator.desired.toml_effect import KNOWN_ENTITLEMENTS
from buildkit_operator.kube.resources import Manifest
from tests.unit.make import make_builder

GIB = 1024**3


def rendered(cache: str = "20Gi", **daemon: Any) -> Manifest:
    return tomllib.loads(render(make_builder(daemon=daemon), process_sandbox=False, room=cache))


def policies(cache: str = "20Gi", **wanted: Any) -> list[Manifest]:
    found: list[Manifest] = rendered(cache, garbageCollection=wanted)["worker"]["oci"]["gcpolicy"]
    return found


def of_claim(volume: str, **wanted: Any) -> list[Manifest]:
    cache = {"size": volume, "persistentVolumeClaim": {}}
    builder = make_builder(cache=cache, daemon={"garbageCollection": wanted})
    found: list[Manifest] = tomllib.loads(render(builder, process_sandbox=False, room=volume))["worker"]["oci"][
        "gcpolicy"
    ]
    return found


def refusal(toml: str) -> str:
    with pytest.raises(TerminalError) as caught:
        render(make_builder(daemon={"toml": toml}), process_sandbox=False, room="20Gi")
    assert caught.value.reason is Reason.INVALID_TOML
    return caught.value.message


# Garbage collection


def test_amounts_follow_from_the_size_of_the_cache() -> None:
    everything_else = policies("20Gi")[2]

    assert everything_else == {"maxUsedSpace": 12 * GIB, "reservedSpace": 2 * GIB, "minFreeSpace": "12%"}


def test_on_a_claim_a_fifth_of_the_volume_stays_free() -> None:
    everything_else = of_claim("200Gi")[2]

    assert everything_else == {"maxUsedSpace": 120 * GIB, "reservedSpace": 20 * GIB, "minFreeSpace": 40 * GIB}


@pytest.mark.parametrize(("used", "free"), [("90Gi", 10 * GIB), ("100Gi", 5 * GIB), ("10Gi", 20 * GIB)])
def test_what_stays_free_of_a_claim_does_not_forbid_what_may_be_used(used: str, free: int) -> None:
    assert of_claim("100Gi", maxUsedSpace=used)[2]["minFreeSpace"] == free


def test_no_more_is_used_than_the_volume_has_though_the_spec_asks_for_a_larger_one() -> None:
    assert of_claim("10Gi", maxUsedSpace="15Gi")[2]["maxUsedSpace"] == 10 * GIB


def test_amounts_that_are_given_win() -> None:
    everything_else = policies("20Gi", maxUsedSpace="15Gi", reservedSpace="1Gi", minFreeSpace="500M")[2]

    assert everything_else == {"maxUsedSpace": 15 * GIB, "reservedSpace": GIB, "minFreeSpace": 500_000_000}


def test_no_more_is_reserved_than_may_be_used() -> None:
    assert policies("20Gi", maxUsedSpace="1Gi")[2]["reservedSpace"] == GIB


def test_contexts_and_checkouts_go_first() -> None:
    assert policies()[0]["filters"] == ["type==source.local", "type==source.git.checkout"]


def test_cache_mounts_are_kept_as_long_as_all_other_cache() -> None:
    assert not [policy for policy in policies() if "exec.cachemount" in str(policy)]


def test_sources_get_no_more_than_all_cache_gets() -> None:
    assert policies(maxUsedSpace="100M")[0]["maxUsedSpace"] == 100_000_000


def test_what_is_too_old_goes_down_to_the_reserve_whatever_room_there_is() -> None:
    assert policies(keepSeconds=3600)[1] == {"keepDuration": "3600s", "reservedSpace": 2 * GIB}


def test_shared_and_internal_records_go_last() -> None:
    assert [policy.get("all", False) for policy in policies()] == [False, False, False, True]


# Listeners


@pytest.mark.parametrize("mode", ["Shared", "Sidecar"])
def test_a_daemon_has_no_port_that_a_build_step_could_reach(mode: str) -> None:
    assert tomllib.loads(render(make_builder(mode=mode), process_sandbox=False, room="20Gi"))["grpc"] == {
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
    assert config["worker"]["oci"]["binary"] == "/etc/buildkit-operator/runc.sh"
    assert config["log"]["level"] == "debug"


def test_a_list_of_the_raw_part_replaces_the_whole_list() -> None:
    assert rendered(toml="[[worker.oci.gcpolicy]]\nall = true")["worker"]["oci"]["gcpolicy"] == [{"all": True}]


def test_builds_may_ask_for_the_pods_network_until_the_raw_part_forbids_it() -> None:
    assert rendered()["insecure-entitlements"] == ["network.host"]
    assert rendered(toml="insecure-entitlements = []")["insecure-entitlements"] == []


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
        ('[grpc]\ndebugAddress = "0.0.0.0:6060"', "grpc.debugAddress"),
        ('[otel]\nsocketPath = "/run/buildkit/otel.sock"', "otel.socketPath"),
        ("[cdi]\ndisabled = false", "cdi.disabled"),
        ('[cdi]\nspecDirs = ["/dev"]', "cdi.specDirs"),
        ('[cdi]\nautoAllowed = ["all"]', "cdi.autoAllowed"),
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
        ("[compaction]\nwritesPerCheck = -1", "compaction.writesPerCheck must be an integer that is not negative"),
        ("[worker.oci]\nmaxUsedSpace = -1", "worker.oci.maxUsedSpace must be a number of bytes"),
        ("[worker.oci]\nstargzSnapshotter = 1", "worker.oci.stargzSnapshotter must be a table"),
        ("[cache.gha]\nverify = 'x'", "cache.gha.verify must be a table"),
        ("[cache.gha.verify]\nrequired = 'x'", "cache.gha.verify.required must be true or false"),
        ("[cache.gha.verify.policy]\ntlogThreshold = 'x'", "cache.gha.verify.policy.tlogThreshold must be an integer"),
        ("[cache.gha.verify.policy]\nissuer = 1", "cache.gha.verify.policy.issuer must be a string"),
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
        "[[worker.oci.gcpolicy]]\nminFreeSpace = '30%'\nmaxUsedSpace = '15GB'\nreservedSpace = 1048576",
        '[worker.oci]\nnetworkMode = "cni"\ncniPoolSize = 4',
        '[registry."docker.io"]\nmirrors = ["mirror.example.com/hub"]',
        '[worker.oci.labels]\npool = "fast"',
        '[frontend."gateway.v0"]\nallowedRepositories = ["docker/dockerfile"]',
        '[[registry."example.com".keypair]]\nkey = "k"\ncert = "c"',
        "[worker.oci]\nsnapshotter = 'stargz'\nstargzSnapshotter = {a = 1}",
        "# nothing but a comment",
    ],
)
def test_what_buildkitd_knows_is_taken(toml: str) -> None:
    assert merged_into(rendered(toml=toml), tomllib.loads(toml))


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("[history]\nmaxAge = 'soon'", "history.maxAge must be a number of seconds or a duration such as 48h"),
        ("[history]\nmaxAge = '1d'", "history.maxAge must be a number of seconds or a duration such as 48h"),
        ("[worker.oci]\nmaxUsedSpace = 'all'", "worker.oci.maxUsedSpace must be a number of bytes"),
        ("[worker.oci]\nmaxUsedSpace = '20 GB of it'", "worker.oci.maxUsedSpace must be a number of bytes"),
        ("maxUsedSpace = 9223372036854775808", "has an integer of more than 64 bits"),
        ("debug = -9223372036854775809", "has an integer of more than 64 bits"),
        (f"debug = 0x{'f' * 60_000}", "has an integer of more than 64 bits"),
        (f"debug = {'9' * 60_000}", "has an integer of more than 64 bits"),
        (f"debug = 1{'_1' * 30_000}", "has an integer of more than 64 bits"),
        (f"[worker.oci.stargzSnapshotter]\na = [{{b = 0o{'7' * 30}}}]", "has an integer of more than 64 bits"),
        (r'[dns]\noptions = ["ndots:2\nnameserver 10.0.0.1"]'.replace(r"]\n", "]\n", 1), "has a control character"),
        ('provenanceEnvDir = "\\u001b[31m"', "has a control character"),
        ('[registry."a\\u009bb"]', "has a control character"),
        (f'[registry."{"a" * 254}"]', "has a key of more than 253 characters"),
        (
            "[worker.oci.stargzSnapshotter]\n" + "".join(f"a{number} = {{}}\n" for number in range(1100)),
            "has more than 1024 tables",
        ),
    ],
)
def test_a_value_that_buildkitd_would_not_take_is_told(toml: str, sentence: str) -> None:
    assert sentence in refusal(toml)


@pytest.mark.parametrize("duration", ["48h", "1h30m", "3600", "", "1.5s", "250ms"])
@pytest.mark.parametrize("space", ["20GB", "30%", "1.5g", "20 GiB", "1048576", "", "5000000b"])
def test_amounts_that_buildkitd_takes_are_taken(duration: str, space: str) -> None:
    config = rendered(toml=f"[history]\nmaxAge = '{duration}'\n[[worker.oci.gcpolicy]]\nminFreeSpace = '{space}'")

    assert (config["history"]["maxAge"], config["worker"]["oci"]["gcpolicy"]) == (duration, [{"minFreeSpace": space}])


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("debug = true", "debug is passed over beside log.level, which the operator writes: use spec.daemon.logLevel."),
        ("trace = false", "trace is passed over beside log.level"),
        ("[worker.oci]\nminFreeSpace = '20GB'", "worker.oci.minFreeSpace is passed over beside worker.oci.gcpolicy"),
        ("[worker.oci]\ngckeepstorage = 1", "use spec.daemon.garbageCollection."),
        ("[worker.oci]\ndefaultCgroupParent = 'a'", "is passed over by a rootless daemon, which makes no cgroups."),
        ("[worker.oci]\ncniPoolSize = 1", 'worker.oci.cniPoolSize is read only with networkMode = "cni".'),
        (
            "[worker.oci]\nnetworkMode = 'host'\nbridgeName = 'b'",
            'bridgeName is read only with networkMode = "bridge".',
        ),
        ("[worker.oci.stargzSnapshotter]\na = 1", 'is read only with snapshotter = "stargz".'),
        ('insecure-entitlements = ["network-host"]', "insecure-entitlements has 'network-host', which BuildKit drops"),
        ("[history]\nmaxEntries = 0", "history.maxEntries may not be 0: in the history a daemon that stops"),
        ('[registry."registry-1.docker.io"]\nmirrors = ["a.b"]', 'registry."registry-1.docker.io" must be docker.io'),
        ('[registry."https://a.b"]\nhttp = true', 'registry."https://a.b" must be a host as it stands in image names'),
        ('[registry."a.b"]\nmirrors = ["http://m"]', "registry.\"a.b\".mirrors has 'http://m', which must be a host"),
        ('[registry."a.b"]\nmirrors = ["m/v2/x"]', "which may not begin with /v2 after the host"),
        ('[dns]\noptions = ["ndots=2"]', "dns.options has 'ndots=2', which must be an option of resolv.conf"),
        ('[dns]\nnameservers = ["dns.example.com"]', "which must be an IP address"),
        ("[[worker.oci.gcpolicy]]\nmaxUsedSpace = '80%'", "may be no percentage of the node's disk"),
        ("[[worker.oci.gcpolicy]]\nkeepBytes = '21GB'", "keepBytes may not be more than spec.cache.size, 20Gi, which"),
        ("[[worker.oci.gcpolicy]]\nminFreeSpace = 20", "worker.oci.gcpolicy.minFreeSpace must be at least 1Mi"),
    ],
)
def test_a_value_that_buildkitd_would_pass_over_is_told(toml: str, sentence: str) -> None:
    assert refusal(toml).startswith("spec.daemon.toml: ")
    assert sentence in refusal(toml)


def test_platforms_are_told_in_one_place() -> None:
    toml = '[worker.oci]\nplatforms = ["linux/arm64"]'
    with pytest.raises(TerminalError, match=r"worker\.oci\.platforms is one list for all .*: remove one of them\.$"):
        render(
            make_builder(daemon={"toml": toml}, shared={"architectures": ["arm64"]}), process_sandbox=False, room="20Gi"
        )

    assert rendered(toml=toml)["worker"]["oci"]["platforms"] == ["linux/arm64"]


def test_a_percentage_is_one_of_a_claims_volume() -> None:
    toml = "[[worker.oci.gcpolicy]]\nmaxUsedSpace = '80%'"
    builder = make_builder(cache={"persistentVolumeClaim": {}}, daemon={"toml": toml})

    assert 'maxUsedSpace = "80%"' in render(builder, process_sandbox=False, room="20Gi")


@pytest.mark.parametrize(
    ("amount", "size"),
    [
        ("20GB", 20 * GIB),
        ("1.5g", 3 * GIB // 2),
        ("20 GiB", 20 * GIB),
        (1024, 1024),
        ("5b", 5),
        ("30%", None),
        ("", None),
    ],
)
def test_an_amount_is_read_as_buildkitd_reads_it(amount: int | str, size: int | None) -> None:
    assert disk_space(amount) == size


def test_what_is_no_toml_is_refused_with_the_place() -> None:
    assert refusal("debug = true\nlog =\n").startswith("spec.daemon.toml is not valid TOML: Invalid value (at line 2")


TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=200)

HOSTS = st.from_regex(HOST_AND_PORT, fullmatch=True).filter(lambda host: not re.search(NOT_DOCKER_IO, host))

KEYS_TO_SET: dict[str, st.SearchStrategy[Any]] = {
    "provenanceEnvDir": TEXTS,
    "insecure-entitlements": st.lists(st.sampled_from(KNOWN_ENTITLEMENTS)),
    "history": st.fixed_dictionaries(
        {}, optional={"maxAge": st.integers(0, 2**62), "maxEntries": st.integers(1, 2**31)}
    ),
    "log": st.fixed_dictionaries({}, optional={"level": TEXTS, "format": TEXTS}),
    "dns": st.fixed_dictionaries(
        {}, optional={"nameservers": st.lists(st.ip_addresses().map(str)), "options": st.lists(st.just("use-vc"))}
    ),
    "registry": st.dictionaries(
        HOSTS, st.fixed_dictionaries({}, optional={"http": st.booleans(), "ca": st.lists(TEXTS)})
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
