"""Compare two files of logits and say how far apart they are.

    compare_logits.py EXPECTED ACTUAL [--vocab N] [--nmse X] [--max-abs X] [--argmax PERCENT] [--kl X] [--except P,P]

A file is raw little-endian float32 (.f32, or any other name) or float16 (.f16) and then needs --vocab, or an .npz
with an array `logits`. Prints the normalised mean square error |a-e|^2/|e|^2, the largest absolute difference, the
share of positions with the same argmax, and the mean KL divergence (expected relative to actual, nats). Each
threshold that is given must hold: exit code 0 if all do, 1 if one does not (or the values are not finite or the shapes
differ), 2 for wrong usage. --except leaves out positions (from 0), for those whose routing is known to be undecided.

Needs nothing but Python, so that it runs wherever the programs do.
"""
import argparse
import ast
import math
import struct
import sys
import zipfile


def load_npz(path):
    """The array `logits` of an .npz file, as rows."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read("logits.npy")
    size = struct.unpack_from("<H", data, 8)[0] if data[6] == 1 else struct.unpack_from("<I", data, 8)[0]
    start = (10 if data[6] == 1 else 12) + size
    header = ast.literal_eval(data[start - size:start].decode("latin1"))
    kind = {"<f2": "e", "<f4": "f", "<f8": "d"}.get(header["descr"])
    if kind is None or header["fortran_order"] or len(header["shape"]) != 2:
        raise ValueError(f"{path}: logits of type {header['descr']} and shape {header['shape']} are not understood")
    rows, vocab = header["shape"]
    return split(struct.unpack_from(f"<{rows * vocab}{kind}", data, start), vocab)


def split(values, vocab):
    return [values[i:i + vocab] for i in range(0, len(values), vocab)]


def load(path, vocab):
    """Logits of one file: a list of positions, each a sequence of `vocab` numbers."""
    if path.endswith(".npz"):
        return load_npz(path)
    with open(path, "rb") as file:
        data = file.read()
    kind = "e" if path.endswith(".f16") else "f"
    count, rest = divmod(len(data), struct.calcsize(kind))
    if not vocab:
        raise ValueError(f"{path} is a raw file: --vocab N is needed to know its shape")
    if count == 0 or rest or count % vocab:
        raise ValueError(f"{path} holds {count} values, not a positive multiple of the vocabulary size {vocab}")
    return split(struct.unpack(f"<{count}{kind}", data), vocab)


def log_sum(row):
    """log of the sum of exponentials."""
    top = max(row)
    return top + math.log(sum(math.exp(x - top) for x in row))


def measure(expected, actual):
    """The four measures of two lists of rows of equal shape, by name."""
    square = norm = worst = divergence = 0.0
    same = 0
    for e, a in zip(expected, actual):
        e, a = [float(x) for x in e], [float(x) for x in a]
        difference = [x - y for x, y in zip(a, e)]
        square += sum(d * d for d in difference)
        norm += sum(x * x for x in e)
        worst = max(worst, max(map(abs, difference)))
        same += e.index(max(e)) == a.index(max(a))
        of_e, of_a = log_sum(e), log_sum(a)
        divergence += of_a - of_e - sum(math.exp(x - of_e) * d for x, d in zip(e, difference))
    return {
        "nmse": square / norm,
        "max_abs": worst,
        "argmax": same / len(expected) * 100,
        "kl": divergence / len(expected),
    }


def shape(rows):
    return f"({len(rows)}, {len(rows[0])})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("expected")
    parser.add_argument("actual")
    parser.add_argument("--vocab", type=int, help="vocabulary size, for raw files")
    parser.add_argument("--nmse", type=float, help="largest allowed normalised mean square error")
    parser.add_argument("--max-abs", type=float, help="largest allowed absolute difference")
    parser.add_argument("--argmax", type=float, help="smallest allowed percentage of equal argmax")
    parser.add_argument("--kl", type=float, help="largest allowed mean KL divergence")
    parser.add_argument("--except", dest="left_out", default="", help="positions to leave out, separated by commas")
    args = parser.parse_args()
    try:
        expected, actual = load(args.expected, args.vocab), load(args.actual, args.vocab)
        left_out = {int(position) for position in args.left_out.split(",") if position}
    except (OSError, ValueError, KeyError, struct.error, zipfile.BadZipFile) as error:
        print(f"compare_logits: {error}", file=sys.stderr)
        return 1
    if shape(expected) != shape(actual):
        print(f"compare_logits: expected shape {shape(expected)}, found {shape(actual)}", file=sys.stderr)
        return 1
    if not all(math.isfinite(x) for row in actual for x in row):
        print(f"compare_logits: {args.actual} holds values that are not finite", file=sys.stderr)
        return 1
    kept = [i for i in range(len(expected)) if i not in left_out]
    if not kept:
        print("compare_logits: no position is left", file=sys.stderr)
        return 1
    result = measure([expected[i] for i in kept], [actual[i] for i in kept])
    print("  ".join(f"{name} {value:.6g}" for name, value in result.items()))
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
