"""The house rules for manifests: what fits together, what is bounded, who may do and reach what."""

import re

import pytest
from k8s_objects import environment, name, of_kind, pods, selects, settings

pytestmark = pytest.mark.unit

GPU = "nvidia.com/gpu"
POOL = "gream.dev/pool"
CACHE_OF_THE_NODE = {"cidr": "169.254.20.10/32"}
"""NodeLocal DNSCache's address, as its documentation has it."""


def test_selectors_take_the_pods_of_their_own_workload_and_no_others(objects):
    for owner in of_kind(objects, "Deployment", "StatefulSet"):
        taken = {pod.owner for pod in pods(objects) if selects(owner["spec"]["selector"], pod.labels)}
        assert taken == {name(owner)}


def test_services_budgets_and_policies_take_pods_that_exist(objects):
    for thing in of_kind(objects, "Service", "PodDisruptionBudget", "NetworkPolicy"):
        selector = thing["spec"]["podSelector" if thing["kind"] == "NetworkPolicy" else "selector"]
        if "feast.dev/name" in str(selector):
            assert of_kind(objects, "FeatureStore")  # The operator makes these pods.
            continue
        assert any(selects(selector, pod.labels) for pod in pods(objects)), name(thing)


def test_services_and_probes_name_ports_that_their_pods_have(objects):
    for service in of_kind(objects, "Service"):
        for pod in pods(objects):
            if selects(service["spec"]["selector"], pod.labels):
                names = {port["name"] for c in pod.containers for port in c.get("ports", [])}
                assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    for pod in pods(objects):
        for container in pod.containers:
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                check = container.get(probe, {})
                for kind in ("httpGet", "tcpSocket"):
                    assert kind not in check or check[kind]["port"] in ports


def test_what_runs_for_long_has_all_three_probes(objects):
    for pod in pods(objects):
        if pod.owner.startswith(("Deployment", "StatefulSet")):
            for container in pod.spec["containers"]:
                assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), pod.owner


def test_the_autoscaler_finds_what_it_scales(objects):
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        (scaled,) = [
            thing
            for thing in of_kind(objects, target["kind"])
            if thing["metadata"]["name"] == target["name"] and thing["apiVersion"] == target["apiVersion"]
        ]
        assert "replicas" not in scaled["spec"], "applying the manifest again would undo the autoscaler's choice"


def test_requests_and_limits_everywhere(objects):
    for pod in pods(objects):
        for container in pod.containers:
            for bound in ("requests", "limits"):
                assert set(container["resources"][bound]) >= {"cpu", "memory", "ephemeral-storage"}, pod.owner


def test_gpu_pods_and_only_they_tolerate_the_taint_and_go_to_the_pool(objects, shape):
    on_gpus = [pod for pod in pods(objects) if pod.gpus]
    assert {pod.owner for pod in on_gpus} == (engines(shape) if shape.startswith("gpu") else set())
    for pod in pods(objects):
        tolerated = {toleration["key"] for toleration in pod.spec.get("tolerations", [])}
        pool = pod.spec.get("nodeSelector", {}).get(POOL, "")
        assert tolerated == ({GPU} if pod.gpus else set()), pod.owner
        assert pool.startswith("gpu-") == bool(pod.gpus), pod.owner
        if shape.startswith("gpu"):
            assert pool in ("cpu", "gpu-small", "gpu-large"), pod.owner
        for container in pod.containers:
            asked = container["resources"]["requests"].get(GPU, container["resources"]["limits"].get(GPU))
            assert asked == container["resources"]["limits"].get(GPU), "whole GPUs: the request is the limit"


def test_gpu_pods_have_shared_memory_and_a_rollout_that_keeps_capacity(objects):
    for pod in pods(objects):
        if pod.gpus:
            (mount,) = [m for c in pod.containers for m in c["volumeMounts"] if m["mountPath"] == "/dev/shm"]
            (volume,) = [v for v in pod.spec["volumes"] if v["name"] == mount["name"]]
            assert volume["emptyDir"]["medium"] == "Memory"
            assert volume["emptyDir"]["sizeLimit"]
    (engine,) = [thing for thing in of_kind(objects, "Deployment") if thing["metadata"]["name"] == "engine"]
    assert engine["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    startup = engine["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] < engine["spec"]["progressDeadlineSeconds"]


def test_images_are_pinned(objects):
    for pod in pods(objects):
        for container in pod.containers:
            image = container["image"]
            assert re.search(r":[\w.-]*\d[\w.-]*(@sha256:[0-9a-f]{64})?$", image), image
            assert ":latest" not in image
            assert "gream/" in image or "@sha256:" in image, f"{image}: what others build is taken by digest"


def test_nothing_is_privileged(objects):
    for pod in pods(objects):
        spec = pod.spec
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 10_000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in spec.get("volumes", []):
            kinds = set(volume) - {"name"}
            assert kinds <= {"emptyDir", "secret", "configMap", "projected", "persistentVolumeClaim"}
        for container in pod.containers:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert not {"privileged", "runAsUser", "runAsNonRoot"} & set(context)


def test_the_namespace_refuses_what_is_not_restricted(objects):
    (namespace,) = of_kind(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for thing in objects:
        assert thing["metadata"].get("namespace") == (None if thing is namespace else "gream"), name(thing)


def test_every_mount_has_its_volume(objects):
    for pod in pods(objects):
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])}
        owner = next(thing for thing in objects if name(thing) == pod.owner)
        volumes |= {claim["metadata"]["name"] for claim in owner["spec"].get("volumeClaimTemplates", [])}
        mounts = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", [])}
        assert mounts == volumes, pod.owner


def secret_references(objects):
    """(secret, key) of every reference; key is None where a whole Secret is mounted."""
    for pod in pods(objects):
        for container in pod.containers:
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    yield reference["name"], reference["key"]
        for volume in pod.spec.get("volumes", []):
            if "secret" in volume:
                yield volume["secret"]["secretName"], None
    for store in of_kind(objects, "FeatureStore"):
        yield store["spec"]["services"]["onlineStore"]["persistence"]["store"]["secretRef"]["name"], "redis"


def test_every_secret_is_made_or_documented(objects, repository):
    made = {thing["metadata"]["name"]: set(thing["data"]) for thing in of_kind(objects, "Secret")}
    documented = (repository / "docs" / "kubernetes.md").read_text()
    references = list(secret_references(objects))
    assert references
    for secret, key in references:
        if made:
            assert secret in made
            assert key is None or key in made[secret]
        else:
            row = re.search(rf"^\| `{secret}` \|.*$", documented, re.MULTILINE)
            assert row, f"docs/kubernetes.md does not list the Secret {secret}"
            assert key is None or f"`{key}`" in row.group(), (secret, key)


def test_every_config_map_is_made(objects):
    made = {thing["metadata"]["name"] for thing in of_kind(objects, "ConfigMap")}
    for pod in pods(objects):
        for container in pod.containers:
            for source in container.get("envFrom", []):
                assert source["configMapRef"]["name"] in made
        mounted = {volume["configMap"]["name"] for volume in pod.spec.get("volumes", []) if "configMap" in volume}
        assert mounted <= made, pod.owner


def test_who_reads_the_settings_reads_what_components_set_before(objects):
    sources = {
        (pod.owner, container["name"]): [
            source["configMapRef"]["name"].rpartition("-")[0] for source in container["envFrom"]
        ]
        for pod in pods(objects)
        for container in pod.containers
        if "envFrom" in container
    }
    assert sources
    assert all(read == ["components", "settings"] for read in sources.values()), sources


def test_every_pod_has_an_account_of_its_own_without_a_token(objects):
    accounts = {thing["metadata"]["name"]: thing for thing in of_kind(objects, "ServiceAccount")}
    assert not any(account["automountServiceAccountToken"] for account in accounts.values())
    for pod in pods(objects):
        assert pod.spec["serviceAccountName"] in accounts
        assert pod.spec["automountServiceAccountToken"] is False


def test_accounts_may_do_what_the_drift_monitor_needs_and_nothing_else(objects):
    assert not of_kind(objects, "ClusterRole", "ClusterRoleBinding")
    (role,) = of_kind(objects, "Role")
    group = ["pipelines.kubeflow.org"]
    assert role["rules"] == [
        {"apiGroups": group, "resources": ["pipelines"], "verbs": ["get", "list"]},
        {"apiGroups": group, "resources": ["experiments", "runs"], "verbs": ["create", "get", "list"]},
    ]
    (binding,) = of_kind(objects, "RoleBinding")
    assert [subject["name"] for subject in binding["subjects"]] == ["drift-monitor"]


def policies_for(objects, pod, direction):
    return [
        policy["spec"]
        for policy in of_kind(objects, "NetworkPolicy")
        if direction in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], pod.labels)
    ]


def opened(rules, container):
    """Ports of a container that some ingress rules open, by name."""
    ports = {rule_port["port"] for rule in rules for rule_port in rule["ports"]}
    return {port["name"] for port in container.get("ports", []) if {port["name"], port["containerPort"]} & ports}


def test_nothing_gets_in_or_out_unless_a_policy_says_so(objects):
    (deny,) = [p["spec"] for p in of_kind(objects, "NetworkPolicy") if p["metadata"]["name"] == "default-deny"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in of_kind(objects, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            assert rule.get("from"), f"{name(policy)} lets everybody in"
            assert rule.get("ports"), f"{name(policy)} opens every port"
        for rule in policy["spec"].get("egress", []):
            assert rule.get("to"), f"{name(policy)} lets pods go anywhere"
            assert rule.get("ports"), f"{name(policy)} opens every port"


def test_every_port_has_its_network_policy_and_no_policy_opens_another(objects):
    for pod in pods(objects):
        rules = [rule for policy in policies_for(objects, pod, "Ingress") for rule in policy.get("ingress", [])]
        ports = {port["name"] for container in pod.containers for port in container.get("ports", [])}
        assert set().union(*(opened(rules, container) for container in pod.containers)) == ports, pod.owner
        assert {p["port"] for rule in rules for p in rule["ports"]} <= ports, pod.owner


def connections(objects, direction, peers):
    """(caller, target, ports) inside the namespace that the policies of one side allow."""
    everyone = pods(objects)
    found = set()
    for policy in of_kind(objects, "NetworkPolicy"):
        own = [pod.owner for pod in everyone if selects(policy["spec"]["podSelector"], pod.labels)]
        for rule in policy["spec"].get(direction, []):
            ports = str(rule["ports"])
            for peer in rule[peers]:
                if not {"namespaceSelector", "ipBlock"} & set(peer):
                    others = [pod.owner for pod in everyone if selects(peer["podSelector"], pod.labels)]
                    pairs = [(other, one) if peers == "from" else (one, other) for other in others for one in own]
                    found |= {(*pair, ports) for pair in pairs}
    return found


def test_who_may_leave_for_a_pod_is_let_in_there_and_the_other_way_round(objects):
    incoming = connections(objects, "ingress", "from")
    assert ("StatefulSet/api", "Deployment/engine", "[{'port': 'http'}]") in incoming
    assert incoming == connections(objects, "egress", "to")


def test_a_store_outside_is_reached_by_its_clients_alone_and_over_tls(objects, shape):
    outside = "a store outside" in shape
    leaving = [
        (pod.owner, rule["ports"])
        for pod in pods(objects)
        for policy in policies_for(objects, pod, "Egress")
        for rule in policy.get("egress", [])
        if any(peer.get("ipBlock", CACHE_OF_THE_NODE) != CACHE_OF_THE_NODE for peer in rule["to"])
    ]
    mounted = {pod.owner: {one["name"] for one in pod.spec.get("volumes", [])} for pod in pods(objects)}
    with_keys = {owner for owner, names in mounted.items() if "object-store" in names}
    assert {owner for owner, _ in leaving} == (with_keys if outside else set())
    assert with_keys >= {"StatefulSet/api", *engines(shape), "CronJob/features", "CronJob/drift-monitor"}
    assert all(ports == [{"port": 443, "protocol": "TCP"}] for _, ports in leaving)
    endpoint = "https://s3.eu-west-1.amazonaws.com" if outside else "http://object-store:9000"
    assert settings(objects)["GREAM_S3_ENDPOINT"] == endpoint


def test_names_are_asked_of_the_cluster_and_of_the_node_s_cache(objects):
    (dns,) = [p["spec"] for p in of_kind(objects, "NetworkPolicy") if p["metadata"]["name"] == "dns"]
    (rule,) = dns["egress"]
    assert [(port["port"], port["protocol"]) for port in rule["ports"]] == [(53, "UDP"), (53, "TCP")]
    asked = {peer["podSelector"]["matchLabels"]["k8s-app"] for peer in rule["to"] if "podSelector" in peer}
    assert asked == {"kube-dns", "node-local-dns"}
    assert [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer] == [CACHE_OF_THE_NODE]


def test_redis_has_room_for_what_changes_while_it_writes_its_file_anew(objects):
    (redis,) = [pod for pod in pods(objects) if pod.owner == "StatefulSet/redis"]
    (container,) = redis.containers
    options = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
    assert options["--save"] == "", "one file is enough, and a snapshot is a second copy"
    mebibytes = int(options["--maxmemory"].removesuffix("mb"))
    # 900 twice are 1,800, and 248 are left for buffers and what is lost between pages.
    assert container["resources"]["limits"]["memory"] == "2Gi"
    assert 2 * mebibytes <= 2048 - 248


def test_what_an_overlay_says_itself_wins_over_the_components_it_takes(outside_with_a_canary):
    said = {
        "GREAM_S3_ENDPOINT": "https://s3.shop.example",
        "GREAM_ALERTMANAGER": "http://alerts.ops:9093",
        "GREAM_CANARY": "s3://gream/policies/trial",
    }
    objects = outside_with_a_canary(said)
    told = {
        pod.owner: {name: environment(objects, container)[name] for name in said}
        for pod in pods(objects)
        for container in pod.containers
        if "envFrom" in container
    }
    readers = {"api", "api-canary", "engine", "engine-canary", "features", "drift-monitor"}
    assert {owner.rpartition("/")[2] for owner in told} == readers
    assert all(heard == said for heard in told.values()), told


def test_a_bucket_of_another_name_is_everybody_s(outside_with_a_canary):
    places = {name: value for name, value in settings(outside_with_a_canary({})).items() if "s3://gream/" in value}
    assert len(places) == 7
    objects = outside_with_a_canary({name: value.replace("gream", "shop", 1) for name, value in places.items()})
    told = {pod.owner: environment(objects, container) for pod in pods(objects) for container in pod.containers}
    assert told["Deployment/engine-canary"]["GREAM_POLICY"] == "s3://shop/policies/canary"
    assert told["CronJob/drift-monitor"]["GREAM_CANARY"] == "s3://shop/policies/canary"
    assert not [owner for owner, variables in told.items() if "s3://gream/" in str(variables)]


def test_kueue_takes_the_engine_and_the_jobs_where_it_is_asked_for(objects, shape):
    queued = {
        name(thing)
        for thing in objects
        if "kueue.x-k8s.io/queue-name" in str(thing["metadata"].get("labels"))
        or "kueue.x-k8s.io/queue-name" in str(thing.get("spec", {}).get("jobTemplate", {}).get("metadata"))
    }
    jobs = {"CronJob/features", "CronJob/drift-monitor"}
    assert queued == (engines(shape) | jobs if shape.endswith("Kueue") else set())


def test_visitors_go_to_the_champion_s_replicas_and_to_the_canary_s_and_each_api_asks_its_own_engine(objects, shape):
    (service,) = [thing for thing in of_kind(objects, "Service") if thing["metadata"]["name"] == "api"]
    served = {pod.owner: pod for pod in pods(objects) if selects(service["spec"]["selector"], pod.labels)}
    canary = "canary" in shape
    assert set(served) == ({"StatefulSet/api", "StatefulSet/api-canary"} if canary else {"StatefulSet/api"})
    told = settings(objects)
    assert told.get("GREAM_CANARY") == ("s3://gream/policies/canary" if canary else None)
    if not canary:
        return
    (engine,) = [pod for pod in pods(objects) if pod.owner == "Deployment/engine-canary"]
    assert environment(objects, engine.containers[0])["GREAM_POLICY"] == told["GREAM_CANARY"] != told["GREAM_POLICY"]
    asks = environment(objects, served["StatefulSet/api-canary"].containers[0])
    assert asks["GREAM_ENGINE_URL"] == "http://engine-canary:3000"
    (scraped,) = of_kind(objects, "ServiceMonitor") or [None]
    if scraped:
        (rule,) = scraped["spec"]["selector"]["matchExpressions"]
        names = [
            thing["metadata"]["name"]
            for thing in of_kind(objects, "Service")
            if thing["metadata"]["labels"].get(rule["key"]) in rule["values"]
        ]
        assert sorted(names) == ["api", "engine", "engine-canary"]
        (told_apart,) = scraped["spec"]["podTargetLabels"]
        instances = {pod.owner: pod.labels[told_apart] for pod in [*served.values(), engine]}
        assert instances == {
            "StatefulSet/api": "champion",
            "StatefulSet/api-canary": "canary",
            "Deployment/engine-canary": "canary",
        }


def test_no_workload_selects_another_s_pods(objects):
    for thing in of_kind(objects, "Deployment", "StatefulSet", "PodDisruptionBudget"):
        selected = [pod.owner for pod in pods(objects) if selects(thing["spec"]["selector"], pod.labels)]
        assert len(selected) == 1, f"{name(thing)} selects {selected}"


def engines(shape):
    return {"Deployment/engine", *(["Deployment/engine-canary"] if "canary" in shape else [])}


def test_feasts_server_which_asks_for_no_key_has_a_door_of_its_own(objects):
    doors = {
        policy["metadata"]["name"]: {
            label
            for rule in policy["spec"].get("ingress", [])
            for peer in rule["from"]
            for label in peer.get("namespaceSelector", {}).get("matchLabels", {})
        }
        for policy in of_kind(objects, "NetworkPolicy")
    }
    assert doors["feast"] == {"gream.dev/features"}
    assert "gream.dev/client" in doors["api"]
