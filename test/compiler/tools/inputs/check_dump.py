"""Check that a folder of --dump-kernels is the code of a plan: check_dump.py PLAN TEXT FOLDER ISA (TEXT: `ktrt dump PLAN`)."""
import re
import sys
from pathlib import Path

plan = Path(sys.argv[1]).read_bytes()
text = Path(sys.argv[2]).read_text()
folder, isa = Path(sys.argv[3]), sys.argv[4]

sections = {int(i): int(offset, 16) for i, offset in re.findall(r"^section\[(\d+)\] code offset (0x[0-9a-f]+)", text, re.M)}
variants = re.findall(rf"^  {isa} section\[(\d+)\]\+(0x[0-9a-f]+) bytes (\d+)", text, re.M)
in_plan = set()
for section, offset, size in variants:
    start = sections[int(section)] + int(offset, 16)
    in_plan.add(plan[start:start + int(size)].rstrip(b"\0"))
dumped = {path.name: path.read_bytes().rstrip(b"\0") for path in folder.glob(f"*.{isa}.bin")}

assert variants and len(dumped) == len(variants), (len(dumped), len(variants))
assert all(path.with_suffix(".asm").stat().st_size > 0 for path in folder.glob("*.bin"))
strangers = [name for name, code in dumped.items() if code not in in_plan]
assert not strangers, strangers
