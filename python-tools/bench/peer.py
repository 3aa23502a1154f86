"""Another engine's benchmark program on the same file: llama-bench of llama.cpp and its relatives."""
import json
import re

from bench.programs import Failed, run

TEST = re.compile(r"(?:pp(?P<pp>\d+))?(?:\+?tg(?P<tg>\d+))?(?:\s*@\s*(?:pp|d)(?P<depth>\d+))?$")
RATE = re.compile(r"([\d.]+)\s*(?:±\s*[\d.]+)?$")


def from_json(text):
    """Tests of `-o json`; log lines around the list are skipped. None if there is no list."""
    for start in (m.start() for m in re.finditer(r"^\[", text, re.MULTILINE)):
        try:
            tests, _ = json.JSONDecoder().raw_decode(text[start:])
        except ValueError:
            continue
        if all(isinstance(test, dict) and "avg_ts" in test for test in tests):
            return [{"prompt": test.get("n_prompt", 0), "generated": test.get("n_gen", 0),
                     "tokens_per_s": float(test["avg_ts"])} for test in tests]
    return None


def from_markdown(text):
    """Tests of a table whose columns `test` and `t/s` may stand anywhere. None if there is no table."""
    columns, tests = None, []
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if "test" in cells and "t/s" in cells:
            columns = cells.index("test"), cells.index("t/s")
        elif columns and len(cells) > max(columns):
            test, rate = TEST.match(cells[columns[0]]), RATE.match(cells[columns[1]])
            if test and rate and (test["pp"] or test["tg"]):
                tests.append({"prompt": int(test["pp"] or 0), "generated": int(test["tg"] or 0),
                              "tokens_per_s": float(rate[1])})
    return tests or None


def rates(text):
    """Tokens/s of `prefill` and `decode` in the output of a llama-bench."""
    tests = from_json(text) or from_markdown(text)
    if not tests:
        raise Failed(f"the peer's output is neither its JSON nor its table: '{text.strip()[:200]}'")
    found = {}
    for test in tests:
        # A test with both (`-gp` of some versions) reports the rate of generating behind a prompt.
        found["decode" if test["generated"] else "prefill"] = test["tokens_per_s"]
    return found


class Peer:
    def __init__(self, program, options=()):
        self.program, self.options = program, list(options)
        self._help = None

    def depth_arguments(self, depth, generated):
        """How this version spells a test behind `depth` cached tokens; decode only."""
        if self._help is None:
            try:
                self._help = run([self.program, "--help"])
            except Failed:
                self._help = ""
        if "--n-depth" in self._help:
            return ["-n", generated, "-d", depth]
        if "-gp <pp,tg>" in self._help:
            return ["-n", "0", "-gp", f"{depth},{generated}"]
        raise Failed(f"{self.program}: has neither --n-depth nor -gp, so it cannot start behind {depth} tokens")

    def measure(self, model, prompt, generated, depth, threads):
        base = [self.program, "-m", model, "-t", threads, "-r", "1", "-o", "json"] + self.options
        if not depth:
            return rates(run(base + ["-p", prompt, "-n", generated]))
        found = rates(run(base + ["-p", "0"] + self.depth_arguments(depth, generated))) if generated else {}
        return {"decode": found["decode"]} if "decode" in found else {}
