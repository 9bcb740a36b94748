"""`python -m poolscope.cli` is `poolscope`."""

import sys

from poolscope.cli import main

if __name__ == "__main__":
    sys.exit(main())
