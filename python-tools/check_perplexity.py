"""Check the perplexity that `ktrt perplexity --json` printed against an expected value.

    ktrt perplexity PLAN -f TEXT --ctx 512 --chunks 40 --json | check_perplexity.py --expected 18.49 [--tolerance 0.5]

Reads the JSON object from standard input, or from the file given as argument. The tolerance is in percent of the
expected value, in both directions: a perplexity that is too good is an error in the protocol as well. Exit code 0 if
it holds, 1 if not or if the input is not such an object, 2 for wrong usage.
"""
import argparse
import json
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="JSON file (default: standard input)")
    parser.add_argument("--expected", type=float, required=True)
    parser.add_argument("--tolerance", type=float, default=0.5, help="percent (default 0.5)")
    parser.add_argument("--tokens", type=int, help="also require this number in the field `tokens`")
    args = parser.parse_args()
    try:
        with open(args.file, encoding="utf-8") if args.file else sys.stdin as source:
            report = json.load(source)
        found = float(report["perplexity"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"check_perplexity: no perplexity in the input: {error!r}", file=sys.stderr)
        return 1
    deviation = (found / args.expected - 1) * 100
    print(f"perplexity {found:.4f}, expected {args.expected:.4f}, deviation {deviation:+.3f} %")
    if not abs(deviation) <= args.tolerance:
        print(f"check_perplexity: deviation {deviation:+.3f} % exceeds {args.tolerance:g} %", file=sys.stderr)
        return 1
    if args.tokens is not None and report.get("tokens") != args.tokens:
        print(f"check_perplexity: expected {args.tokens} tokens, found {report.get('tokens')}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
