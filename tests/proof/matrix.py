"""Runs the transports' and sinks' tests with each combination of versions that users may have.

`python tests/proof/matrix.py [NAME...]` runs the combinations whose name holds one of these words, all of them without
one; it writes matrix.json beside this file, with the hash of the sources that each result stands for, and the table in
docs/compatibility.md. One environment serves all, so a combination costs an install and half a minute of tests.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from proof.page import fill

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".cache/matrix"
RESULT = Path(__file__).with_name("matrix.json")
PAGE = ROOT / "docs/compatibility.md"
TESTS = ("moments", "close_reasons", "faults", "sinks", "sinks_equal", "state_machine")
TOOLS = ("anyio", "gunicorn", "hypercorn", "hypothesis", "pproxy", "pytest", "pytest-timeout", "pytest-xdist", "trio")
NEWEST = {"opentelemetry-sdk": "", "opentelemetry-exporter-prometheus": "", "prometheus-client": ""}
OLDEST = {
    "opentelemetry-api": "==1.30.0",
    "opentelemetry-sdk": "==1.30.0",
    "opentelemetry-exporter-prometheus": "==0.51b0",
    "prometheus-client": "==0.20.0",
}
# What the older ones had not yet: private names that two tests reach for, the fault of the keep-alive limit, safety
# among threads, a mapping of TLS failures; and httpx2 began with the re-queues of httpcore 1.x. In 1.0.2 alone the pool
# timeout is a deadline (bare as well, 28 of 70 requests), which it is neither before nor after.
_EARLY = "nobody_closed or never_exceed_the_limit or keepalive_limit_throws or tls_failure or (under_load and sync)"
LACKS = {
    "1.0.0": _EARLY,
    "1.0.2": f"{_EARLY} or is_no_deadline",
    "1.0.5": "tls_failure",
    "1.0.7": "tls_failure",
    "==2.0.0": "requeue_churn",
}


@dataclass(frozen=True)
class Combination:
    """Versions that stand together. flavour: whose tests run. lacks: which tests ask for what these have not."""

    flavour: str
    versions: tuple[tuple[str, str], ...]
    lacks: str = ""

    @property
    def name(self) -> str:
        return ", ".join(f"{package} {version.lstrip('=') or 'newest'}" for package, version in self.versions)


def combinations() -> list[Combination]:
    """Give each pair of httpx and httpcore, httpx2 oldest to newest, and the telemetry's oldest and newest."""
    pairs = [
        Combination("httpx", (("httpx", f"=={http}"), ("httpcore", f"=={core}")), LACKS.get(core, ""))
        for http in ("0.25.2", "0.26.0", "0.27.2", "0.28.1")
        for core in ("1.0.0", "1.0.2", "1.0.5", "1.0.7", "1.0.9")
    ]
    newer = [Combination("httpx2", (("httpx2", version),), LACKS.get(version, "")) for version in ("==2.0.0", "")]
    telemetry = [Combination("httpx", tuple(which.items())) for which in (OLDEST, NEWEST)]
    return [*pairs, *newer, *telemetry]


def sources() -> str:
    """Hash what these tests are about: the transports and the sinks, with the core below them."""
    home, digest = ROOT / "src/poolscope", hashlib.sha256()
    for path in sorted([*home.glob("*.py"), *home.glob("sinks/*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def install(*what: str) -> None:
    command = [PLACE / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    subprocess.run(command, check=True)


def run(one: Combination) -> str:
    """Run the tests with one combination; give pytest's last line."""
    extras = [f"{name}[http2,socks]{version}" for name, version in one.versions if name in ("httpx", "httpx2")]
    others = [f"{name}{version}" for name, version in one.versions if name not in ("httpx", "httpx2")]
    rest = [f"{name}{version}" for name, version in NEWEST.items() if name not in dict(one.versions)]
    given = extras or ["httpx[http2,socks]"]
    install("--upgrade", *given, *others, *rest)
    files = [str(ROOT / f"tests/test_{name}.py") for name in TESTS]
    chosen = ["-k", f"not ({one.lacks})"] if one.lacks else []
    command = [PLACE / "bin/python", "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *files, *chosen]
    environment = {**os.environ, "TEST_FLAVOURS": one.flavour}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    sys.stdout.write("".join(f"  {line}\n" for line in failed))
    return re.sub(r" in [\d.]+s.*", "", lines[-1])


def passed(said: str) -> bool:
    """Say whether pytest's last line tells of nothing but what passed or was skipped."""
    return re.fullmatch(r"\d+ passed(, \d+ skipped)?", said) is not None


def table(results: dict[str, dict[str, str]]) -> str:
    """Write what is known: a row for each combination, in order; what was not run says so."""
    now = sources()
    lines = ["| versions | tests |", "|---|---|"]
    for one in combinations():
        known = results.get(one.name)
        said = "not run" if known is None else known["said"] + ("" if known["sources"] == now else ", on older sources")
        lines.append(f"| {one.name} | {said} |")
    return "\n".join(lines) + "\n"


def wrong(results: dict[str, dict[str, str]], now: str) -> list[str]:
    """Say which combinations were not run on the sources of this hash, or failed there."""
    found = []
    for one in combinations():
        known = results.get(one.name, {"said": "never run", "sources": now})
        if known["sources"] != now:
            found.append(f"{one.name}: run on older sources")
        elif not passed(known["said"]):
            found.append(f"{one.name}: {known['said']}")
    return found


def main(*words: str) -> int:
    """Run what was asked for; exit status 1 where a test failed."""
    venv.create(PLACE, clear=True, with_pip=True)  # one that was stopped in the middle of an install is of no use
    install("--editable", f"{ROOT}[httpx2,otel,cli]", "httpx[http2,socks]", "httpx2[http2,socks]", *TOOLS, "trustme")
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    failed = 0
    for one in combinations():
        if not words or any(word in one.name for word in words):
            before = sources()
            said = run(one)
            failed += not passed(said)
            results[one.name] = {"said": said, "sources": before}
            sys.stdout.write(f"{one.name}: {said}\n")
            sys.stdout.flush()
            RESULT.write_text(json.dumps(results, indent=2) + "\n")
    fill(PAGE, "matrix", table(results))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
