"""Plots of a result as PNG and SVG. The only part that needs matplotlib."""
import pathlib

from bench.programs import Failed
from bench.series import kernel_series, model_series

STYLE = {"ours": "o-", "predicted": "x:", "peer": "s--", "bound": "-."}
AXES = {"prompt": "prompt tokens", "depth": "tokens in the cache", "batch": "tokens per step", "threads": "threads"}


def _pyplot():
    try:
        import matplotlib
    except ImportError as error:
        raise Failed("plots need matplotlib: `./dev bench` installs it, or leave out --plots") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot
    return pyplot


def _save(pyplot, figure, folder, name, written):
    for ending in ("png", "svg"):
        path = folder / f"{name}.{ending}"
        figure.savefig(path, dpi=120, bbox_inches="tight")
        written.append(path)
    pyplot.close(figure)


def draw(result, folder):
    """Writes every plot that the result has points for; returns the files."""
    pyplot = _pyplot()
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for (family, isa, threads), chart in kernel_series(result).items():
        figure, axes = pyplot.subplots(1, 2, figsize=(11, 4))
        for name, points in sorted(chart.items()):
            axes[0].plot([p[0] for p in points], [p[1] for p in points], "o-", label=name)
            axes[1].plot([p[0] for p in points], [p[2] for p in points], "o-", label=name)
        for axis, what in zip(axes, ("GB/s of weights", "TOPS")):
            axis.set(xlabel="tokens m", ylabel=what, xscale="log", ylim=(0, None))
            axis.set_xscale("log", base=2)
            axis.grid(alpha=0.3)
        axes[0].legend(fontsize=8)
        figure.suptitle(f"{family}, {isa}, {threads} threads, {result['machine']['cpu']}")
        _save(pyplot, figure, folder, f"kernel-{family}-{isa}-{threads}t", written)
    for phase, axis in (("decode", "depth"), ("decode", "threads"), ("decode", "batch"), ("prefill", "prompt"),
                        ("prefill", "threads")):
        for model, lines in model_series(result, phase, axis).items():
            figure, chart = pyplot.subplots(figsize=(6, 4))
            for line, points in lines.items():
                chart.plot([p[0] for p in points], [p[1] for p in points], STYLE[line], label=line)
            chart.set(xlabel=AXES[axis], ylabel=f"{phase}, tokens/s", ylim=(0, None), title=model)
            chart.grid(alpha=0.3)
            chart.legend()
            _save(pyplot, figure, folder, f"{pathlib.Path(model).stem}-{phase}-{axis}", written)
    return written
