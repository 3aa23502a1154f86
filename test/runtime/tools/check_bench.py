"""Checks a report of `ktrt bench --json`: the fields are there, and the numbers fit together."""

import json
import math
import sys

with open(sys.argv[1]) as file:
    report = json.load(file)

for kind in ("prefill", "decode"):
    rate = report[kind]["tokens_per_s"]
    assert 0 < rate["min"] <= rate["median"] <= rate["max"], rate
assert report["bytes_per_token"] > 0
assert report["read_bandwidth"] > 1e8
bound = report["read_bandwidth"] / report["bytes_per_token"]
assert math.isclose(report["bound_tokens_per_s"], bound, rel_tol=1e-9)
share = report["decode"]["tokens_per_s"]["median"] / bound
assert math.isclose(report["share_of_bound"], share, rel_tol=1e-9)
for kind in ("prefill", "decode"):
    assert report[f"predicted_{kind}_tokens_per_s"] > 0, kind
assert report["threads"] >= 1
assert report["isa"] in ("avx2", "avx2vnni", "avx512", "amx"), report["isa"]
assert report["devices"] == ["cpu"], report["devices"]
assert report["commit"]
