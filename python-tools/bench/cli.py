"""Command line of the benchmarks.

    python3 python-tools/bench models  --model FILE.gguf … | --synthetic NAME[:LAYERS] …   whole models
    python3 python-tools/bench kernels --formats q4_k,q8_0 --m 1,8,128                     single kernels
    python3 python-tools/bench show RESULT.json [--plots FOLDER]                           tables and plots of a result

Prints Markdown; --out writes everything as one JSON object with machine and commit, --plots draws PNG and SVG. Needs the
programs (--build DIR or --bin DIR) and Python alone, so it runs on a bare machine; plots need matplotlib, synthetic models
numpy.
"""
import argparse
import json
import pathlib
import sys
import tempfile

from bench.kernels import SHAPES, sweep
from bench.models import ModelBench, synthetic
from bench.peer import Peer
from bench.plots import draw
from bench.programs import Failed, Programs, describe_machine, load_json
from bench.report import markdown

TOOLS = pathlib.Path(__file__).resolve().parent.parent
BUNDLED = TOOLS.parent / "test/models/tiny-books/tiny-books-Q4_K_M.gguf"


def words(text):
    return [word for word in text.split(",") if word]


def counts(text):
    """Whole numbers, `1,2,8`, and ranges, `1-16`."""
    numbers = []
    for word in words(text):
        first, dash, last = word.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise argparse.ArgumentTypeError(f"expected numbers such as 1,2,8-16, found '{text}'")
        numbers += range(int(first), int(last or first) + 1)
    if not numbers:
        raise argparse.ArgumentTypeError("expected at least one number")
    return numbers


def parser():
    top = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    commands = top.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", help="write the result here as JSON")
    common.add_argument("--plots", help="draw PNG and SVG files into this folder")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--build", default="build", help="build folder; its programs are in bin/ (default: build)")
    where.add_argument("--bin", help="folder with ktc, ktrt and kt-kernel, instead of --build")
    where.add_argument("--machine", help="description of ktc probe; measured and written there if it does not exist")

    models = commands.add_parser("models", parents=[common, where], help="whole models")
    models.add_argument("--model", action="append", default=[], help="GGUF file; may be given several times")
    models.add_argument("--synthetic", action="append", default=[], metavar="NAME[:LAYERS]",
                        help="model of synth_models.py, kept in the --work folder")
    models.add_argument("--discard", action="store_true", help="delete each synthetic model once it is measured")
    models.add_argument("--work", help="folder for plans and synthetic models (default: a temporary one)")
    models.add_argument("-p", "--prompt", type=counts, default=[512], help="prompt lengths (default 512; 0: none)")
    models.add_argument("-n", "--generate", type=int, default=64, help="decoded tokens (default 64; 0: none)")
    models.add_argument("-d", "--depth", type=counts, default=[0], help="context depths (default 0)")
    models.add_argument("-b", "--batch", type=counts, default=[1], help="tokens per decode step (default 1)")
    models.add_argument("-t", "--threads", type=counts, default=[0], help="thread counts (default 0: every core)")
    models.add_argument("--rounds", type=int, default=3, help="how often both engines run in turn (default 3)")
    models.add_argument("--repetitions", type=int, default=1, help="measurements of ktrt bench per round (default 1)")
    models.add_argument("--cpu", default="native", help="instruction-set level")
    models.add_argument("--weights", default="link", choices=["auto", "link", "pack"])
    models.add_argument("--chunk", type=int, help="prefill chunk (default: that of ktc)")
    models.add_argument("--peer", help="llama-bench program of another engine, run in turn with ours")
    models.add_argument("--peer-option", action="append", default=[], help="further argument for the peer, e.g. =-fmoe=1")

    kernels = commands.add_parser("kernels", parents=[common, where], help="single kernels")
    kernels.add_argument("--families", type=words, default=["linear"], help="of " + ", ".join(SHAPES))
    kernels.add_argument("--formats", type=words, default=words("q4_k,q5_k,q6_k,q8_0,q5_0,mxfp4"))
    kernels.add_argument("--isa", type=words, default=["avx512"])
    kernels.add_argument("-m", "--m", type=counts, default=counts("1-16,32,64,128"))
    kernels.add_argument("-t", "--threads", type=counts, default=[1])
    kernels.add_argument("--stream", type=int, default=0, help="MB of weights to read from memory instead of the cache")
    kernels.add_argument("--prefetch", type=int, choices=[0, 1], default=1, help="kernels prefetch weights (default 1)")
    kernels.add_argument("--pages", choices=["thp", "small"])

    show = commands.add_parser("show", parents=[common], help="tables and plots of a result")
    show.add_argument("result")
    return top


def commit_of(programs, result):
    for model in result.get("models", []):
        return model["points"][0]["rounds"][0]["ours"]["commit"]
    version = programs.path("ktc")
    try:
        from bench.programs import run
        text = run([version, "--version"]).strip()
        return text.partition("(")[2].rstrip(")") or text
    except Failed:
        return "unknown"


def measure(options):
    programs = Programs(options.bin or pathlib.Path(options.build) / "bin")
    machine_file = programs.probe(options.machine) if options.machine else None
    result = {"version": 1, "machine": describe_machine(machine_file)}
    if options.command == "kernels":
        unknown = set(options.families) - set(SHAPES)
        if unknown:
            raise Failed(f"unknown kernel family '{unknown.pop()}', expected some of {', '.join(SHAPES)}")
        options.cores = result["machine"]["usable_cpus"]
        result["kernels"] = sweep(programs, options, result["machine"].get("description", ""))
        if not result["kernels"]:
            raise Failed("no kernel could be measured")
    else:
        with tempfile.TemporaryDirectory() as temporary:
            options.work = options.work or temporary
            pathlib.Path(options.work).mkdir(parents=True, exist_ok=True)
            peer = Peer(options.peer, options.peer_option) if options.peer else None
            bench = ModelBench(programs, options, peer)
            bundled = [] if options.synthetic else [BUNDLED]
            result["models"] = [bench.measure(str(file), machine_file) for file in options.model or bundled]
            # One after the other: together they may not fit on the disk.
            for spec in options.synthetic:
                file = synthetic(spec, options.work, TOOLS)
                try:
                    result["models"].append(bench.measure(str(file), machine_file))
                except Failed as error:  # what other models took is not lost
                    print(f"bench: {error}", file=sys.stderr)
                finally:
                    if options.discard:
                        file.unlink()
            if not result["models"]:
                raise Failed("no model could be measured")
    result["commit"] = commit_of(programs, result)
    return result


def main(arguments=None):
    options = parser().parse_args(arguments)
    try:
        result = load_json(options.result) if options.command == "show" else measure(options)
        if options.out:
            pathlib.Path(options.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(markdown(result), end="")
        if options.plots:
            for path in draw(result, options.plots):
                print(path, file=sys.stderr)
    except Failed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0
