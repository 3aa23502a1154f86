"""Sweeps of single kernels: weight format × tokens × instruction set, by `kt-kernel --time`."""
import re
import sys

from bench.programs import Failed, run, yaml_rates

# Two numbers that tell a kernel's quality: the share of the memory's speed while weights stream, and the share of what
# the instructions can do on operands in registers.
LINE = re.compile(
    r"^(?P<family>\w+) (?P<isa>\w+) (?P<format>\w+) n (?P<n>\d+) k (?P<k>\d+) m (?P<m>\d+) threads (?P<threads>\d+): "
    r"(?P<us>[\d.]+) us, (?P<gb_per_s>[\d.]+) GB/s, (?P<weights_per_cycle>[\d.]+) weights/cycle, "
    r"(?P<products_per_cycle>[\d.]+) products/cycle at (?P<ghz>[\d.]+) GHz"
    r"(?:, read (?P<read_gb_per_s>[\d.]+) GB/s, share (?P<share_of_read>[\d.]+))?", re.MULTILINE)

SHAPES = {"linear": (4096, 2048), "gate_up": (768, 2048), "down": (2048, 768)}


def parse_line(text):
    """The numbers of kt-kernel's report; Failed if there is none."""
    match = LINE.search(text)
    if not match:
        raise Failed(f"kt-kernel: cannot read the report '{text.strip()[:200]}'")
    row = {}
    for key, value in match.groupdict().items():
        if value is not None:
            row[key] = value if key in ("family", "isa", "format") else int(value) if value.isdigit() else float(value)
    matrices = 2 if row["family"] == "gate_up" else 1
    seconds = row["us"] * 1e-6
    row["tops"] = 2e-12 * matrices * row["n"] * row["k"] * row["m"] / seconds if seconds else 0.0
    return row


def command(program, family, isa, weight_format, m, shape, threads, stream, pages, prefetch=1):
    n, k = shape
    formats = ([f"format_gate={weight_format}", f"format_up={weight_format}"] if family == "gate_up"
               else [f"format={weight_format}"])
    params = formats + [f"n={n}", f"k={k}", f"m={m}", f"dynamic={int(m > 16)}", f"prefetch={prefetch}"]
    if family != "linear":
        params += ["experts=1", "top_k=1", "dense=1"] + (["act=silu"] if family == "gate_up" else [])
    parts = [program, "--family", family, "--isa", isa]
    for param in params:
        parts += ["--param", param]
    parts += ["--time", "--threads", threads]
    if stream:
        parts += ["--stream", stream]
    if pages:
        parts += ["--pages", pages]
    return parts


def sweep(programs, options, description=""):
    """Rows of all combinations that the machine runs; a combination that fails is said and left out."""
    program, rows = programs.path("kt-kernel"), []
    peaks = yaml_rates(description, "int8_ops")
    for family in options.families:
        for isa in options.isa:
            for weight_format in options.formats:
                for m in options.m:
                    for threads in options.threads:
                        parts = command(program, family, isa, weight_format, m, SHAPES[family], threads,
                                        options.stream, options.pages, options.prefetch)
                        try:
                            row = parse_line(run(parts, timeout=300))
                        except Failed as error:
                            print(f"bench: {error}", file=sys.stderr)
                            continue
                        if isa in peaks and options.cores:
                            row["share_of_int8"] = row["tops"] * 1e12 / (peaks[isa] * threads / options.cores)
                        rows.append(row)
                        print(f"  {family} {isa} {weight_format} m {m} threads {threads}: {row['gb_per_s']:.1f} GB/s, "
                              f"{row['tops']:.3f} TOPS", file=sys.stderr)
    return rows
