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
read = report["read_bandwidth_range"]
assert 0 < read["min"] <= report["read_bandwidth"] <= read["max"], read
shares, decode = report["share_of_bound_range"], report["decode"]["tokens_per_s"]
assert shares["min"] <= report["share_of_bound"] <= shares["max"], shares
assert shares["min"] >= decode["min"] * report["bytes_per_token"] / read["max"] * (1 - 1e-9)
assert shares["max"] <= decode["max"] * report["bytes_per_token"] / read["min"] * (1 + 1e-9)
for kind in ("prefill", "decode"):
    assert report[f"predicted_{kind}_tokens_per_s"] > 0, kind
assert report["predicted_decode_at_read_bandwidth"] > 0
assert report["threads"] >= 1
assert report["isa"] in ("avx2", "avx2vnni", "avx512", "amx"), report["isa"]
assert report["devices"] == ["cpu"], report["devices"]
assert report["commit"]
