"""Alerts and dashboard ask for metrics, and for labels of them, that the services really export."""

import json
import re

import pytest
import yaml

pytestmark = pytest.mark.unit

FROM_OTHERS = {"le"}
"""A histogram's own label."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Label names by the name that Prometheus knows each series by."""
    from serving.api.metrics import ApiMetrics
    from serving.engine.metrics import EngineMetrics

    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    found = {}
    for metrics in (ApiMetrics(), EngineMetrics("transformers")):
        for metric in vars(metrics).values():
            if hasattr(metric, "describe"):
                (family,) = metric.describe()
                found |= {family.name + suffix: set(metric._labelnames) for suffix in suffixes[family.type]}
    return found


def alert_expressions(repository):
    rules = yaml.safe_load((repository / "k8s/components/prometheus/alerts.yaml").read_text())
    return [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]


def panels(repository):
    return json.loads((repository / "k8s/components/prometheus/dashboards/gream.json").read_text())["panels"]


@pytest.fixture(scope="module")
def expressions(repository):
    asked = [target["expr"] for panel in panels(repository) for target in panel["targets"]]
    return alert_expressions(repository) + asked


def test_every_metric_is_exported(expressions, exported):
    asked = {name for expression in expressions for name in re.findall(r"\bgream_\w+", expression)}
    assert len(asked) > 15
    assert asked <= set(exported), asked - set(exported)


def test_every_label_is_one_of_its_metrics(expressions, exported):
    for expression in expressions:
        names = re.findall(r"\bgream_\w+", expression)
        labels = set().union(*(exported[name] for name in names)) | FROM_OTHERS
        grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
        matched = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', expression))
        assert grouped | matched <= labels, expression


def test_annotations_name_labels_that_the_expression_keeps(repository):
    rules = yaml.safe_load((repository / "k8s/components/prometheus/alerts.yaml").read_text())
    for rule in [rule for group in rules["spec"]["groups"] for rule in group["rules"]]:
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert f"by ({label})" in rule["expr"]
        assert rule["labels"]["severity"] in ("page", "ticket")


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


def test_every_alert_has_its_paragraph(repository):
    rules = yaml.safe_load((repository / "k8s/components/prometheus/alerts.yaml").read_text())
    page = (repository / "docs" / "kubernetes.md").read_text()
    for rule in [rule for group in rules["spec"]["groups"] for rule in group["rules"]]:
        assert f"`{rule['alert']}`" in page
