"""The chart: one party a release, restricted, with secrets that exist already; Helm and Kubernetes' own schemas are the judges."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

import go_tools
from contract.test_container import PROJECT
from contract.tree import ROOT
from nrmbus.cli.app import COMMANDS
from nrmbus.directory.fold import SERVICES
from nrmbus.directory.standby import SERVED
from nrmbus.wire.ids import RESERVED_NAMES
from nrmbus.wire.names import AUDITOR, STATISTICS

CHART = ROOT / "deploy" / "helm" / "nrmbus"
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
DESK = {"agency": "ngo-a", "keySecret": "ngo-a-keys"}
OPERATOR = {
    "role": "operator",
    "bootstrap": "k1:9093,k2:9093",
    "clusterAuthority": "kafka-ca",
    "keySecret": "operator-keys",
}
PARTIES: Mapping[str, Mapping[str, Any]] = {
    "desk": DESK,
    "setup": {**DESK, "setup": True},
    "operator": {
        **OPERATOR,
        "withoutAuditor": True,
        "networkPolicy": {"brokers": [{"podSelector": {"matchLabels": {"strimzi.io/kind": "Kafka"}}}]},
    },
    "auditor": {"role": "auditor", "keySecret": "audit-keys"},
    "standby": {"role": "standby", "keySecret": "standby-keys"},
    "admitting": {"role": "standby", "keySecret": "standby-keys", "withoutAuditor": True, "setup": True},
    "all": {
        **DESK,
        "image": {"digest": "sha256:" + 64 * "0"},
        "postgresSecret": "ngo-a-postgres",
        "imagePullSecrets": ["registry"],
        "persistence": {"storageClass": "encrypted"},
        "spansEndpoint": "http://collector:4318",
        "networkPolicy": {
            "names": [{"ipBlock": {"cidr": "169.254.20.10/32"}}],
            "further": [{"ports": [{"protocol": "TCP", "port": 4318}]}],
        },
        "door": {"port": 8443, "from": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]},
        "sidecars": [{"name": "own-system", "image": "own-system:1"}],
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "nrmbus", "operator": "Exists"}],
    },
}
KUBERNETES = "1.34.0"
HELMS = go_tools.found("helm")
VALIDATOR = str(Path(sys.executable).with_name("kubernetes-validate"))
NOTHING = {"drop": ["ALL"]}


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return *layers* as Helm merges values: the last one wins, mapping by mapping."""
    made: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            made[key] = merged(made.get(key) or {}, value) if isinstance(value, dict) else value
    return made


def refused(values: Mapping[str, Any]) -> list[str]:
    """Return where the chart's schema refuses *values* over its defaults, as paths."""
    found = jsonschema.Draft7Validator(SCHEMA).iter_errors(merged(VALUES, values))
    return sorted({"/".join(map(str, error.path)) or error.message for error in found})


@pytest.mark.parametrize("party", PARTIES)
def test_its_schema_takes_each_party(party: str) -> None:
    """A desk and the operator need a few names, and no secret."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)

    assert refused(PARTIES[party]) == []


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({}, ["agency", "keySecret"]),
        ({**DESK, "role": "broker"}, ["agency", "role"]),
        ({**DESK, "role": "auditor"}, ["agency"]),
        ({**DESK, "role": "standby"}, ["agency"]),
        ({**DESK, "withoutAuditor": True}, ["withoutAuditor"]),
        ({**DESK, "bootstrap": "k1:9093"}, ["bootstrap"]),
        ({**OPERATOR, "clusterAuthority": ""}, ["clusterAuthority"]),
        ({**DESK, "agency": "NGO A"}, ["agency"]),
        ({**DESK, "agency": "registrar"}, ["agency"]),
        ({**DESK, "image": {"tag": "latest"}}, ["image/tag"]),
        ({**DESK, "readiness": {"periodSeconds": 1}}, ["readiness/periodSeconds"]),
        ({**DESK, "networkPolicy": {"ports": []}}, ["networkPolicy/ports"]),
        ({**DESK, "door": {"port": 443}}, ["door/port"]),
        ({**OPERATOR, "door": {"port": 8443}}, ["door/port"]),
    ],
    ids=[
        "empty",
        "role",
        "auditor-of-an-agency",
        "standby-of-an-agency",
        "desk-without-auditor",
        "two-parties",
        "no-authority",
        "agency",
        "desk-of-a-service",
        "latest",
        "hurry",
        "no-port",
        "privileged-port",
        "door-of-the-operator",
    ],
)
def test_its_schema_refuses_what_would_not_run(values: Mapping[str, Any], where: list[str]) -> None:
    """A slip is named before anything is installed."""
    assert refused(values) == where


def test_no_agency_has_the_name_of_a_part_of_the_bus() -> None:
    """The names that the schema keeps free are those that the directory admits for no agency."""
    kept = SCHEMA["properties"]["agency"]["not"]["enum"]
    assert set(kept) == {*RESERVED_NAMES, *SERVICES} - {STATISTICS}


def test_a_secret_has_no_place_in_the_values() -> None:
    """An unknown value is refused, so that nobody writes a passphrase where it would be stored."""
    assert refused({**DESK, "passphrase": "of the keys"}) == [
        "Additional properties are not allowed ('passphrase' was unexpected)"
    ]
    assert not any("kind: Secret" in path.read_text() for path in (CHART / "templates").rglob("*.yaml"))


def test_the_chart_is_of_this_release() -> None:
    """Chart and program have one version, and the image's tag is that version if nobody says another."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))

    assert chart["version"] == chart["appVersion"] == PROJECT["version"]


def rendered(helm: str, values: Mapping[str, Any], folder: Path) -> Path:
    """Return the file of the manifests that *helm* makes with *values*."""
    (folder / "values.yaml").write_text(yaml.safe_dump(dict(values)))
    command = [
        helm,
        "template",
        "party",
        str(CHART),
        "--kube-version",
        KUBERNETES,
        "--values",
        str(folder / "values.yaml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    manifests = folder / "manifests.yaml"
    manifests.write_text(done.stdout)
    return manifests


def pods(manifests: list[Any]) -> Iterator[Any]:
    """Yield the spec of each pod."""
    for each in manifests:
        if each["kind"] == "StatefulSet":
            yield each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            yield each["spec"]


def unrestricted(pod: Any) -> list[str]:
    """Return what Kubernetes' level `restricted` would refuse in the chart's own containers of a *pod*, and a writable root."""
    whole = pod["securityContext"]
    containers = (*pod.get("initContainers", []), *pod["containers"])
    own = [each["securityContext"] for each in containers if each["image"].startswith("nrmbus")]
    wanted = {
        "runAsNonRoot": whole.get("runAsNonRoot") is True and whole.get("runAsUser", 0) > 0,
        "seccompProfile": whole.get("seccompProfile") == {"type": "RuntimeDefault"},
        "allowPrivilegeEscalation": all(each.get("allowPrivilegeEscalation") is False for each in own),
        "capabilities": all(each.get("capabilities") == NOTHING for each in own),
        "readOnlyRootFilesystem": all(each.get("readOnlyRootFilesystem") is True for each in own),
        "automountServiceAccountToken": pod.get("automountServiceAccountToken") is False,
        "volumes": all(
            {*volume} <= {"name", "secret", "emptyDir", "configMap", "persistentVolumeClaim"}
            for volume in pod["volumes"]
        ),
    }
    return [name for name, well in wanted.items() if not well]


@pytest.mark.oracle
@pytest.mark.parametrize("helm", HELMS)
class TestHelm:
    """Manifests that Helm makes of the chart. Without Helm, pytest says that nothing was looked at."""

    def test_it_lints(self, helm: str, tmp_path: Path) -> None:
        """Given a party's values, when Helm lints the chart strictly, then nothing is wrong."""
        (tmp_path / "values.yaml").write_text(yaml.safe_dump(DESK))
        command = [
            helm,
            "lint",
            "--strict",
            str(CHART),
            "--kube-version",
            KUBERNETES,
            "--values",
            str(tmp_path / "values.yaml"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout

    @pytest.mark.parametrize("party", PARTIES)
    def test_every_pod_is_restricted(self, helm: str, party: str, tmp_path: Path) -> None:
        """Given a party, then no pod may do more than it needs, nobody reaches it but at its door, and a secret is only named."""
        manifests = [*yaml.safe_load_all(rendered(helm, PARTIES[party], tmp_path).read_text())]
        kinds = sorted(each["kind"] for each in manifests)

        has_door = "door" in PARTIES[party]
        others = ["NetworkPolicy", "Pod", "PodDisruptionBudget", "ServiceAccount", "StatefulSet"]
        assert kinds == sorted([*others, *(["Service"] if has_door else [])])
        assert [unrestricted(pod) for pod in pods(manifests)] == [[], []]
        (policy,) = (each["spec"] for each in manifests if each["kind"] == "NetworkPolicy")
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        opened = [{"ports": [{"protocol": "TCP", "port": 8443}], "from": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}]
        assert policy["ingress"] == (opened if has_door else [])

    @pytest.mark.parametrize(
        ("party", "starts"),
        [
            ("desk", ["run", "ngo-a"]),
            ("operator", ["up", "--bootstrap"]),
            ("auditor", ["run", "auditor"]),
            ("setup", None),
        ],
    )
    def test_it_runs_commands_that_there_are(
        self, helm: str, party: str, starts: list[str] | None, tmp_path: Path
    ) -> None:
        """Given a party, then its pod starts its service and is ready while that moves; during the set-up it only waits."""
        whole = [*yaml.safe_load_all(rendered(helm, PARTIES[party], tmp_path).read_text())]
        main, check = (pod["containers"][0] for pod in pods(whole))

        assert check["args"] == ["check"]
        if starts is None:
            assert "args" not in main
            assert "readinessProbe" not in main
            return
        assert main["args"][:2] == starts
        assert main["readinessProbe"]["exec"]["command"] == ["nrmbus", "status", "--ready"]
        assert {main["args"][0], check["args"][0], "status"} <= COMMANDS.keys()

    @pytest.mark.parametrize("without", [False, True])
    def test_a_standby_host_runs_each_service_that_stands_by(self, helm: str, tmp_path: Path, *, without: bool) -> None:
        """Given a standby host, then its pod runs each service that its operator can hand over, in a container of its own."""
        values = {**PARTIES["standby"], "withoutAuditor": without}
        (pod, _) = pods([*yaml.safe_load_all(rendered(helm, values, tmp_path).read_text())])

        served = [each for each in SERVED if each != AUDITOR or not without]
        assert [(each["name"], each["args"]) for each in pod["containers"]] == [
            (each, ["run", each]) for each in served
        ]

    def test_a_pod_with_a_right_is_found(self, helm: str, tmp_path: Path) -> None:
        """Sabotage: each right that a pod would have is named."""
        (pod, _) = pods([*yaml.safe_load_all(rendered(helm, DESK, tmp_path).read_text())])
        pod["securityContext"] = {"runAsUser": 0}
        pod["containers"][0]["securityContext"] = {"capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}
        pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}})

        assert len(unrestricted(pod)) == 6


@pytest.mark.oracle
@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("party", PARTIES)
def test_kubernetes_knows_every_field(helm: str, party: str, tmp_path: Path) -> None:
    """Given the manifests of a party, when they are held against Kubernetes' own schemas, then each field is known and fits."""
    manifests = rendered(helm, PARTIES[party], tmp_path)
    judged = [VALIDATOR, "--strict", "--quiet", "--kubernetes-version", KUBERNETES.rpartition(".")[0], str(manifests)]
    done = subprocess.run(judged, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    manifests.write_text(manifests.read_text().replace("readOnlyRootFilesystem", "readonlyRootFilesystem"))
    assert subprocess.run(judged, capture_output=True, text=True, check=False).returncode != 0
