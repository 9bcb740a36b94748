"""Turns what a pool counted into advice: verdicts, leaks, findings.

It reads events, readings and snapshots, never the pool, and nothing below it knows of it.
"""
