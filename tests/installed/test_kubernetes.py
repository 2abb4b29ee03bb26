"""deploy/kubernetes: what fits the schemas that Kubernetes publishes, and what must fit together.

No schema of a ServiceMonitor comes with Kubernetes: it is held against the Service that it selects.
"""

import copy
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from chatredirect import __version__
from chatredirect.config.models import secret_of
from tests.installed.kubernetes import KUSTOMIZATION, container, files, manifest, manifests
from tests.installed.readme import ROOT

OLDEST = 30  # of Kubernetes 1: preStop.sleep
NEWEST = int(kubernetes_validate.latest_version().split(".")[1])
OWN_SCHEMA = {"ServiceMonitor"}
POD = manifest("Deployment")["spec"]["template"]
CONTAINER = container(manifest("Deployment"))
TEXT = manifest("ConfigMap")["data"]["chatredirect.yaml"]
SETTINGS = yaml.safe_load(TEXT)


@pytest.mark.parametrize("minor", range(OLDEST, NEWEST + 1))
def test_fits_the_published_schemas(minor: int) -> None:
    """No key is unknown, of the wrong type, or missing, in any version since the oldest."""
    checked = set()
    for each in manifests():
        if each["kind"] not in OWN_SCHEMA:
            kubernetes_validate.validate(each, f"1.{minor}", strict=True)
            checked.add(each["kind"])
    assert checked == {
        "Namespace",
        "ConfigMap",
        "Secret",
        "Deployment",
        "Service",
        "PodDisruptionBudget",
        "NetworkPolicy",
    }


def test_a_misspelt_key_does_not_fit() -> None:
    """So the test above can fail, however deep the key is."""
    wrong = copy.deepcopy(manifest("Deployment"))
    security = wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    security["readonlyRootFilesystem"] = security.pop("readOnlyRootFilesystem")
    with pytest.raises(kubernetes_validate.ValidationError, match="readonlyRootFilesystem"):
        kubernetes_validate.validate(wrong, f"1.{NEWEST}", strict=True)


def test_the_kustomization_has_every_file() -> None:
    """And replaces the image that the Deployment names."""
    kustomization = yaml.safe_load(KUSTOMIZATION.read_text())
    assert sorted(kustomization["resources"]) == [each.name for each in files()]
    assert [each["name"] for each in kustomization["images"]] == [CONTAINER["image"]]
    assert kustomization["namespace"] == manifest("Namespace")["metadata"]["name"]


def test_the_image_is_this_versions() -> None:
    """In the kustomization and on the page: a release with another number must change both."""
    page = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
    named = re.findall(r"newTag: (\S+?)\}?\n|chatredirect:(\d\S*?)[,\s]", page)
    tags = {each["newTag"] for each in yaml.safe_load(KUSTOMIZATION.read_text())["images"]}
    assert len(named) > 3
    assert tags | {one or other for one, other in named} == {__version__}


@pytest.mark.parametrize("kind", ["Deployment", "PodDisruptionBudget", "NetworkPolicy", "Service"])
def test_selects_the_pods(kind: str) -> None:
    """By labels that they have, and ports by names that the container has."""
    names = {port["name"]: port["protocol"] for port in CONTAINER["ports"]}
    for each in manifests():
        if each["kind"] != kind:
            continue
        spec = each["spec"]
        selector = spec.get("selector", spec.get("podSelector"))
        labels = selector.get("matchLabels", selector)
        assert labels.items() <= POD["metadata"]["labels"].items()
        ports = [(port["targetPort"], port["protocol"]) for port in spec.get("ports", ())]
        for rule in spec.get("ingress", ()):
            ports += [(port["port"], port["protocol"]) for port in rule["ports"]]
        assert all(names[name] == protocol for name, protocol in ports)


def test_the_service_keeps_a_front_end_on_its_pod() -> None:
    """By its address, which arrives as it is; every transport has a port there."""
    spec = manifest("Service", "chatredirect")["spec"]
    assert spec["sessionAffinity"] == "ClientIP"
    assert spec["externalTrafficPolicy"] == "Local"
    assert {port["name"] for port in spec["ports"]} == {"sip-udp", "sip-tcp", "sips"}


def test_the_service_monitor_finds_the_metrics() -> None:
    """One Service has the labels and the port, and its label is the job of alerts and dashboard."""
    monitor = manifest("ServiceMonitor")
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    spec = monitor["spec"]
    assert set(spec) == {"jobLabel", "selector", "endpoints"}
    labels = spec["selector"]["matchLabels"].items()
    (service,) = (
        each
        for each in manifests()
        if each["kind"] == "Service" and labels <= each["metadata"]["labels"].items()
    )
    assert service["metadata"]["labels"][spec["jobLabel"]] == "chatredirect"
    (endpoint,) = spec["endpoints"]
    assert set(endpoint) == {"port", "path", "interval"}
    assert [port["name"] for port in service["spec"]["ports"]] == [endpoint["port"]]


def test_the_configuration_listens_where_the_ports_are() -> None:
    """Each port of the container is a listener's; that for TLS, one that is only commented out."""
    assert "# - tls://0.0.0.0:5061" in TEXT
    listeners = [*SETTINGS["listen"], "tls://0.0.0.0:5061", f"tcp://{SETTINGS['http']['listen']}"]
    protocols = {"udp": "UDP", "tcp": "TCP", "tls": "TCP"}
    assert {(each["protocol"], each["containerPort"]) for each in CONTAINER["ports"]} == {
        (protocols[each.partition(":")[0]], int(each.rpartition(":")[2])) for each in listeners
    }


def test_a_pod_has_time_to_drain() -> None:
    """The pause before SIGTERM and `drain` end before Kubernetes kills it."""
    pause = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause + SETTINGS["drain"] < POD["spec"]["terminationGracePeriodSeconds"]


def test_a_pod_has_no_rights() -> None:
    """What the pod security standard "restricted" demands, which the namespace enforces."""
    labels = manifest("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod, own = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert own["readOnlyRootFilesystem"] is True


def test_the_samples_secret_is_refused() -> None:
    """Else whoever forgets to replace it would serve with one that everybody knows."""
    with pytest.raises(ValueError, match="shorter than 16 characters"):
        secret_of(manifest("Secret")["stringData"]["secret"])


def test_what_is_mounted_is_there() -> None:
    """Each volume is mounted, and each is of a manifest here; what the configuration names too."""
    volumes: dict[str, dict[str, Any]] = {each["name"]: each for each in POD["spec"]["volumes"]}
    paths = {each["name"]: each["mountPath"] for each in CONTAINER["volumeMounts"]}
    assert set(volumes) == set(paths)
    secret, config = manifest("Secret"), manifest("ConfigMap")
    assert volumes["secrets"]["secret"]["secretName"] == secret["metadata"]["name"]
    assert volumes["configuration"]["configMap"]["name"] == config["metadata"]["name"]
    assert paths["configuration"] == "/etc/chatredirect"
    assert set(config["data"]) == {"chatredirect.yaml", SETTINGS["include"]}
    assert SETTINGS["secret_file"] == f"{paths['secrets']}/{next(iter(secret['stringData']))}"
    assert {*re.findall(r"\S+/chatredirect/(?=tls|ca)", TEXT)} == {f"{paths['secrets']}/"}
