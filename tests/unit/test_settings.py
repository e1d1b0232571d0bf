"""Settings come from the environment, and wrong ones are named."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from buildkit_operator.api.container_resources import Resources
from buildkit_operator.kube import auth
from buildkit_operator.settings import PREFIX, Settings, SettingsError, WebhookSettings


def test_everything_has_a_default() -> None:
    settings = Settings.from_environment({})

    assert settings.watch_namespaces == ()
    assert (settings.workers, settings.http_port, settings.lease) == (16, 8080, True)
    assert settings.identity


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("WATCH_NAMESPACES", "ci, builds,", "watch_namespaces", ("ci", "builds")),
        ("WATCH_NAMESPACES", "", "watch_namespaces", ()),
        ("LEASE", "false", "lease", False),
        ("WORKERS", "4", "workers", 4),
        ("RESYNC_SECONDS", "1.5", "resync_seconds", 1.5),
        ("LOG_FORMAT", "text", "log_format", "text"),
        ("CERTIFICATE_DNS_NAMES", "*.ci.example.com, a.org", "certificate_dns_names", ("*.ci.example.com", "a.org")),
        (
            "CERTIFICATE_ISSUERS",
            "ClusterIssuer/builds,Issuer.example.com/*",
            "certificate_issuers",
            ("ClusterIssuer/builds", "Issuer.example.com/*"),
        ),
        ("DAEMON_RESOURCES", '{"limits": {"cpu": 4}}', "daemon_resources", Resources(limits={"cpu": "4"})),
        ("CONNECTOR_RESOURCES", "", "connector_resources", Resources()),
        ("CLUSTER_DOMAIN", "k8s.example.org", "cluster_domain", "k8s.example.org"),
    ],
)
def test_a_variable_sets_a_field(variable: str, value: str, field: str, expected: object) -> None:
    settings = Settings.from_environment({f"BUILDKIT_OPERATOR_{variable}": value})

    assert getattr(settings, field) == expected


def test_what_kubelet_says_about_services_is_no_setting() -> None:
    Settings.from_environment({f"{PREFIX}PORT": "tcp://10.0.0.1:8080", f"{PREFIX}SERVICE_HOST": "10.0.0.1"})


def test_every_wrong_variable_is_named() -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment({f"{PREFIX}WORKERS": "none", f"{PREFIX}LOG_LEVEL": "loud"})

    lines = str(refusal.value).splitlines()
    assert len(lines) == 2
    assert re.match("BUILDKIT_OPERATOR_LOG_LEVEL: .*'debug', 'info'", lines[0])
    assert re.match("BUILDKIT_OPERATOR_WORKERS: .*integer", lines[1])


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CERTIFICATE_DNS_NAMES", "*example.com"),
        ("CERTIFICATE_DNS_NAMES", "a.*.example.com"),
        ("CERTIFICATE_DNS_NAMES", "10.0.0.0/8"),
        ("CERTIFICATE_ISSUERS", "corp-ca"),
        ("CERTIFICATE_ISSUERS", "*/corp-ca"),
        ("CERTIFICATE_ISSUERS", "ClusterIssuer/"),
    ],
)
def test_a_permission_that_would_allow_nothing_is_refused(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}{variable}: "):
        Settings.from_environment({f"{PREFIX}{variable}": value})


@pytest.mark.parametrize("value", ["4Gi", "[]", '{"limit": {}}', '{"limits": {"cpu": "2 cores"}}', '{"requests": 1}'])
def test_resources_that_no_container_could_have_are_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}CONNECTOR_RESOURCES: "):
        Settings.from_environment({f"{PREFIX}CONNECTOR_RESOURCES": value})


@pytest.mark.parametrize("settings", [Settings, WebhookSettings])
def test_every_field_is_described(settings: type[BaseModel]) -> None:
    assert all(field.description for field in settings.model_fields.values())


def test_the_webhook_has_settings_of_its_own() -> None:
    settings = WebhookSettings.from_environment({f"{PREFIX}HTTPS_PORT": "9443", f"{PREFIX}WORKERS": "many"})

    assert (settings.https_port, settings.http_port, settings.webhook_name) == (9443, 8080, "buildkit-operator-webhook")


@pytest.mark.parametrize(("authority", "certificate"), [("10", "11"), ("10", "0.001")])
def test_certificates_that_could_not_be_used_are_refused(authority: str, certificate: str) -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}CERTIFICATE_DAYS: "):
        WebhookSettings.from_environment(
            {f"{PREFIX}AUTHORITY_DAYS": authority, f"{PREFIX}CERTIFICATE_DAYS": certificate}
        )


def test_the_lease_is_in_the_pods_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "SERVICE_ACCOUNT_FOLDER", tmp_path)
    assert Settings.from_environment({}).lease_namespace == "default"

    (tmp_path / "namespace").write_text("buildkit-system\n")

    assert Settings.from_environment({}).lease_namespace == "buildkit-system"
