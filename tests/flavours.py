"""The flavours that are tested: both, or those that TEST_FLAVOURS names, for an environment that has no other."""

import os

FLAVOURS = tuple(os.environ.get("TEST_FLAVOURS", "httpx httpx2").split())
