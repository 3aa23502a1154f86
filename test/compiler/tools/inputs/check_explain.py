"""Check the fields of `ktc explain --json`: check_explain.py FILE DEVICE..., the devices that must hold something."""
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    explained = json.load(file)

held = {}
for row in explained["placement"]:
    for field in ("path", "op", "device", "format", "rule"):
        assert isinstance(row[field], str) and row[field], (field, row)
    assert isinstance(row["bytes"], int) and row["bytes"] >= 0, row
    held[row["device"]] = held.get(row["device"], 0) + row["bytes"]
assert sorted(held) == sorted(sys.argv[2:]), sorted(held)
assert len({row["path"] for row in explained["placement"]}) == len(explained["placement"]), "a module stands there twice"

devices = {device["name"]: device for device in explained["devices"]}
for name, total in held.items():
    assert devices[name]["bytes"] == total, (name, total, devices[name])
    assert devices[name]["budget"] >= total, devices[name]

for field in ("decode_tokens_per_s", "prefill_tokens_per_s"):
    assert explained["predicted"][field] > 0, explained["predicted"]
