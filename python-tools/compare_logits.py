"""Compare two files of logits and say how far apart they are.

    compare_logits.py EXPECTED ACTUAL [--vocab N] [--nmse X] [--max-abs X] [--argmax PERCENT] [--kl X] [--tokens FILE]

A file is raw little-endian float32 (.f32, or any other name) or float16 (.f16) and then needs --vocab, or an .npz
with an array `logits`. Prints the normalised mean square error |a-e|^2/|e|^2, the largest absolute difference, the
share of positions with the same argmax, and the mean KL divergence (expected relative to actual, nats). With
--tokens, the ids that the logits were computed for, also the perplexity of the text by either file. Each
threshold that is given must hold: exit code 0 if all do, 1 if one does not (or the values are not finite or the shapes
differ), 2 for wrong usage.
"""
import argparse
import sys

import numpy as np


def load(path, vocab):
    """Logits of one file as float64 (positions, vocab)."""
    if path.endswith(".npz"):
        return np.load(path)["logits"].astype(np.float64)
    values = np.fromfile(path, "<f2" if path.endswith(".f16") else "<f4").astype(np.float64)
    if not vocab:
        raise ValueError(f"{path} is a raw file: --vocab N is needed to know its shape")
    if values.size == 0 or values.size % vocab:
        raise ValueError(f"{path} holds {values.size} values, not a positive multiple of the vocabulary size {vocab}")
    return values.reshape(-1, vocab)


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def measure(expected, actual):
    """The four measures of two arrays of equal shape, by name."""
    p, q = log_softmax(expected), log_softmax(actual)
    return {
        "nmse": float(((actual - expected) ** 2).sum() / (expected ** 2).sum()),
        "max_abs": float(np.abs(actual - expected).max()),
        "argmax": float((expected.argmax(axis=-1) == actual.argmax(axis=-1)).mean() * 100),
        "kl": float((np.exp(p) * (p - q)).sum(axis=-1).mean()),
    }


def perplexity(logits, tokens):
    """Perplexity of `tokens` when logits[i] predicts tokens[i + 1]."""
    chosen = log_softmax(logits[:-1])[np.arange(len(tokens) - 1), tokens[1:]]
    return float(np.exp(-chosen.mean()))


def read_tokens(path, logits):
    """The ids in a file, separated by spaces or commas: one for every row of logits."""
    with open(path, encoding="utf-8") as file:
        tokens = np.array(file.read().replace(",", " ").split(), dtype=np.int64)
    if len(tokens) != len(logits) or len(tokens) < 2 or tokens.min() < 0 or tokens.max() >= logits.shape[-1]:
        raise ValueError(f"{path}: expected {len(logits)} ids, at least 2, below {logits.shape[-1]}")
    return tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("expected")
    parser.add_argument("actual")
    parser.add_argument("--vocab", type=int, help="vocabulary size, for raw files")
    parser.add_argument("--nmse", type=float, help="largest allowed normalised mean square error")
    parser.add_argument("--max-abs", type=float, help="largest allowed absolute difference")
    parser.add_argument("--argmax", type=float, help="smallest allowed percentage of equal argmax")
    parser.add_argument("--tokens", help="file of token ids: prints perplexities")
    parser.add_argument("--kl", type=float, help="largest allowed mean KL divergence")
    args = parser.parse_args()
    try:
        expected, actual = load(args.expected, args.vocab), load(args.actual, args.vocab)
    except (OSError, ValueError, KeyError) as error:
        print(f"compare_logits: {error}", file=sys.stderr)
        return 1
    if expected.shape != actual.shape:
        print(f"compare_logits: expected shape {expected.shape}, found {actual.shape}", file=sys.stderr)
        return 1
    if not np.isfinite(actual).all():
        print(f"compare_logits: {args.actual} holds values that are not finite", file=sys.stderr)
        return 1
    result = measure(expected, actual)
    print("  ".join(f"{name} {value:.6g}" for name, value in result.items()))
    if args.tokens:
        try:
            tokens = read_tokens(args.tokens, expected)
        except (OSError, ValueError) as error:
            print(f"compare_logits: {error}", file=sys.stderr)
            return 1
        print(f"perplexity {perplexity(expected, tokens):.6g}  {perplexity(actual, tokens):.6g}")
    failed = [f"{name} {result[name]:.6g} is above {limit:g}"
              for name, limit in (("nmse", args.nmse), ("max_abs", args.max_abs), ("kl", args.kl))
              if limit is not None and not result[name] <= limit]
    if args.argmax is not None and result["argmax"] < args.argmax:
        failed.append(f"argmax {result['argmax']:.4g} % is below {args.argmax:g} %")
    for line in failed:
        print(f"compare_logits: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
