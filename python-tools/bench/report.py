"""Results as Markdown tables."""
from bench.models import summary


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def number(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}"


def percent(value):
    return "" if value is None else f"{100 * value:.0f} %"


def model_rows(result):
    for model in result.get("models", []):
        for point in model["points"]:
            for phase in ("decode", "prefill"):
                row = summary(point, phase)
                if not row:
                    continue
                what = (f"prefill {point['prompt']}" if phase == "prefill"
                        else "decode" + (f" × {point['batch']}" if point["batch"] > 1 else ""))
                yield [model["model"], what, str(point["depth"]), str(point["threads"]),
                       f"{row['rate']:.2f} ({row['min']:.2f}-{row['max']:.2f})",
                       number(row["predicted"]) if row["predicted"] else "",
                       percent(row["rate"] / row["predicted"]) if row["predicted"] else "", number(row.get("bound")),
                       percent(row.get("share_of_bound")), number(row.get("peer")), number(row.get("ratio"))]


def kernel_rows(result):
    for row in result.get("kernels", []):
        yield [row["family"], row["isa"], row["format"], str(row["m"]), str(row["threads"]), number(row["gb_per_s"], 1),
               number(row["tops"], 3), number(row["products_per_cycle"], 1), percent(row.get("share_of_read")),
               percent(row.get("share_of_int8"))]


def markdown(result):
    """Tables of everything in a result."""
    machine = result["machine"]
    parts = [f"{machine['cpu']}, {machine['usable_cpus']} CPUs, {machine['system']}, commit {result['commit']}, "
             f"{machine['time']}, load {machine['load']:.1f}"]
    rows = list(model_rows(result))
    if rows:
        parts.append(table(["model", "test", "depth", "threads", "tokens/s", "predicted", "of it", "bound",
                            "share of bound", "peer", "ratio"], rows))
    rows = list(kernel_rows(result))
    if rows:
        parts.append(table(["family", "ISA", "format", "m", "threads", "GB/s", "TOPS", "products/cycle", "share of read",
                            "share of int8"], rows))
    return "\n\n".join(parts) + "\n"
