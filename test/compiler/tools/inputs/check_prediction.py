"""Check predictions of `ktc explain --json` from a schedule: check_prediction.py SHALLOW.json DEEP.json SLOW.json.

DEEP is for 3000 tokens in the cache, SLOW for memory that is read at 80 % of the speed.
"""
import json
import sys

shallow, deep, slow = (json.load(open(name, encoding="utf-8"))["predicted"] for name in sys.argv[1:])
steps = {(step["entry"], step["tokens"]): step for step in shallow["steps"]}
for tokens in (1, 2, 4, 8, 16):
    assert steps[f"decode_{tokens}", tokens]["seconds"] > 0
    assert steps[f"decode_{tokens}", tokens]["seconds_per_position"] > 0
assert ("prefill", 256) in steps and ("prefill", 64) in steps and ("head", 1) in steps, sorted(steps)
# A step is the sum of its families, and the rate its inverse.
total = sum(shallow["decode_families"].values())
assert abs(total * shallow["decode_tokens_per_s"] - 1) < 1e-6, total
assert abs(steps["decode_1", 1]["seconds"] - total) < 1e-9
# More tokens take longer, but less than one after the other.
times = [steps[f"decode_{tokens}", tokens]["seconds"] for tokens in (1, 2, 4, 8, 16)]
assert times == sorted(times) and times[-1] < 16 * times[0], times
for phase in ("decode", "prefill"):
    assert deep[f"{phase}_tokens_per_s"] < shallow[f"{phase}_tokens_per_s"]
line = steps["decode_1", 1]
assert abs(1 / deep["decode_tokens_per_s"] - line["seconds"] - 3000 * line["seconds_per_position"]) < 1e-6
# What reading takes is told apart from the rest.
for step in slow["steps"]:
    fast = steps[step["entry"], step["tokens"]]
    assert 0 <= fast["reading_seconds"] <= fast["seconds"], fast
    assert fast["seconds"] <= step["seconds"] <= fast["seconds"] / 0.8, (step, fast)
    # What computes for longer than it reads begins to wait for slower memory: only decoding just reads.
    if step["entry"].startswith("decode_"):
        expected = fast["seconds"] + fast["reading_seconds"] * (1 / 0.8 - 1)
        assert abs(step["seconds"] / expected - 1) < 0.02, (step, fast)
assert line["reading_seconds"] > 0.1 * line["seconds"], line
