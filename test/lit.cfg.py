# The suite: .test and .mlir files beside the sources they test, run against the programs of one build.
#
# Run it with `./dev test`, or by hand: lit -Dbuild=BUILD_FOLDER test
import ctypes
import glob
import os
import subprocess
import sys

import lit.formats

config.name = "ktc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".test", ".mlir"]
config.excludes = ["models", "inputs", "support", "unit"]
config.test_source_root = os.path.dirname(__file__)

root = os.path.dirname(config.test_source_root)
build = os.path.abspath(lit_config.params.get("build", os.path.join(root, "build")))
config.test_exec_root = os.path.join(build, "test-output")

llvm = lit_config.params.get("llvm", "/usr/lib/llvm-19")
config.environment["PATH"] = os.pathsep.join(
    [os.path.join(build, "bin"), os.path.join(llvm, "bin"), os.environ.get("PATH", "")]
)
for name in ("KT_TINY_BOOKS", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "ASAN_OPTIONS", "UBSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

config.substitutions += [
    ("%python", sys.executable),
    ("%{python-tools}", os.path.join(root, "python-tools")),
    ("%{rules}", os.path.join(root, "templates", "rules")),
    ("%{root}", root),
    ("%{test-root}", config.test_source_root),
    ("%{build}", build),
]

# What this machine can run.
with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
    flags = set(next((line for line in cpuinfo if line.startswith("flags")), "").split())
isa_flags = {
    "avx2": {"avx2", "fma", "f16c", "bmi2"},
    "avx2vnni": {"avx2", "avx_vnni"},
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"},
    "amx": {"amx_tile", "amx_int8", "amx_bf16"},
}
for feature, needed in isa_flags.items():
    if needed <= flags:
        config.available_features.add(feature)

# Where GPU kernels are compiled and kept: NVRTC of the environment, else the one that ./dev setup installs.
nvrtc = glob.glob(os.path.join(root, ".venv", "lib", "python3*", "site-packages", "nvidia", "*", "lib", "libnvrtc.so.1?"))
nvrtc = os.environ.get("KTC_NVRTC") or next(iter(nvrtc), None)
if nvrtc:
    config.environment["KTC_NVRTC"] = nvrtc
    config.available_features.add("nvrtc")
kernels = os.environ.get("KTC_CUDA_CACHE", os.path.join(build, "cuda-cache"))
config.environment["KTC_CUDA_CACHE"] = kernels


def gpus():
    """Number of GPUs that the CUDA driver finds."""
    try:
        driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
        return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0
    except OSError:
        return 0


# Tests that run on a GPU also need code for it: something that compiles kernels, or kernels that were brought along.
if gpus() and (nvrtc or (os.path.isdir(kernels) and os.listdir(kernels))):
    config.available_features.add("cuda")

with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as cache:
    if any(line.startswith("KT_SANITIZE:") and line.strip()[-1] != "=" for line in cache):
        config.available_features.add("sanitizers")

# The bundled model as a plan, compiled once for all tests that only want something to run.
ktc = os.path.join(build, "bin", "ktc")
model = os.path.join(config.test_source_root, "models", "tiny-books", "tiny-books-Q4_K_M.gguf")
plan = os.path.join(config.test_exec_root, "tiny-books.ktp")
if not os.path.exists(plan) or os.path.getmtime(plan) < os.path.getmtime(ktc):
    os.makedirs(config.test_exec_root, exist_ok=True)
    done = subprocess.run([ktc, "compile", model, "--rules", "cpu", "-o", plan], capture_output=True, text=True)
    if done.returncode != 0:
        lit_config.warning("the bundled model does not compile: " + done.stderr)
config.substitutions.append(("%{tiny-plan}", plan))
