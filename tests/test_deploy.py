"""What deploys several servers, checked by schemas of Kubernetes and Compose, and our settings."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from backend.settings import Settings
from tests.test_image import PYPROJECT, ROOT

DEPLOY = ROOT / "docs" / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
SECRETS = {"api_key", "basic_auth_user", "basic_auth_pass", "webhook_secret", "store_url"}


def resources() -> list[dict[str, Any]]:
    """Return everything that the manifests ask a cluster for."""
    found = [doc for path in MANIFESTS for doc in yaml.safe_load_all(path.read_text())]
    return [doc for doc in found if doc["kind"] != "Kustomization"]


def kind(name: str) -> dict[str, Any]:
    """Return the first resource of a kind."""
    return next(doc for doc in resources() if doc["kind"] == name)


def pod() -> dict[str, Any]:
    """Return what a server's pod is."""
    found: dict[str, Any] = kind("StatefulSet")["spec"]["template"]["spec"]
    return found


def settings_named(variables: dict[str, Any]) -> set[str]:
    """Return the settings that variables name; others than ours are left out."""
    ours = {name for name in variables if name.startswith("EQUIPOISE_")}
    named = {name.removeprefix("EQUIPOISE_").lower() for name in ours}
    assert named <= set(Settings.model_fields)
    return named


@pytest.mark.parametrize(
    "doc", resources(), ids=lambda doc: f"{doc['kind']}-{doc['metadata']['name']}"
)
def test_kubernetes_knows_every_field(doc: dict[str, Any]) -> None:
    for version in ("1.30", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(doc, version, strict=True)


def test_a_field_that_is_not_kubernetes_own_is_found() -> None:
    broken = kind("StatefulSet")
    broken["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, kubernetes_validate.latest_version(), strict=True)


def test_every_manifest_is_applied() -> None:
    (kustomization,) = yaml.safe_load_all((MANIFESTS[0].parent / "kustomization.yaml").read_text())
    assert {*kustomization["resources"], "kustomization.yaml"} == {path.name for path in MANIFESTS}
    assert kind("Namespace")["metadata"]["name"] == kustomization["namespace"]


def test_a_pod_may_do_nothing_that_it_need_not() -> None:
    (container,) = pod()["containers"]
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"useradd --uid {pod()['securityContext']['runAsUser']} " in dockerfile
    writable = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert writable == {"/data", "/tmp"}, "where our processes and their libraries write"
    assert {"requests", "limits"} <= set(container["resources"])
    assert container["image"] == f"equipoise:{PYPROJECT['project']['version']}"


def test_the_services_variables_are_not_taken_for_settings() -> None:
    """Kubernetes gives pods a variable EQUIPOISE_PORT=tcp://... for a service `equipoise`."""
    names = {doc["metadata"]["name"] for doc in resources() if doc["kind"] == "Service"}
    assert "equipoise" in names
    assert pod()["enableServiceLinks"] is False
    with pytest.raises(ValueError, match="port"):
        Settings(port="tcp://10.0.0.1:9090")  # type: ignore[arg-type]


def test_secrets_are_named_and_not_there() -> None:
    (container,) = pod()["containers"]
    assert {"secretRef": {"name": "equipoise"}} in container["envFrom"]
    assert "Secret" not in {doc["kind"] for doc in resources()}
    assert not settings_named(kind("ConfigMap")["data"]) & SECRETS
    told = (ROOT / "docs" / "scale.md").read_text()
    named = set(re.findall(r"--from-literal=EQUIPOISE_(\w+)=", told))
    assert {name.lower() for name in named} == SECRETS


def test_probes_ask_what_is_answered_without_a_password() -> None:
    (container,) = pod()["containers"]
    probes = {name: container[name]["httpGet"]["path"] for name in container if "Probe" in name}
    assert probes == {
        "startupProbe": "/health",
        "livenessProbe": "/health",
        "readinessProbe": "/ready",
    }
    assert container["ports"] == [{"name": "http", "containerPort": 9090}]


def test_only_label_studio_and_who_is_let_in_may_ask() -> None:
    policy = kind("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["podSelector"] == kind("StatefulSet")["spec"]["selector"]
    for rule in policy["ingress"]:
        assert rule["from"], "nobody else"
        assert [port["port"] for port in rule["ports"]] == [9090]


# Compose


@pytest.fixture
def cluster() -> dict[str, Any]:
    """Return the Compose file of two servers."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


@pytest.mark.parametrize("path", [ROOT / "compose.yaml", DEPLOY / "compose.yaml"])
def test_compose_knows_every_field(path: Path) -> None:
    schema = json.loads(
        (files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text()
    )
    document = yaml.safe_load(path.read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert list(validator.iter_errors(document)) == []
    document["services"]["label-studio"]["imaeg"] = "typo"
    assert list(validator.iter_errors(document))


def test_two_servers_share_a_database_and_a_bucket(cluster: dict[str, Any]) -> None:
    services = cluster["services"]
    servers = [services["equipoise-1"], services["equipoise-2"]]
    variables = servers[0]["environment"]
    assert servers[1]["environment"] == variables
    assert settings_named(variables) >= SECRETS | {"artifacts_url", "public_url"}
    assert servers[0]["volumes"] != servers[1]["volumes"], "a disk each"
    assert servers[0]["image"] == f"equipoise:{PYPROJECT['project']['version']}"
    assert all(server["read_only"] and server["cap_drop"] == ["ALL"] for server in servers)
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert published == ["127.0.0.1:9090:9090"]
    names = services["balancer"]["networks"]["default"]["aliases"]
    assert variables["EQUIPOISE_PUBLIC_URL"] == f"http://{names[0]}:9090"
    required = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text()))
    told = "".join((ROOT / "docs" / name).read_text() for name in ("scale.md", "quickstart.md"))
    assert required <= set(re.findall(r"^ *(\w+)=", told, re.MULTILINE))


def test_the_balancer_knows_both(cluster: dict[str, Any], tmp_path: Path) -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    assert set(re.findall(r"server (\S+):9090", text)) == {
        name for name in cluster["services"] if name.startswith("equipoise-")
    }
    program = shutil.which("nginx")
    if program is None:
        return  # its own check is more than there is everywhere
    whole = re.sub(r"server equipoise-\d", "server 127.0.0.1", text)
    config = f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {whole} }}"
    (tmp_path / "nginx.conf").write_text(config)
    command = [program, "-t", "-q", "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
