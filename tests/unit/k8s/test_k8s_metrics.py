"""Alerts and dashboard ask for metrics, and for labels of them, that the services really export."""

import json
import re

import pytest
import yaml
from k8s_objects import of_kind

pytestmark = pytest.mark.unit

OF_HISTOGRAMS = {"le"}
OF_KUBE_STATE_METRICS = {
    name: {"namespace", "cronjob"} for name in ("kube_cronjob_status_last_successful_time", "kube_cronjob_created")
}
"""As its documentation has them."""
METRIC = re.compile(r"\b(?:gream|kube)_\w+")
COMPARISON = re.compile(r"([<>=!]=?) ([\d.]+(?: \* \d+)?)")
RINGS_WHERE = {
    "GreamApiFails": [(">", "0.02")],
    "GreamApiIsSlow": [(">", "1")],
    "GreamEngineNotReady": [("==", "0")],
    "GreamEngineRefuses": [(">", "0")],
    "GreamFeaturesDown": [("==", "0")],
    "GreamDegraded": [(">", "0.05")],
    "GreamFeedbackWaits": [(">", "1000")],
    "GreamEvidenceFails": [(">", "3")],
    "GreamIllegalItems": [(">", "0"), (">", "0")],
    "GreamPolicyDoesNotLoad": [(">", "0")],
    "GreamPoliciesDiffer": [("==", "1"), (">", "1")],
    "GreamDriftMonitorFails": [(">", "3 * 3600")],
    "GreamFeaturesStale": [(">", "30 * 3600")],
}
"""Comparisons of each alert, in their order. Of the policies, those that an engine has count, and may be one."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Label names by the name that Prometheus knows each series by."""
    from serving.api.metrics import ApiMetrics
    from serving.engine.metrics import EngineMetrics

    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    found = dict(OF_KUBE_STATE_METRICS)
    for metrics in (ApiMetrics(), EngineMetrics("transformers")):
        for metric in vars(metrics).values():
            if hasattr(metric, "describe"):
                (family,) = metric.describe()
                found |= {family.name + suffix: set(metric._labelnames) for suffix in suffixes[family.type]}
    return found


@pytest.fixture(scope="module")
def from_targets(repository):
    """Labels that scraping adds, as Prometheus spells them."""
    (monitor, _) = yaml.safe_load_all((repository / "k8s/components/prometheus/scraping.yaml").read_text())
    added = [*monitor["spec"]["targetLabels"], *monitor["spec"]["podTargetLabels"]]
    return {re.sub(r"\W", "_", label) for label in added}


def alerts(repository):
    rules = yaml.safe_load((repository / "k8s/components/prometheus/alerts.yaml").read_text())
    return {rule["alert"]: rule for group in rules["spec"]["groups"] for rule in group["rules"]}


def alert_expressions(repository):
    return [rule["expr"] for rule in alerts(repository).values()]


def panels(repository):
    return json.loads((repository / "k8s/components/prometheus/dashboards/gream.json").read_text())["panels"]


@pytest.fixture(scope="module")
def expressions(repository):
    asked = [target["expr"] for panel in panels(repository) for target in panel["targets"]]
    return alert_expressions(repository) + asked


def test_every_metric_is_exported(expressions, exported):
    asked = {name for expression in expressions for name in METRIC.findall(expression)}
    assert len(asked) > 15
    assert asked <= set(exported), asked - set(exported)


def test_every_label_is_one_of_its_metrics_or_of_their_target(expressions, exported, from_targets):
    for expression in expressions:
        names = METRIC.findall(expression)
        labels = set().union(*(exported[name] for name in names)) | OF_HISTOGRAMS | from_targets
        grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
        matched = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', expression))
        assert grouped | matched <= labels, expression


def test_annotations_name_labels_that_the_expression_keeps(repository):
    for rule in alerts(repository).values():
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert f"by ({label})" in rule["expr"]
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_each_alert_rings_on_its_side_of_its_threshold(repository):
    compared = {alert: COMPARISON.findall(rule["expr"]) for alert, rule in alerts(repository).items()}
    assert compared == RINGS_WHERE


def test_no_engine_at_all_is_an_alarm_too_and_a_canary_s_engine_hides_nothing(repository):
    (canary,) = yaml.safe_load((repository / "k8s/components/canary/serving/kustomization.yaml").read_text())["labels"]
    champions = f'gream_engine_ready{{app_kubernetes_io_instance!="{canary["pairs"]["app.kubernetes.io/instance"]}"}}'
    none_ready, none_there = alerts(repository)["GreamEngineNotReady"]["expr"].split(" or ")
    assert none_ready.strip() == f"max({champions}) == 0"
    assert none_there.strip() == f"absent({champions})"


def test_policies_are_compared_among_engines_of_one_pointer(repository, exported):
    expression = alerts(repository)["GreamPoliciesDiffer"]["expr"]
    groups = [group.split(", ") for group in re.findall(r"by \(([^)]*)\)", expression)]
    assert groups == [["app_kubernetes_io_instance"], ["app_kubernetes_io_instance", "version"]]
    assert "app_kubernetes_io_instance" not in exported["gream_policy_engine_policy_info"], "the target's own"


def seconds_between(schedule):
    """Of a CronJob that comes every hour or every day."""
    minute, hour, *days = schedule.split()
    assert minute.isdecimal()
    assert days == ["*", "*", "*"]
    assert hour == "*" or hour.isdecimal()
    return 3_600 if hour == "*" else 86_400


def test_a_job_that_keeps_its_schedule_is_no_alarm_and_one_that_stays_away_is(repository):
    base = repository / "k8s" / "base"
    namespace = yaml.safe_load((base / "kustomization.yaml").read_text())["namespace"]
    things = [thing for file in base.glob("*.yaml") for thing in yaml.safe_load_all(file.read_text())]
    jobs = {thing["metadata"]["name"]: thing["spec"] for thing in things if thing["kind"] == "CronJob"}
    watched = {}
    for expression in alert_expressions(repository):
        if found := re.findall(r'\{namespace="(.*?)", cronjob="(.*?)"\}', expression):
            ((where, job),) = set(found)
            assert where == namespace
            assert set(METRIC.findall(expression)) == set(OF_KUBE_STATE_METRICS)
            watched[job] = 3_600 * int(re.findall(r"\) > (\d+) \* 3600$", expression.strip())[0])
    assert watched.keys() == jobs.keys()
    for job, limit in watched.items():
        turn = seconds_between(jobs[job]["schedule"])
        late = jobs[job]["startingDeadlineSeconds"] + jobs[job]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
        assert turn + late < limit <= 3 * turn


def test_panels_stand_beside_each_other(repository):
    taken = set()
    for panel in panels(repository):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(0 <= x < 24 for x, _ in cells)
        taken |= cells


def test_what_the_operator_reads_has_the_label_that_its_helm_chart_looks_for(objects, shape, repository):
    read = of_kind(objects, "ServiceMonitor", "PrometheusRule")
    assert [thing["metadata"]["labels"] for thing in read] == [{"release": "kube-prometheus-stack"}] * len(read)
    assert len(read) == (2 if shape.startswith("gpu") else 0)
    assert "`release: kube-prometheus-stack`" in (repository / "docs" / "kubernetes.md").read_text()


def test_every_alert_has_its_paragraph(repository):
    page = (repository / "docs" / "kubernetes.md").read_text()
    for alert in alerts(repository):
        assert f"`{alert}`" in page
