"""The manifests in deploy/kubernetes."""

from pathlib import Path
from typing import Any

import yaml

from tests.installed.readme import ROOT

FOLDER = ROOT / "deploy/kubernetes"
KUSTOMIZATION = FOLDER / "kustomization.yaml"

Manifest = dict[str, Any]


def files() -> list[Path]:
    """The files of manifests."""
    return sorted(set(FOLDER.iterdir()) - {KUSTOMIZATION})


def manifests() -> list[Manifest]:
    """All, in the order of the files' names."""
    return [each for file in files() for each in yaml.safe_load_all(file.read_text())]


def manifest(kind: str, name: str | None = None) -> Manifest:
    """The one of a kind (and a name)."""
    (found,) = (
        each
        for each in manifests()
        if each["kind"] == kind and name in (None, each["metadata"]["name"])
    )
    return found


def container(deployment: Manifest) -> dict[str, Any]:
    """The only container of a Deployment's pods."""
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)
