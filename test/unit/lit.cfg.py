# Unit tests: the GoogleTest programs of one build, a lit test per test case.
import glob
import os

import lit.formats

config.name = "unit"
config.test_format = lit.formats.GoogleTest("", "_test")
config.suffixes = []
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = os.path.abspath(lit_config.params.get("build", os.path.join(root, "build")))
config.test_source_root = config.test_exec_root = os.path.join(build, "bin", "tests")
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "KT_CUDA_COMPILE_ONLY"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

# As in test/lit.cfg.py.
nvrtc = glob.glob(os.path.join(root, ".venv", "lib", "python3*", "site-packages", "nvidia", "*", "lib", "libnvrtc.so.1?"))
nvrtc = os.environ.get("KTC_NVRTC") or next(iter(nvrtc), None)
if nvrtc:
    config.environment["KTC_NVRTC"] = nvrtc
config.environment["KTC_CUDA_CACHE"] = os.environ.get("KTC_CUDA_CACHE", os.path.join(build, "cuda-cache"))
