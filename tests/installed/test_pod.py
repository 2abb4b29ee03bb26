"""The Deployment, ConfigMap and Secret of deploy/kubernetes, run by `podman play kube`.

In a network namespace of the test's own: the pod has an address on a bridge there, and the test
calls it from the bridge's. What podman (4.3 of Debian 12, 5.4 of 13) can't do is changed before:
see `_for_podman`.
"""

import base64
import binascii
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.installed.kubernetes import container, manifest
from tests.installed.namespace import Namespace, network_namespace
from tests.installed.podman import IMAGE, Contained, Podman
from tests.service.daemon import PATIENCE, ROOT
from tests.tls.authority import Authority, Leaf
from tests.tls.client import SERVER
from tests.tls.conftest import authority, front_end, server

__all__ = ["authority", "front_end", "server"]

NETWORK, POD = "192.0.2.0/24", "192.0.2.2"  # within trusted_peers of the sample
VOLUMES = ("chatredirect", "chatredirect-secrets")  # by the names of the ConfigMap and the Secret
HOSTS = {"pcpool.contoso.com": ["192.0.2.20"], "contoso.com": ["192.0.2.10"]}


@dataclass(frozen=True, slots=True)
class Pod:
    """The running pod, and what to call it with."""

    contained: Contained
    name: str
    namespace: Namespace
    config: Path
    configuration: Path

    def command(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command beside it, in the namespace."""
        return subprocess.run(
            [*self.namespace.prefix(), *map(str, command)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )

    def probe(self, uri: str, via: str, *options: str | Path) -> dict[str, Any]:
        """What `chatredirect probe` says of a call."""
        begin = (sys.executable, "-m", "chatredirect", "probe", "--json", "--config", self.config)
        done = self.command(*begin, uri, f"--via={via}", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    def call(self, uri: str, via: str) -> int:
        """The status code of the answer to a call."""
        return int(self.probe(uri, via)["requests"][-1]["status"])


def _for_podman(files: dict[str, str]) -> str:
    """The manifests as podman can run them, with more files in the Secret.

    There is no DNS. podman knows no `status.podIP`, no `preStop.sleep`, no names of ports in probes
    and no `stringData`, which the API server makes into `data`.
    """
    secret, deployment, config = manifest("Secret"), manifest("Deployment"), manifest("ConfigMap")
    texts = secret.pop("stringData") | files
    # The sample's own lines for TLS, without their comment signs.
    main = config["data"]["chatredirect.yaml"].replace("# - tls:", "- tls:")
    for key in ("tls:", "  certificate:", "  private_key:", "  ca:", "  allowed_peers:"):
        assert f"\n# {key}" in main
        main = main.replace(f"\n# {key}", f"\n{key}")
    config["data"]["chatredirect.yaml"] = main + yaml.safe_dump({"dns": {"hosts": HOSTS}})
    secret["data"] = {
        name: base64.b64encode(text.encode()).decode() for name, text in texts.items()
    }
    deployment["spec"]["replicas"] = 1
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    only["image"] = IMAGE
    for key in ("lifecycle", "startupProbe", "livenessProbe", "readinessProbe"):
        del only[key]
    for variable in only["env"]:
        if variable.pop("valueFrom", None) == {"fieldRef": {"fieldPath": "status.podIP"}}:
            variable["value"] = POD
    return yaml.safe_dump_all([config, secret, deployment])


def _as_kubelet(folder: Path) -> None:
    """Write a volume's files as Kubernetes does, which replaces all of them by one symbolic link.

    podman 4.3 also leaves a Secret's data in base64.
    """
    first = folder / "..first"
    files = list(folder.iterdir())
    first.mkdir()
    for file in files:
        data = file.read_bytes()
        with suppress(binascii.Error):  # a ConfigMap's is plain
            data = base64.b64decode(data, validate=True)
        (first / file.name).write_bytes(data)
        file.unlink()
        file.symlink_to(f"..data/{file.name}")
    (folder / "..data").symlink_to(first.name)


@pytest.fixture(scope="module")
def pod(
    podman: Podman,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    server: Leaf,
) -> Iterator[Pod]:
    """The pod, running."""
    folder = tmp_path_factory.mktemp("pod")
    file, config = folder / "pod.yaml", folder / "probe.yaml"
    config.write_text(yaml.safe_dump({"listen": ["udp://127.0.0.1:5060"], "dns": {"hosts": HOSTS}}))
    secrets = {
        "secret": "a secret of the test's own",
        "tls.crt": server.certificate.read_text(),
        "tls.key": server.private_key.read_text(),
        "ca.crt": authority.file.read_text(),
    }
    file.write_text(_for_podman(secrets))
    with network_namespace() as namespace:
        podman = dataclasses.replace(podman, prefix=namespace.prefix())
        # The machine has one list of addresses in use, by the networks' names.
        network = podman.folder.name
        podman.check("network", "create", "--disable-dns", f"--subnet={NETWORK}", network)
        try:
            podman.check(
                *("play", "kube", f"--network={network}", f"--ip={POD}", "--start=false", file)
            )
            configuration, keys = (
                Path(podman.check("volume", "inspect", "--format={{.Mountpoint}}", name))
                for name in VOLUMES
            )
            _as_kubelet(configuration)
            _as_kubelet(keys)
            # podman 4.3 numbers a Deployment's pods, 5.4 makes one without a number.
            name = podman.check("pod", "ps", "--format={{.Name}}")
            podman.check("pod", "start", name)
            running = Contained(podman, f"{name}-chatredirect")
            running.event("started")
            yield Pod(running, name, namespace, config, configuration)
        finally:
            podman.run("podman", "play", "kube", "--down", file)
            podman.run("podman", "volume", "rm", "--force", *VOLUMES)
            podman.run("podman", "secret", "rm", VOLUMES[1])
            podman.run("podman", "network", "rm", network)


def test_redirects(pod: Pod) -> None:
    """Over UDP, TCP and, with a front end's certificate, TLS."""
    for via in (f"udp://{POD}:5060", f"tcp://{POD}:5060"):
        assert pod.call("sip:persistentchat@contoso.com", via) == 302


def test_a_lookup_over_tls_goes_on_to_this_pod(
    pod: Pod, authority: Authority, front_end: Leaf
) -> None:
    """Its Contact has the pod's own address, from the environment."""
    answer = pod.probe(
        "sip:ocschat@contoso.com",
        f"tls://{POD}:5061",
        *("--lookup", "--verbose", f"--tls-name={SERVER}", "--ca", authority.file),
        *("--certificate", front_end.certificate, "--private-key", front_end.private_key),
    )
    asked = answer["requests"][-1]
    assert [each["uri"] for each in asked["contacts"]] == [f"sip:ocschat@{POD};transport=tls"]
    assert asked["channel"]["uri"] == "sip:gc-channel@contoso.com"


def test_has_no_rights(pod: Pod) -> None:
    """Of the securityContext podman has taken user, root file system and capabilities."""
    inspected = pod.contained.podman.inspect(pod.contained.name)
    assert inspected["HostConfig"]["ReadonlyRootfs"] is True
    assert not inspected["BoundingCaps"]
    assert pod.contained.python("import os; print(os.getuid(), os.getgid())") == "10001 10001"


def test_answers_the_probes(pod: Pod) -> None:
    """At the port and the paths of the Deployment, which podman doesn't ask itself."""
    deployed = container(manifest("Deployment"))
    ports = {each["name"]: each["containerPort"] for each in deployed["ports"]}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        ask = deployed[name]["httpGet"]
        done = pod.command("curl", "-fsS", f"http://{POD}:{ports[ask['port']]}{ask['path']}")
        assert done.returncode == 0, done.stderr
    assert "chatredirect_requests_total" in pod.command("curl", f"http://{POD}:9464/metrics").stdout


def test_commands_find_the_daemon(pod: Pod) -> None:
    """As `kubectl exec` runs them: by the variable that names the configuration."""
    run = partial(pod.contained.podman.check, "exec", pod.contained.name, "chatredirect")
    assert "sip:ocschat@contoso.com" in run("status")
    run("check")


def test_a_changed_config_map_is_put_in_force(pod: Pod) -> None:
    """Kubernetes swaps a symbolic link, and `watch` sees that."""
    second = pod.configuration / "..second"
    shutil.copytree(pod.configuration / "..first", second)
    endpoints = second / "endpoints.yaml"
    endpoints.write_text(endpoints.read_text().replace("sip:persistentchat@", "sip:rooms@"))
    (pod.configuration / "..new").symlink_to(second.name)
    (pod.configuration / "..new").rename(pod.configuration / "..data")
    event = pod.contained.event("configuration_changed")
    assert event["counts"]["added"] == event["counts"]["removed"] == 1
    assert pod.call("sip:rooms@contoso.com", f"udp://{POD}:5060") == 302


def test_drains_when_it_is_stopped(pod: Pod) -> None:
    """The last test: SIGTERM, as Kubernetes sends it after preStop, ends it with 0."""
    podman = pod.contained.podman
    podman.check("pod", "stop", f"--time={2 * PATIENCE:g}", pod.name)
    assert pod.contained.events("stopped")
    assert podman.inspect(pod.contained.name)["State"]["ExitCode"] == 0
