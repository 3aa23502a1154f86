"""List the generated kernels with what their code consists of, so that a change of any generator's code shows in a test.

Usage: kernel_listing.py --isa avx2|avx2vnni|avx512|amx [--kt-kernel PROGRAM] [--llvm-mc PROGRAM]
       kernel_listing.py --isa ... --update FILE.test

Prints one line per kernel of `kt-kernel --listing`: its name, sizes and hash, the number of instructions and the most
frequent mnemonics, from one run of llvm-mc over all kernels. With --update it rewrites the expected lines of the
FileCheck test instead; the lines in front of the first check stay.
"""
import argparse
import collections
import re
import subprocess
import sys
from pathlib import Path

# The extensions that each level allows, and no others: anything else disassembles to a warning.
FEATURES = {
    "avx2": ["--mattr=+avx2,+fma,+f16c,+bmi,+bmi2"],
    "avx2vnni": ["--mattr=+avx2,+fma,+f16c,+bmi,+bmi2,+avxvnni"],
    "avx512": ["--mcpu=icelake-server"],
    "amx": ["--mcpu=sapphirerapids"],
}
SEPARATOR = "ud2"  # between kernels; no kernel contains it
SEPARATOR_BYTES = "0x0f 0x0b\n"
FREQUENT = 6


def run(command, text=None):
    """What the command prints; ends with its first complaint, if it has any."""
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode != 0 or done.stderr:
        sys.exit(f"{command[0]}: exit code {done.returncode}: {done.stderr.splitlines()[:1]}")
    return done.stdout


def kernels(program, isa):
    """The catalogue as (heading, text of the code's bytes)."""
    headings, codes = [], []
    for line in run([program, "--isa", isa, "--listing"]).splitlines(keepends=True):
        if line.startswith("0x"):
            codes[-1].append(line)
        else:
            headings.append(line.rstrip("\n"))
            codes.append([])
    return headings, ["".join(code) for code in codes]


def mnemonics(program, isa, codes):
    """The mnemonics of each code, in order."""
    command = [program, "--disassemble", "--triple=x86_64", "--output-asm-variant=1", *FEATURES[isa]]
    text = "".join(code + SEPARATOR_BYTES for code in codes)
    lists = [[]]
    for line in run(command, text).splitlines():
        # A prefix that llvm-mc prints as a word of its own ({vex}) belongs to what follows it.
        found = re.match(r"\s+((?:\{\w+\}\s+)?[a-z]\w*)", line)
        if not found:
            continue
        if found.group(1) == SEPARATOR:
            lists.append([])
        else:
            lists[-1].append(found.group(1).replace("\t", " "))
    if len(lists) != len(codes) + 1 or lists[-1]:
        sys.exit(f"{len(codes)} kernels disassembled to {len(lists) - 1} pieces")
    return lists[:-1]


def listing(arguments):
    headings, codes = kernels(arguments.kt_kernel, arguments.isa)
    lines = []
    for heading, names in zip(headings, mnemonics(arguments.llvm_mc, arguments.isa, codes)):
        counts = collections.Counter(names)
        frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT]
        lines.append(f"{heading} instructions={len(names)} " + " ".join(f"{name}:{count}" for name, count in frequent))
    lines.append(f"{len(headings)} kernels")
    return lines


def update(path, lines):
    """Replace the checks of a test by `lines`."""
    kept = [line for line in path.read_text().splitlines() if not line.startswith("CHECK")]
    while kept and not kept[-1]:
        kept.pop()
    checks = [("CHECK: " if i == 0 else "CHECK-NEXT: ") + line for i, line in enumerate(lines)]
    path.write_text("\n".join(kept + [""] + checks) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isa", choices=FEATURES, required=True)
    parser.add_argument("--kt-kernel", default="kt-kernel")
    parser.add_argument("--llvm-mc", default="llvm-mc")
    parser.add_argument("--update", type=Path, metavar="FILE.test")
    arguments = parser.parse_args()
    lines = listing(arguments)
    if arguments.update:
        update(arguments.update, lines)
    else:
        print("\n".join(lines))


if __name__ == "__main__":
    main()
