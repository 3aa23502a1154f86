"""Check `ktc inspect --json` of the bundled model against its file: check_inspect.py JSON MODEL."""
import json
import os
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    seen = json.load(file)

assert seen["metadata"]["general.architecture"] == {"type": "str", "value": "deepseek2"}
assert seen["metadata"]["deepseek2.block_count"] == {"type": "u32", "value": 6}
tensors = {tensor["name"]: tensor for tensor in seen["tensors"]}
assert len(tensors) == len(seen["tensors"]) == 106
output = tensors["output.weight"]
assert (output["type"], output["shape"], output["bytes"]) == ("q6_k", [256, 4096], 860160), output

# Tensors lie behind the header, inside the file, and do not overlap.
end = 0
for tensor in sorted(seen["tensors"], key=lambda tensor: tensor["offset"]):
    assert tensor["offset"] >= end and tensor["offset"] % 32 == 0, tensor
    end = tensor["offset"] + tensor["bytes"]
assert end <= os.path.getsize(sys.argv[2])
