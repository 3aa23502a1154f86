"""Run a model on the GPU under several placements and compare its logits with golden ones.

    check_gpu.py MODEL.gguf --rules FILE [--rules FILE ...] --tokens FILE --expected FILE --vocab N --out PREFIX
                 [--nmse X] [--kl X] [--argmax PERCENT] [--except P,P] [--kv-type T] [--chunk N] [--gpu TARGET]

For each rules file the model is compiled by `ktc` (from PATH), and `ktrt logits` evaluates the tokens as one prompt
and token by token. Both must be within the bounds of the golden logits (compare_logits.py), a second run must give the
same bytes, and so must a run with KTRT_GRAPH=0, in which no CUDA graph takes part: an edge that is missing in a graph
shows as a difference. Exit code 0 if all holds, 1 if not.
"""
import argparse
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WAYS = {"prefill": [], "stepwise": ["--stepwise"]}


def run(*command, **environment):
    """Runs a program; ends this one with its output if it fails."""
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"check_gpu: {' '.join(command)[:300]}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout.strip()


def logits(plan, tokens, way, out, **environment):
    """Bytes of the logits that ktrt writes."""
    run("ktrt", "logits", plan, *WAYS[way], "--tokens", tokens, "--out", out, **environment)
    with open(out, "rb") as file:
        return file.read()


def compare(args, actual):
    bounds = [(name, getattr(args, name)) for name in ("nmse", "kl", "argmax")]
    options = [text for name, value in bounds if value is not None for text in ("--" + name, value)]
    if args.left_out:
        options += ["--except", args.left_out]
    return run(sys.executable, os.path.join(HERE, "compare_logits.py"), args.expected, actual, "--vocab", args.vocab,
               *options)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rules", action="append", required=True)
    parser.add_argument("--tokens", required=True, help="file of token ids")
    parser.add_argument("--expected", required=True, help="golden logits")
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--out", required=True, help="prefix of files to write")
    for name in ("nmse", "kl", "argmax"):
        parser.add_argument("--" + name)
    parser.add_argument("--except", dest="left_out")
    parser.add_argument("--kv-type", default="bf16")
    parser.add_argument("--chunk", default="2048")
    parser.add_argument("--gpu", default="native")
    args = parser.parse_args()
    with open(args.tokens, encoding="ascii") as file:
        tokens = file.read()
    for rules in args.rules:
        name = os.path.splitext(os.path.basename(rules))[0]
        plan, out = f"{args.out}-{name}.ktp", f"{args.out}-{name}.f32"
        run("ktc", "compile", args.model, "--rules", rules, "--gpu", args.gpu, "--kv-type", args.kv_type,
            "--chunk", args.chunk, "-o", plan)
        for way in WAYS:
            first = logits(plan, tokens, way, out)
            print(f"{name:18} {way:9} {compare(args, out)}", flush=True)
            if logits(plan, tokens, way, out) != first:
                sys.exit(f"check_gpu: {name}, {way}: a second run gives other logits")
            if logits(plan, tokens, way, out, KTRT_GRAPH="0") != first:
                sys.exit(f"check_gpu: {name}, {way}: without CUDA graphs (KTRT_GRAPH=0) the logits are other ones")
        os.remove(plan)


if __name__ == "__main__":
    main()
