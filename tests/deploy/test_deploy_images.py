"""Images, compose and Kubernetes examples: what they promise, as far as that can be told without a container engine."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from support.deployed import AGENT_IMAGE, DEPLOY, IMAGES, ROOT, instructions, stages, values

from fleetview_agent.cli import _parser
from fleetview_agent.configload import load
from fleetview_agent.modules.spec import ModuleSpec

MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UID = "10001"


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_an_image_runs_as_nobody_in_particular_and_needs_no_shell(path: Path) -> None:
    build, final = stages(path)
    assert values(final, "USER") == [f"{UID}:{UID}"]
    # USER is the last word on who runs it, and what comes after it makes no layer.
    after = final[[name for name, _ in final].index("USER") + 1 :]
    assert {name for name, _ in after} <= {"STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD", "EXPOSE"}
    for name in ("ENTRYPOINT", "CMD"):
        (arguments,) = values(final, name)
        assert isinstance(json.loads(arguments), list)
    assert values(final, "COPY") == ["--from=build /opt/fleetview /opt/fleetview"], "what builds it is not in it"
    assert values(build, "FROM") == ["${BASE} AS build"]
    assert values(final, "FROM") == ["${BASE}"]


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_dependencies_are_laid_before_sources(path: Path) -> None:
    build = stages(path)[0]
    steps = [f"{name} {rest}" for name, rest in build]
    install = next(index for index, step in enumerate(steps) if "--requirement requirements.txt" in step)
    sources = [index for index, step in enumerate(steps) if re.search(r"COPY (agent|fleetview)/ ", step)]
    assert sources
    assert min(sources) > install
    before = " ".join(rest for name, rest in build[:install] if name == "COPY")
    assert "pyproject.toml" in before
    assert "constraints.txt" in before


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_what_is_installed_is_what_the_distributions_depend_on(path: Path, tmp_path: Path) -> None:
    """The RUN that writes requirements.txt, run here."""
    (step,) = [rest for name, rest in stages(path)[0] if name == "RUN" and "> requirements.txt" in rest]
    for name, rest in stages(path)[0]:
        if name == "COPY" and "pyproject.toml" in rest:
            *files, target = rest.split()
            (tmp_path / target).mkdir(exist_ok=True)
            for file in files:
                shutil.copy(ROOT / file, tmp_path / target)
    command = shlex.split(step.replace(" > requirements.txt", ""))
    assert command[0] == "python"
    done = subprocess.run([sys.executable, *command[1:]], cwd=tmp_path, capture_output=True, text=True, check=True)
    wanted = set(dependencies(ROOT / "agent"))
    if path != AGENT_IMAGE:
        wanted |= set(dependencies(ROOT))
    assert set(done.stdout.split()) == {line for line in wanted if not line.startswith("fleetview-agent")}


def dependencies(folder: Path) -> list[str]:
    found: list[str] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]
    return found


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_what_is_copied_is_there_and_not_ignored(path: Path) -> None:
    ignored = (path.parent / f"{path.name}.dockerignore").read_text().splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    for name, rest in stages(path)[0]:
        if name == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert any(is_below(source.rstrip("/"), pattern) for pattern in kept), source


def is_below(source: str, pattern: str) -> bool:
    return any(fnmatch(part, pattern) for part in (source, *map(str, PurePosixPath(source).parents)))


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_a_distribution_can_be_built_of_what_is_copied(path: Path, tmp_path: Path) -> None:
    """By the backend that pip would ask for it in the image."""
    for name, rest in stages(path)[0]:
        if name == "COPY":
            *sources, target = rest.split()
            for source in sources:
                copied(ROOT / source, tmp_path / target)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=50)
    (wheel,) = tmp_path.glob("dist/*.whl")
    package = "fleetview_agent" if path == AGENT_IMAGE else "fleetview"
    assert f"{package}/__main__.py" in ZipFile(wheel).namelist()


def copied(source: Path, target: Path) -> None:
    """As COPY does: of a folder, what is in it."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def test_the_agents_image_asks_the_agent_how_it_is() -> None:
    final = stages(AGENT_IMAGE)[1]
    (check,) = values(final, "HEALTHCHECK")
    program, *arguments = json.loads(check.partition("CMD ")[2])
    assert program == "fleetview-agent"
    assert _parser().parse_args(arguments).command == "health"
    assert json.loads(values(final, "ENTRYPOINT")[0]) == ["fleetview-agent"]
    assert _parser().parse_args(json.loads(values(final, "CMD")[0])).command == "run"


def test_both_architectures_are_baked() -> None:
    bake = json.loads((DEPLOY / "docker" / "docker-bake.json").read_text())
    targets = bake["target"]
    assert set(bake["group"]["default"]["targets"]) == {"agent", "fleetview"}
    assert targets["common"]["platforms"] == ["linux/amd64", "linux/arm64"]
    for name in bake["group"]["default"]["targets"]:
        assert targets[name]["inherits"] == ["common"]
        assert ROOT / targets[name]["dockerfile"] in IMAGES
        assert set(re.findall(r"\$\{(\w+)\}", "".join(targets[name]["tags"]))) <= set(bake["variable"])
    assert targets["common"]["args"] == {"BASE": "${BASE}"}
    for path in IMAGES:
        assert instructions(path)[0] == ("ARG", f"BASE={bake['variable']['BASE']['default']}")


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def pods() -> list[Any]:
    found = [
        pytest.param(document["spec"]["template"]["spec"], id=document["metadata"]["name"])
        for path in MANIFESTS
        for document in documents(path)
        if document["kind"] == "Deployment"
    ]
    assert len(found) == 2
    return found


@pytest.mark.parametrize("pod", pods())
def test_a_pod_meets_the_restricted_standard_and_more(pod: dict[str, Any]) -> None:
    """Pod Security Standards, `restricted`; and a read-only root, limits, probes, no token."""
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert str(context["runAsUser"]) == UID
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
    names = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
        assert {mount["name"] for mount in container["volumeMounts"]} == names
        for mount in container["volumeMounts"]:
            assert mount.get("readOnly") or mount["name"] in {"state", "tmp"}


def test_the_pod_of_the_agent_asks_it_and_keeps_its_state(tmp_path: Path) -> None:
    settings, claim, deployment = documents(DEPLOY / "kubernetes" / "agent.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        program, *arguments = container[probe]["exec"]["command"]
        assert program == "fleetview-agent"
        assert _parser().parse_args(arguments).command == "health"
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > longest_stop_s()
    volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    assert volumes["state"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert volumes["config"]["configMap"]["name"] == settings["metadata"]["name"]
    file = tmp_path / "agent.toml"
    file.write_text(settings["data"]["agent.toml"])
    assert str(load(file, environ={}).config.tls_cert) == "/certs/agent.crt"


def longest_stop_s() -> float:
    return 2 * float(ModuleSpec.model_fields["stop_grace_s"].default)


def test_selectors_select_what_they_are_for() -> None:
    for path in MANIFESTS:
        for document in documents(path):
            if document["kind"] == "Deployment":
                wanted = document["spec"]["selector"]["matchLabels"]
                assert wanted.items() <= document["spec"]["template"]["metadata"]["labels"].items()
            if document["kind"] == "Service":
                assert document["spec"]["selector"] == document["metadata"]["labels"]


def test_compose_confines_what_it_runs() -> None:
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"agent", "exporter"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"] == f"{UID}:{UID}"
        assert {"mem_limit", "pids_limit", "cpus"} <= set(service)
        assert "privileged" not in service
        assert service["logging"] == {"driver": "local"}
        assert (DEPLOY / "compose" / service["build"]["context"]).resolve() == ROOT
        assert ROOT / service["build"]["dockerfile"] in IMAGES
        for mount in service["volumes"]:
            source, _, rest = mount.partition(":")
            assert rest.endswith(":ro") or source == "agent-state"
            assert source.startswith("./") or source in compose["volumes"]
    assert load(DEPLOY / "compose" / "agent.toml", environ={}).config.agent_id == "edge-agent-001"


@pytest.mark.parametrize("path", [*IMAGES, *MANIFESTS, DEPLOY / "compose" / "compose.yaml"], ids=lambda path: path.name)
def test_no_registry_is_named(path: Path) -> None:
    for line in path.read_text().splitlines():
        if re.search(r"\b(FROM|image:)", line):
            assert not re.search(r"\w+\.\w+/", line), line
