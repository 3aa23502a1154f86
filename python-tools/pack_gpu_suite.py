"""Pack the part of the suite that needs a GPU, for a machine that has only Python and a driver.

    pack_gpu_suite.py FILE.tar.xz [--build FOLDER] [--cache FOLDER]

Inside are stripped programs and kernel tests of the build, the bundled model, the golden models and their tests, lit, and `run`
(run_gpu_suite.py), which runs everything. --cache takes compiled kernels along (a KTC_CUDA_CACHE); without NVRTC on the other
machine they must be all. System libraries other than those of C++ and C are packed, too.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAMS = ["ktc", "ktrt", "kt-cuda"]
TOOLS = ["compare_logits.py", "check_gpu.py", "check_perplexity.py"]
# Libraries that every machine has.
COMMON = re.compile(r"ld-linux|linux-vdso|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+)\.so")
LIMIT = 35 << 20  # bytes that such a pack should stay below


def strip(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    subprocess.run(["strip", "-o", target, source], check=True)


def libraries(program):
    """Paths of the shared libraries that a program needs beyond the common ones."""
    lines = subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
    return [path for path in re.findall(r"=> (/\S+)", lines) if not COMMON.search(os.path.basename(path))]


def tests(build):
    found = glob.glob(os.path.join(build, "bin", "tests", "cuda_*_test")) + \
        glob.glob(os.path.join(build, "bin", "tests", "real_gpu_test"))
    return [path for path in found if os.path.basename(path) != "cuda_layout_test"]


def stage(folder, build, cache):
    """Puts together what will be packed; a copy of the repository's layout, so that paths in tests hold."""
    for name in PROGRAMS:
        strip(os.path.join(build, "bin", name), os.path.join(folder, "build", "bin", name))
    for path in tests(build):
        strip(path, os.path.join(folder, "build", "bin", "tests", os.path.basename(path)))
    os.makedirs(os.path.join(folder, "lib"))
    for path in {path for name in PROGRAMS for path in libraries(os.path.join(build, "bin", name))}:
        shutil.copy(path, os.path.join(folder, "lib"))
    with open(os.path.join(folder, "build", "CMakeCache.txt"), "w", encoding="ascii") as file:
        file.write("KT_SANITIZE:STRING=\n")
    ignore = shutil.ignore_patterns("__pycache__", "*.ktp", "golden.f16")
    for part in ("test/golden", "test/models", "templates/rules"):
        shutil.copytree(os.path.join(ROOT, part), os.path.join(folder, part), ignore=ignore)
    shutil.copy(os.path.join(ROOT, "test", "lit.cfg.py"), os.path.join(folder, "test"))
    os.makedirs(os.path.join(folder, "python-tools"))
    for name in TOOLS:
        shutil.copy(os.path.join(ROOT, "python-tools", name), os.path.join(folder, "python-tools"))
    shutil.copy(os.path.join(ROOT, "python-tools", "run_gpu_suite.py"), os.path.join(folder, "run"))
    import lit
    shutil.copytree(os.path.dirname(lit.__file__), os.path.join(folder, "lit-package", "lit"), ignore=ignore)
    if cache:
        shutil.copytree(cache, os.path.join(folder, "build", "cuda-cache"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--cache")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stage(folder, args.build, args.cache)
        with tarfile.open(args.file, "w:xz", preset=3) as archive:
            archive.add(folder, "gpu-suite")
    size = os.path.getsize(args.file)
    print(f"{args.file}: {size / 2**20:.1f} MiB; unpack it and start gpu-suite/run")
    if size > LIMIT:
        print(f"pack_gpu_suite: more than {LIMIT >> 20} MiB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
