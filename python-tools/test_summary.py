"""Print the counts of a lit result file as one line: "N passed, N failed, N skipped".

Usage: test_summary.py RESULTS.json. Exits with 1 if a test failed or none ran. Tests that this machine cannot run (no
GPU, no AMX, model files that are not bundled) are listed, so that what was skipped is visible.
"""
import collections
import json
import sys

GOOD = {"PASS", "XFAIL", "FLAKYPASS"}
SKIPPED = {"UNSUPPORTED", "SKIPPED", "EXCLUDED"}


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        tests = json.load(file)["tests"]
    counts = collections.Counter()
    for test in tests:
        kind = "passed" if test["code"] in GOOD else "skipped" if test["code"] in SKIPPED else "failed"
        counts[kind] += 1
        if kind != "passed":
            print(f"{test['code'].lower()}: {test['name']}")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
