"""Runs one scenario bare and wrapped, writes down everything a user could observe, and compares."""
