"""The alert rules, written from the contract's names and one table of thresholds and windows."""
