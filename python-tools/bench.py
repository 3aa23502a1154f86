"""Measure decode and prefill rates of models, optionally beside another engine's llama-bench on the same files.

Usage: bench.py [--build DIR] [--model FILE.gguf …] [--peer LLAMA_BENCH] [--rounds N] [-p 512] [-n 64] [--threads N]
                [--cpu native] [--out RESULT.json]

Without --model the bundled model is measured. The engines run in alternation, so that a machine whose speed drifts treats
both alike; the ratio is taken round by round. Prints a table and, with --out, writes everything with machine and commit as JSON.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def ours(args, plan: str) -> dict:
    command = [f"{args.build}/bin/ktrt", "bench", plan, "-p", str(args.p), "-n", str(args.n), "-r", "1", "--json"]
    if args.threads:
        command += ["--threads", str(args.threads)]
    return json.loads(run(command))


def peer(args, model: str, threads: int) -> dict:
    """One run of a llama-bench program: its JSON output has one object per test with avg_ts in tokens/s."""
    command = [args.peer, "-m", model, "-p", str(args.p), "-n", str(args.n), "-t", str(threads), "-r", "1", "-o", "json"]
    rates = {"decode": 0.0, "prefill": 0.0}
    for test in json.loads(run(command + args.peer_option)):
        rates["decode" if test["n_gen"] else "prefill"] = test["avg_ts"]
    return rates


def cpu_name() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def measure(args, model: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        plan = os.path.join(folder, "model.ktp")
        run([f"{args.build}/bin/ktc", "compile", model, "--rules", "cpu", "--cpu", args.cpu, "--weights", "link", "-o", plan])
        rounds = []
        for _ in range(args.rounds):
            result = {"ours": ours(args, plan)}
            if args.peer:
                result["peer"] = peer(args, model, result["ours"]["threads"])
            rounds.append(result)
    return {"model": os.path.basename(model), "rounds": rounds}


def show(result: dict) -> None:
    first = result["rounds"][0]["ours"]
    print(f"{result['model']}: {first['isa']}, {first['threads']} threads, {cpu_name()}, commit {first['commit']}")
    for phase in ("decode", "prefill"):
        mine = [r["ours"][phase]["tokens_per_s"]["median"] for r in result["rounds"]]
        line = f"  {phase:8} {statistics.median(mine):9.2f} tokens/s ({min(mine):.2f} to {max(mine):.2f})"
        if "peer" in result["rounds"][0]:
            other = [r["peer"][phase] for r in result["rounds"]]
            ratio = statistics.median(a / b for a, b in zip(mine, other))
            line += f", peer {statistics.median(other):9.2f} ({min(other):.2f} to {max(other):.2f}), ratio {ratio:.2f}"
        print(line)
    shares = [r["ours"]["share_of_bound"] for r in result["rounds"]]
    print(f"  decode reaches {statistics.median(shares) * 100:.0f} % of the bound "
          f"({first['read_bandwidth'] / 1e9:.1f} GB/s read, {first['bytes_per_token'] / 1e6:.1f} MB a token)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--model", action="append", help="GGUF file; may be given several times")
    parser.add_argument("--peer", help="llama-bench program of another engine")
    parser.add_argument("--peer-option", action="append", default=[], help="further argument for the peer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-p", type=int, default=512, help="prompt tokens")
    parser.add_argument("-n", type=int, default=64, help="decoded tokens")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--cpu", default="native")
    parser.add_argument("--out", help="write all results here as JSON")
    args = parser.parse_args()
    models = args.model or [str(ROOT / "test/models/tiny-books/tiny-books-Q4_K_M.gguf")]
    results = [measure(args, model) for model in models]
    for result in results:
        show(result)
    if args.out:
        report = {"cpu": cpu_name(), "cores": os.cpu_count(), "results": results}
        pathlib.Path(args.out).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
