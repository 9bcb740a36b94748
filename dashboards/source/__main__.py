"""Write every committed artefact: `python -m dashboards.source` (with `--check`: say what differs and fail)."""

import sys

from .build import ROOT, artefacts

if __name__ == "__main__":
    stale = []
    for path, text in artefacts().items():
        file = ROOT / path
        if not file.exists() or file.read_text() != text:
            stale.append(path)
            if "--check" not in sys.argv:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
    for path in stale:
        print(("differs: " if "--check" in sys.argv else "written: ") + path)
    sys.exit(1 if stale and "--check" in sys.argv else 0)
