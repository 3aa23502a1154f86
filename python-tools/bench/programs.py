"""The programs that are measured, how they are called, and the machine they run on."""
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys


class Failed(Exception):
    """A program could not be run or did not understand; the text says which and why."""


def run(command, timeout=None):
    """The standard output of a command; Failed if it does not end well."""
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False,
                              timeout=timeout)
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]}: no answer after {timeout} s") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Failed(f"{' '.join(map(str, command))}: exit code {done.returncode}: {lines[-1] if lines else ''}")
    return done.stdout


class Programs:
    """ktc, ktrt and kt-kernel in one folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def path(self, name):
        program = self.folder / name
        if not program.exists():
            raise Failed(f"{program}: not there; say where with --bin or --build")
        return program

    def probe(self, output):
        """Measures the machine once; an existing description is kept."""
        if not pathlib.Path(output).exists():
            print(f"measuring the machine: ktc probe -o {output}", file=sys.stderr)
            run([self.path("ktc"), "probe", "-o", output])
        return output


def cpu_name(cpuinfo="/proc/cpuinfo"):
    try:
        for line in pathlib.Path(cpuinfo).read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def yaml_rates(text, key):
    """The numbers of a map on one line, `key: {a: 1e3, b: 2}`, of a machine description."""
    for line in text.splitlines():
        name, _, value = line.strip().partition(":")
        if name == key and value.strip().startswith("{"):
            inner = value.strip().split("}")[0].lstrip("{")
            pairs = [part.split(":") for part in inner.split(",") if part.strip()]
            return {left.strip(): float(right) for left, right in pairs}
    return {}


def describe_machine(description=None):
    """What a result says about where it was measured. `description`: a file of ktc probe."""
    machine = {"cpu": cpu_name(), "cpus": os.cpu_count(), "usable_cpus": len(os.sched_getaffinity(0)),
               "system": platform.platform(),
               "load": os.getloadavg()[0],
               "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}
    if description:
        machine["description"] = pathlib.Path(description).read_text(encoding="utf-8")
    return machine


def load_json(path):
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failed(f"{path}: {error}") from error
