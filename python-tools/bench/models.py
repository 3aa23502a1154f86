"""Whole models: decode and prefill, over prompt lengths, context depths and thread counts, beside a peer if asked."""
import json
import os
import pathlib
import statistics
import sys
import tempfile

from bench.programs import Failed, run


def synthetic(spec, folder, tools):
    """The file of `NAME` or `NAME:LAYERS`, written by synth_models.py unless it is there."""
    name, _, layers = spec.partition(":")
    if layers and not layers.isdigit():
        raise Failed(f"--synthetic {spec}: expected NAME or NAME:LAYERS")
    target = pathlib.Path(folder) / (f"{name}-{layers}l.gguf" if layers else f"{name}.gguf")
    if target.exists():
        return target
    beside = target.with_suffix(f".tmp-{os.getpid()}")
    command = [sys.executable, str(pathlib.Path(tools) / "synth_models.py"), name, str(beside)]
    if layers:
        command += ["--layers", layers]
    print(f"writing {target}", file=sys.stderr)
    try:
        run(command)
    except Failed as error:
        beside.unlink(missing_ok=True)
        raise Failed(f"synthetic model {name}: {error}") from error
    beside.rename(target)
    return target


class ModelBench:
    """One model file: compiled once, measured at every point."""

    def __init__(self, programs, options, peer=None):
        self.programs, self.options, self.peer = programs, options, peer

    def measure(self, model, machine_file):
        with tempfile.TemporaryDirectory(dir=self.options.work) as folder:
            plan = os.path.join(folder, "model.ktp")
            deepest = max(self.options.depth) + max(max(self.options.prompt), self.options.generate)
            command = [self.programs.path("ktc"), "compile", model, "--rules", "cpu", "--cpu", self.options.cpu, "--weights",
                       self.options.weights, "--ctx", max(4096, deepest), "-o", plan]
            if machine_file:
                command += ["--machine", machine_file]
            if self.options.chunk:
                command += ["--chunk", self.options.chunk]
            run(command)
            points = [self.point(model, plan, *where) for where in self.places()]
        return {"model": pathlib.Path(model).name, "file_bytes": os.path.getsize(model), "points": points}

    def places(self):
        """(prompt, generated, depth, batch, threads) of every measurement: each axis by itself, from the first values."""
        o = self.options
        base = (o.prompt[0], o.generate, o.depth[0], o.batch[0], o.threads[0])
        places = [base]
        places += [(prompt, 0, o.depth[0], o.batch[0], o.threads[0]) for prompt in o.prompt[1:]]
        places += [(0, o.generate, depth, o.batch[0], o.threads[0]) for depth in o.depth[1:]]
        places += [(0, o.generate, o.depth[0], batch, o.threads[0]) for batch in o.batch[1:]]
        places += [(o.prompt[0], o.generate, o.depth[0], o.batch[0], threads) for threads in o.threads[1:]]
        return [place for place in places if place[0] or place[1]]

    def point(self, model, plan, prompt, generated, depth, batch, threads):
        rounds = []
        for number in range(self.options.rounds):
            # Alternation: both engines meet the same drift of a shared machine.
            result = {"ours": self.ours(plan, prompt, generated, depth, batch, threads)}
            if self.peer and batch == 1:
                try:
                    result["peer"] = self.peer.measure(model, prompt, generated, depth, result["ours"]["threads"])
                    result["ratio"] = ratio(result)
                except Failed as error:  # it may not know a model that we do
                    print(f"bench: {error}", file=sys.stderr)
            rounds.append(result)
            print(f"  {pathlib.Path(model).name}: round {number + 1}: {line_of(result)}", file=sys.stderr)
        return {"prompt": prompt, "generated": generated, "depth": depth, "batch": batch,
                "threads": rounds[0]["ours"]["threads"], "all_cores": not threads, "rounds": rounds}

    def ours(self, plan, prompt, generated, depth, batch, threads):
        command = [self.programs.path("ktrt"), "bench", plan, "-p", prompt, "-n", generated, "-d", depth, "-b", batch, "-r",
                   self.options.repetitions, "--json"]
        if threads:
            command += ["--threads", threads]
        return json.loads(run(command))


def rate_of(ours, phase):
    return ours[phase]["tokens_per_s"]["median"]


def ratio(result):
    """Ours over the peer's, by phase, where both measured."""
    return {phase: rate_of(result["ours"], phase) / rate for phase, rate in result["peer"].items()
            if rate > 0 and rate_of(result["ours"], phase) > 0}


def line_of(result):
    parts = []
    for phase in ("prefill", "decode"):
        mine = rate_of(result["ours"], phase)
        if mine:
            text = f"{phase} {mine:.2f}"
            if phase in result.get("peer", {}):
                text += f" (peer {result['peer'][phase]:.2f}, ratio {result['ratio'].get(phase, 0):.2f})"
            parts.append(text)
    return ", ".join(parts)


def summary(point, phase):
    """Medians over the rounds of one phase: rate, prediction, peer, ratio, share of the bound; None if not measured."""
    rounds = [r for r in point["rounds"] if rate_of(r["ours"], phase) > 0]
    if not rounds:
        return None
    mine = [rate_of(r["ours"], phase) for r in rounds]
    # Predictions are for a thread on every core.
    predicted = [r["ours"].get(f"predicted_{phase}_tokens_per_s", 0) for r in rounds] if point["all_cores"] else [0]
    row = {"rate": statistics.median(mine), "min": min(mine), "max": max(mine), "predicted": statistics.median(predicted)}
    peers = [r["peer"][phase] for r in rounds if phase in r.get("peer", {})]
    if peers:
        row["peer"] = statistics.median(peers)
        row["ratio"] = statistics.median(r["ratio"][phase] for r in rounds if phase in r.get("ratio", {}))
    if phase == "decode":
        row["bound"] = statistics.median(r["ours"]["bound_tokens_per_s"] for r in rounds)
        row["share_of_bound"] = statistics.median(r["ours"]["share_of_bound"] for r in rounds)
    return row
