"""Check rules that compilers do not: the dependency rule of the tree, and what the repository's text may not say.

Prints one line per violation and exits with 1 if there is any. Run by `./dev lint` and by continuous integration.
"""
import pathlib
import re
import subprocess
import sys

# Folder → patterns of includes that its files must not have.
FORBIDDEN = {
    "runtime/": r"(llvm|mlir|xbyak|yaml-cpp|compiler|dialects|templates)/",
    "templates/": r"(llvm|mlir|compiler|dialects)/|runtime/(?!abi/)",
    "dialects/": r"(compiler|templates|xbyak)/|runtime/(?!abi/)",
    "compiler/": r"runtime/(?!abi/|plan/)|test/",
}
# Paths of one machine. Written in pieces, so that this file does not match itself.
MACHINE_PATHS = re.compile("/ro" + r"ot/|/wo" + r"rk/|/ho" + r"me/\w")
LONGEST = 500  # lines of a source file


def tracked() -> list[str]:
    out = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout
    return [line for line in out.splitlines() if pathlib.Path(line).is_file()]


def check_file(name: str) -> list[str]:
    data = pathlib.Path(name).read_bytes()
    if b"\0" in data[:4096]:
        return []
    text = data.decode("utf-8", "replace")
    found = []
    if match := MACHINE_PATHS.search(text):
        found.append(f"{name}: names a path of one machine: {match.group()}")
    if not name.endswith((".cpp", ".h", ".hpp")):
        return found
    for folder, pattern in FORBIDDEN.items():
        if name.startswith(folder):
            for include in re.findall(r'#include [<"]([^>"]+)', text):
                if re.match(pattern, include):
                    found.append(f"{name}: must not include {include}")
    if not text.startswith(("//", "/*")):
        found.append(f"{name}: does not begin with a comment that says what it is for")
    if text.count("\n") > LONGEST:
        found.append(f"{name}: {text.count(chr(10))} lines, more than {LONGEST}")
    return found


def main() -> int:
    found = [line for name in tracked() for line in check_file(name)]
    print("\n".join(found) if found else "lint: no violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
