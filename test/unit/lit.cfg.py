# Unit tests: the GoogleTest programs of one build, a lit test per test case.
import os

import lit.formats

config.name = "unit"
config.test_format = lit.formats.GoogleTest("", "_test")
config.suffixes = []
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = os.path.abspath(lit_config.params.get("build", os.path.join(root, "build")))
config.test_source_root = config.test_exec_root = os.path.join(build, "bin", "tests")
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
