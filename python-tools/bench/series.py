"""Lines of a plot out of a result: which points belong together. No plotting here."""
from bench.models import summary


def kernel_series(result):
    """{(family, isa, threads): {format: [(m, GB/s, TOPS)]}}, sorted by m."""
    charts = {}
    for row in result.get("kernels", []):
        chart = charts.setdefault((row["family"], row["isa"], row["threads"]), {})
        chart.setdefault(row["format"], []).append((row["m"], row["gb_per_s"], row["tops"]))
    for chart in charts.values():
        for points in chart.values():
            points.sort()
    return charts


def model_series(result, phase, axis):
    """{model: {"ours": [(x, rate)], "predicted": …, "peer": …, "bound": …}} of the points that differ from a model's first
    one in `axis` (prompt, depth, batch or threads) only; models with fewer than two such points are left out."""
    charts = {}
    others = [name for name in ("prompt", "depth", "batch", "threads") if name != axis]
    if phase == "decode":
        others = [name for name in others if name != "prompt"]
    for model in result.get("models", []):
        first, lines = model["points"][0], {}
        for point in model["points"]:
            row = summary(point, phase)
            if not row or any(point[name] != first[name] for name in others):
                continue
            for line, key in (("ours", "rate"), ("predicted", "predicted"), ("peer", "peer"), ("bound", "bound")):
                if row.get(key):
                    lines.setdefault(line, []).append((point[axis], row[key]))
        if len({x for x, _ in lines.get("ours", [])}) > 1:
            charts[model["model"]] = {line: sorted(points) for line, points in lines.items()}
    return charts
