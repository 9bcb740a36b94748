"""All scenarios by name. A scenario is an async function of its run, in a module `scenarios_*`."""

import inspect

from transparency import scenarios_answers, scenarios_closing, scenarios_failures, scenarios_roads, scenarios_upgrades

_MODULES = (scenarios_answers, scenarios_closing, scenarios_failures, scenarios_roads, scenarios_upgrades)

SCENARIOS = {
    name: function
    for module in _MODULES
    for name, function in vars(module).items()
    if inspect.iscoroutinefunction(function) and not name.startswith("_")
}
