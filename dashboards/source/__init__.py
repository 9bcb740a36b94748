"""The code that builds the committed dashboards and rule files: `python -m dashboards.source`."""
