#!/usr/bin/env python3
"""Run the packed GPU part of the suite (pack_gpu_suite.py) on a machine with a GPU; it becomes `run` in the pack.

    run [-j N] [--filter TEXT] [--sanitizer] [--tools NAMES]

Kernel tests run in shards side by side, all with one cache of compiled kernels (build/cuda-cache, or KTC_CUDA_CACHE), then the golden
tests with lit. NVRTC is that of KTC_NVRTC or of a CUDA toolkit; without it, kernels must be in the cache. KT_TINY_BOOKS adds the
other quantisations. --sanitizer runs some cases of the kernel tests and short replays under compute-sanitizer instead, by the tools
--tools (memcheck,racecheck,synccheck; initcheck is the fourth), in about four minutes. Where the machine does not let it debug the GPU
it says so, and everything counts as skipped. Failures are printed in full; the last line counts: "N passed, N failed, N skipped".
"""
import argparse
import concurrent.futures
import glob
import json
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(ROOT, "build")
OUT = os.path.join(BUILD, "results")
MODEL = os.path.join(ROOT, "test", "models", "tiny-books", "tiny-books-Q4_K_M.gguf")
SHARDS = {"cuda_linear_test": 8, "cuda_experts_test": 8, "cuda_cuda_attention_test": 4}  # of programs with many kernels
# What the sanitizer sees, since it makes everything 10 to 100 times slower: a few formats, of which every fifth case of the sweeps.
SANITIZED = {
    "cuda_linear_test": "*/q4_k:*/q6_k:*/f16:*/f32:*/mxfp4",
    "cuda_linear_group_test": "*",
    "cuda_experts_test": "*/q4_k:*/q8_0:*/mxfp4:CudaSlotSum.*:CudaMixedFormats.*",
    "cuda_cuda_attention_test": "CudaAttention.*",
    "cuda_attention_up_test": "CudaAttentionUp.*",
    "cuda_cuda_prepare_test": "CudaPrepare.*",
    "cuda_cuda_router_test": "CudaRouter.*",
    "cuda_cuda_rows_test": "CudaRows.*",
    "cuda_cuda_copy_rows_test": "*",
    "cuda_add_test": "CudaAdd.*",
    "cuda_embed_test": "*/q4_k:*/f16",
}
SANITIZED_EVERY = "5"
# Short replays. Not under memcheck: hybrid ones, which do not end, since launches then wait for kernels that wait for the CPU. Not under
# racecheck: the GPU alone, whose prompt takes longer than lanes wait for each other.
HYBRID = os.path.join(ROOT, "templates", "rules", "deepseek.yaml")
GPU_ONLY = os.path.join(ROOT, "test", "golden", "inputs", "gpu.yaml")
REPLAYS = {"memcheck": [GPU_ONLY], "racecheck": [HYBRID], "synccheck": [HYBRID, GPU_ONLY], "initcheck": [GPU_ONLY]}
# What it says where it cannot work: some virtual machines have no access to what a debugger needs.
UNSUPPORTED = ("Device not supported", "not supported on this device", "Unable to initialize")


class Counts:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def fail(self, name, output):
        self.failed += 1
        middle = "\n[…]\n" if len(output) > 8000 else ""
        print(f"failed: {name}\n{output[:6000]}{middle}{output[max(6000, len(output) - 2000):]}", flush=True)


def environment():
    env = dict(os.environ)
    env["PATH"] = os.path.join(BUILD, "bin") + os.pathsep + env.get("PATH", "")
    env["LD_LIBRARY_PATH"] = os.path.join(ROOT, "lib") + os.pathsep + env.get("LD_LIBRARY_PATH", "")
    env["PYTHONPATH"] = os.path.join(ROOT, "lit-package")
    env.setdefault("KTC_CUDA_CACHE", os.path.join(BUILD, "cuda-cache"))
    if "KTC_NVRTC" not in env:
        found = sorted(glob.glob("/usr/local/cuda*/targets/x86_64-linux/lib/libnvrtc.so.1[23]") +
                       glob.glob("/usr/local/cuda*/lib64/libnvrtc.so.1[23]"))
        if found:
            env["KTC_NVRTC"] = found[-1]
    return env


def run(command, env, limit):
    """Exit code (None if it took longer than `limit` seconds) and output."""
    try:
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit)
        return done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode(errors="replace") + f"\nstill running after {limit} s"


def unit_test(program, shard, shards, env, prefix=(), test_filter="*", limit=900):
    """One shard of a GoogleTest program: its name, exit code, output, and the numbers of its JSON report."""
    name = os.path.basename(program)
    report = os.path.join(OUT, f"{name}.{shard}.{len(prefix) and prefix[2]}.json")
    env = dict(env, GTEST_TOTAL_SHARDS=str(shards), GTEST_SHARD_INDEX=str(shard), GTEST_OUTPUT="json:" + report)
    code, output = run([*prefix, program, "--gtest_brief=1", "--gtest_filter=" + test_filter], env, limit)
    label = f"{' '.join(prefix[1:3])} {name}".strip() + (f" {shard}/{shards}" if shards > 1 else "")
    try:
        with open(report, encoding="utf-8") as file:
            found = json.load(file)
        tests = [test for suite in found["testsuites"] for test in suite["testsuite"]]
    except (OSError, ValueError):
        return label, code, output, 0, 0, 0
    failed = sum("failures" in test for test in tests)
    # What compute-sanitizer says when there was nothing to do for the GPU.
    if failed == 0 and "terminated before first instrumented API call" in output:
        code = 0
    skipped = sum(test.get("result") == "SKIPPED" for test in tests)
    return label, code, output, len(tests) - failed - skipped, failed, skipped


def gather(results, counts):
    for future in concurrent.futures.as_completed(results):
        label, code, output, passed, failed, skipped = future.result()
        counts.passed += passed
        counts.skipped += skipped
        if failed or code != 0:
            counts.failed += max(failed, 1) - 1
            counts.fail(f"{label} (exit code {code})", output)
        print(f"{time.strftime('%T')} {label}: {passed} passed, {failed} failed, {skipped} skipped", flush=True)


def programs(text):
    found = sorted(glob.glob(os.path.join(BUILD, "bin", "tests", "*_test")))
    return [path for path in found if text in os.path.basename(path)]


def whole_suite(args, env, counts):
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        gather([pool.submit(unit_test, path, shard, shards, env)
                for path in programs(args.filter)
                for shards in [SHARDS.get(os.path.basename(path), 1)] for shard in range(shards)], counts)
    report = os.path.join(OUT, "lit.json")
    code, output = run([sys.executable, "-c", "from lit.main import main; main()", "-j", str(args.jobs), "-v", "-Dbuild=" + BUILD, "-o", report, "--allow-empty-runs", "--filter",
                        "gpu.*" + args.filter, os.path.join(ROOT, "test", "golden")], env, 1500)
    print(output, flush=True)
    try:
        with open(report, encoding="utf-8") as file:
            codes = [test["code"] for test in json.load(file)["tests"]]
    except (OSError, ValueError):
        counts.fail(f"lit (exit code {code})", output)
        return
    codes = [code for code in codes if code != "EXCLUDED"]
    passed, skipped = codes.count("PASS"), codes.count("UNSUPPORTED")
    counts.passed += passed
    counts.skipped += skipped
    counts.failed += len(codes) - passed - skipped


def sanitizer():
    found = shutil.which("compute-sanitizer") or next(iter(sorted(
        glob.glob("/usr/local/cuda*/bin/compute-sanitizer") +
        glob.glob("/usr/local/cuda*/compute-sanitizer/compute-sanitizer"))), None)
    if not found:
        sys.exit("run: compute-sanitizer was not found; it is part of the CUDA toolkit")
    return found


def sanitized_replay(tool, program, rules, env):
    """A prompt of a few tokens and two decoded ones."""
    name = os.path.splitext(os.path.basename(rules))[0]
    plan = os.path.join(OUT, f"{name}-{tool}.ktp")
    code, output = run(["ktc", "compile", MODEL, "--gpu", "native", "--rules", rules, "-o", plan], env, 120)
    if code == 0:
        code, output = run([program, "--tool", tool, "--error-exitcode", "9", "ktrt", "run", plan, "-p", "Once upon a time",
                            "-n", "2", "--temp", "0"], env, 170)
    return f"{tool} replay {name}", code, output, int(code == 0), int(code != 0), 0


def sanitizer_refuses(program, env):
    """What compute-sanitizer says where it cannot work on this machine; None where it can."""
    test = os.path.join(BUILD, "bin", "tests", "cuda_add_test")
    _, output = run([program, "--tool", "memcheck", test, "--gtest_brief=1"], env, 120)
    return next((line.strip() for line in output.splitlines() if any(text in line for text in UNSUPPORTED)), None)


def under_sanitizer(args, env, counts):
    program = sanitizer()
    env = dict(env, KT_CUDA_EXACT="1", KT_CUDA_EVERY=SANITIZED_EVERY)
    tools = args.tools.split(",")
    tests = [path for path in programs(args.filter) if os.path.basename(path) in SANITIZED]
    refusal = sanitizer_refuses(program, env)
    if refusal:
        print(f"compute-sanitizer cannot work on this machine: {refusal}")
        counts.skipped += len(tools) * len(tests)
        return
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        results = []
        for tool in tools:
            prefix = (program, "--tool", tool, "--error-exitcode", "9")
            results += [pool.submit(unit_test, path, shard, shards, env, prefix, SANITIZED[name], 200)
                        for path in tests for name in [os.path.basename(path)]
                        for shards in [SHARDS.get(name, 1)] for shard in range(shards)]
        gather(results, counts)
    # Alone on the machine: lanes wait only so long for each other.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        gather([pool.submit(sanitized_replay, tool, program, one, env)
                for tool in tools for one in REPLAYS.get(tool, []) if not args.filter], counts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--filter", default="", help="only tests whose name contains this")
    parser.add_argument("--sanitizer", action="store_true")
    parser.add_argument("--tools", default="memcheck,racecheck,synccheck", help="of compute-sanitizer")
    args = parser.parse_args()
    os.makedirs(OUT, exist_ok=True)
    env, counts = environment(), Counts()
    os.makedirs(env["KTC_CUDA_CACHE"], exist_ok=True)
    (under_sanitizer if args.sanitizer else whole_suite)(args, env, counts)
    print(f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped")
    return 1 if counts.failed or not (counts.passed or (args.sanitizer and counts.skipped)) else 0


if __name__ == "__main__":
    sys.exit(main())
