"""`tests/` is on the path (pytest puts it there): tests import `harness`, `transparency`."""
