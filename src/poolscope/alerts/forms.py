"""The rules as a Prometheus rule file, a PrometheusRule and Grafana's own alerts."""

from poolscope.alerts.rules import GROUP, Rule
from poolscope.alerts.settings import Settings, duration
from poolscope.alerts.yaml import Tree, dump

HEAD = """Alerts on httpx connection pools, for Prometheus 2.42 and later. Written by `poolscope export`."""


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
