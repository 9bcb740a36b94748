"""The rules as a Prometheus rule file, a PrometheusRule and Grafana's own alerts."""

from poolscope.alerts.rules import GROUP, Rule
from poolscope.alerts.settings import Settings, duration
from poolscope.alerts.yaml import Tree, dump

NAME = "poolscope"
HEAD = "Alerts on httpx connection pools, for Prometheus 2.42 and later. Written by `poolscope export`."


def _group(rules: list[Rule], settings: Settings) -> Tree:
    return {
        "name": GROUP,
        "interval": duration(settings.evaluation_step),
        "rules": [_rule(rule) for rule in rules],
    }


def _rule(rule: Rule) -> Tree:
    tree: dict[str, Tree] = {"alert": rule.name, "expr": rule.expression}
    if rule.hold:
        tree["for"] = duration(rule.hold)
    return tree | {
        "keep_firing_for": duration(rule.keep),
        "labels": {"severity": rule.severity},
        "annotations": rule.annotations,
    }


def prometheus(rules: list[Rule], settings: Settings) -> str:
    """Write a rule file for `rule_files`."""
    return dump({"groups": [_group(rules, settings)]}, HEAD)


def prometheus_rule(rules: list[Rule], settings: Settings) -> str:
    """Write a PrometheusRule for the Prometheus operator."""
    tree: Tree = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": NAME}},
        "spec": {"groups": [_group(rules, settings)]},
    }
    return dump(tree, HEAD)


def grafana_alerts(rules: list[Rule], settings: Settings, datasource: str) -> str:
    """Write Grafana-managed alerts for file provisioning. They run against one data source, by its uid."""
    group = {
        "orgId": 1,
        "name": GROUP,
        "folder": "HTTPX",
        "interval": duration(settings.evaluation_step),
        "rules": [_grafana_rule(rule, datasource) for rule in rules],
    }
    return dump({"apiVersion": 1, "groups": [group]}, "Alerts on httpx connection pools, run by Grafana itself.")


def _grafana_rule(rule: Rule, datasource: str) -> Tree:
    """Give one rule: a query, and the condition that it gave anything (all of our values are above 0)."""
    query = {"refId": "A", "expr": rule.expression, "instant": True, "range": False}
    above = {"evaluator": {"type": "gt", "params": [0]}, "query": {"params": ["A"]}}
    condition = {"refId": "B", "type": "threshold", "expression": "A", "conditions": [above]}
    span = {"from": 600, "to": 0}
    uid = "".join(f"-{char.lower()}" if char.isupper() else char for char in rule.name).removeprefix("-")
    # In Grafana's templates `$value` is a text about all values; the query's own number is `$values.A.Value`.
    annotations = {name: text.replace("$value", "$values.A.Value") for name, text in rule.annotations.items()}
    return {
        "uid": uid,
        "title": rule.name,
        "condition": "B",
        "data": [
            {"refId": "A", "relativeTimeRange": span, "datasourceUid": datasource, "model": query},
            {"refId": "B", "relativeTimeRange": span, "datasourceUid": "__expr__", "model": condition},
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": duration(rule.hold),
        "keepFiringFor": duration(rule.keep),
        "labels": {"severity": rule.severity},
        "annotations": annotations,
    }
