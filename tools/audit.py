"""Ask an advisory database about every package of requirements.lock, by pip-audit: `make audit`.

    audit.py PIP_AUDIT

pip-audit says "no known vulnerabilities" also where its database knew none of the packages. So its report is
read, and what could not be asked about is told. Exit status: 0 nothing is known of any; 1 something is; 2 not
every package could be asked about.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"
# One database after another may take its time for some hundred packages.
TIMEOUT_S = 600


def main(program: str) -> int:
    """Return the exit status."""
    asked = subprocess.run(
        [
            program, "--requirement", str(LOCK), "--disable-pip", "--require-hashes",
            "--format", "json", "--progress-spinner", "off",
        ],
        check=False, capture_output=True, text=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    try:
        packages: list[dict[str, Any]] = json.loads(asked.stdout)["dependencies"]
    except ValueError:
        reason = (asked.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"audit: no advisory database could be asked: {reason}", file=sys.stderr)
        return 2
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    found = [each for each in packages if each.get("vulns")]
    for each in found:
        for advisory in each["vulns"]:
            mended = ", ".join(advisory["fix_versions"]) or "no version so far"
            print(f"{each['name']} {each['version']}: {advisory['id']}, mended in {mended}")
    if unknown:
        which = "any package" if len(unknown) == len(packages) else ", ".join(unknown)
        print(f"audit: no advisory database could be asked about {which}", file=sys.stderr)
    asked_about = len(packages) - len(unknown)
    print(f"audit: {asked_about} of {len(packages)} packages asked about, {len(found)} affected")
    return 1 if found else 2 if unknown or not packages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
