"""Tests of the benchmark package: parsing, places, summaries, tables, series. No plots, no timing; Python alone."""
import io
import contextlib
import json
import os
import pathlib
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from bench import cli, kernels, models, peer, programs, report, series  # noqa: E402

KERNEL = ("gate_up avx512 q4_k n 768 k 2048 m 4 threads 2: 250.0 us, 7.08 GB/s, 11.40 weights/cycle, "
          "45.60 products/cycle at 2.80 GHz")
MARKDOWN = """some log line
| model                  |     size |  params | backend | threads |      test |           t/s |
| ---------------------- | -------: | ------: | ------- | ------: | --------: | ------------: |
| qwen3moe Q4_K - Medium | 2.51 GiB | 4.36 B  | CPU     |       2 |     pp512 | 160.10 ± 1.25 |
| qwen3moe Q4_K - Medium | 2.51 GiB | 4.36 B  | CPU     |       2 |      tg32 |         21.40 |

build: unknown (0)
"""


def ours(decode, prefill, predicted=20.0, bound=30.0):
    rate = lambda value: {"tokens_per_s": {"min": value, "median": value, "max": value}}
    return {"decode": rate(decode), "prefill": rate(prefill), "predicted_decode_tokens_per_s": predicted,
            "predicted_prefill_tokens_per_s": 200.0, "bound_tokens_per_s": bound, "share_of_bound": decode / bound,
            "threads": 2, "isa": "amx", "commit": "abc"}


def point(decode, prefill=0, depth=0, threads=2, prompt=512, batch=1, rival=None):
    rounds = []
    for value in decode:
        result = {"ours": ours(value, prefill)}
        if rival:
            result["peer"] = {"decode": rival}
            result["ratio"] = models.ratio(result)
        rounds.append(result)
    return {"prompt": prompt, "generated": 32, "depth": depth, "batch": batch, "threads": threads, "all_cores": threads == 2,
            "rounds": rounds}


def result_with(points):
    return {"version": 1, "commit": "abc", "models": [{"model": "m.gguf", "file_bytes": 1, "points": points}],
            "machine": {"cpu": "a cpu", "usable_cpus": 2, "system": "Linux", "time": "now", "load": 0.5}}


class Kernels(unittest.TestCase):
    def test_report(self):
        row = kernels.parse_line("note\n" + KERNEL + "\n")
        self.assertEqual((row["family"], row["isa"], row["format"], row["m"], row["threads"]),
                         ("gate_up", "avx512", "q4_k", 4, 2))
        self.assertNotIn("share_of_read", row)
        self.assertAlmostEqual(row["tops"], 2e-12 * 2 * 768 * 2048 * 4 / 250e-6)

    def test_streaming_report(self):
        row = kernels.parse_line(KERNEL + ", read 10.50 GB/s, share 0.674")
        self.assertEqual((row["read_gb_per_s"], row["share_of_read"]), (10.5, 0.674))

    def test_other_text_is_refused(self):
        with self.assertRaisesRegex(programs.Failed, "cannot read the report 'out of memory'"):
            kernels.parse_line("out of memory")

    def test_command(self):
        parts = kernels.command("kt-kernel", "gate_up", "amx", "q6_k", 64, (768, 2048), 2, 512, "small")
        text = " ".join(map(str, parts))
        for part in ("--family gate_up", "format_gate=q6_k", "format_up=q6_k", "m=64", "dynamic=1", "dense=1", "act=silu",
                     "--stream 512", "--pages small", "--threads 2"):
            self.assertIn(part, text)
        self.assertIn("prefetch=1", text)
        self.assertNotIn("dense", " ".join(map(str, kernels.command("k", "linear", "amx", "q6_k", 1, (8, 8), 1, 0, None))))


class Peers(unittest.TestCase):
    def test_json_between_log_lines(self):
        tests = [{"n_prompt": 512, "n_gen": 0, "avg_ts": 160.5}, {"n_prompt": 0, "n_gen": 32, "avg_ts": 21.5}]
        text = "[warning] odd\n" + json.dumps(tests, indent=2) + "\nbye\n"
        self.assertEqual(peer.rates(text), {"prefill": 160.5, "decode": 21.5})

    def test_markdown(self):
        self.assertEqual(peer.rates(MARKDOWN), {"prefill": 160.1, "decode": 21.4})
        self.assertEqual(peer.rates(MARKDOWN.replace("tg32", "tg32@pp4096"))["decode"], 21.4)

    def test_anything_else_is_refused(self):
        for text in ("", "Segmentation fault", "[1, 2]", "| a | b |\n| 1 | 2 |"):
            with self.assertRaises(programs.Failed):
                peer.rates(text)

    def test_alternation_with_a_stand_in(self):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "llama-bench"
            program.write_text("#!/bin/sh\ncase $1 in --help) echo '-gp <pp,tg>';; *) echo \"$@\" >> " + folder +
                               "/calls; echo '[{\"n_prompt\": 8, \"n_gen\": 4, \"avg_ts\": 2.0}]';; esac\n")
            program.chmod(0o755)
            rival = peer.Peer(program, ["-fmoe", "1"])
            self.assertEqual(rival.measure("m.gguf", 8, 4, 4096, 2), {"decode": 2.0})
            call = (pathlib.Path(folder) / "calls").read_text()
            self.assertIn("-gp 4096,4", call)
            self.assertIn("-fmoe 1", call)

    def test_a_missing_program_is_named(self):
        with self.assertRaisesRegex(programs.Failed, "not-there"):
            programs.run(["/not-there"])


class Models(unittest.TestCase):
    def options(self, **more):
        values = {"prompt": [512, 2048], "generate": 32, "depth": [0, 4096], "batch": [1, 4], "threads": [0, 1]}
        return types.SimpleNamespace(**{**values, **more})

    def test_places_vary_one_thing_at_a_time(self):
        places = models.ModelBench(None, self.options()).places()
        self.assertEqual(places, [(512, 32, 0, 1, 0), (2048, 0, 0, 1, 0), (0, 32, 4096, 1, 0), (0, 32, 0, 4, 0),
                                  (512, 32, 0, 1, 1)])
        self.assertEqual(models.ModelBench(None, self.options(prompt=[0], depth=[0], batch=[1], threads=[0])).places(),
                         [(0, 32, 0, 1, 0)])

    def test_a_peer_that_fails_is_left_out(self):
        def fail(*_):
            raise programs.Failed("cannot load the model")
        bench = models.ModelBench(None, self.options(rounds=2), types.SimpleNamespace(measure=fail))
        bench.ours = lambda *_: ours(10.0, 20.0)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            measured = bench.point("m.gguf", "m.ktp", 512, 32, 0, 1, 0)
        self.assertIn("cannot load the model", said.getvalue())
        self.assertNotIn("peer", models.summary(measured, "decode"))

    def test_summary(self):
        row = models.summary(point([10.0, 30.0, 20.0], rival=10.0), "decode")
        self.assertEqual((row["rate"], row["min"], row["max"], row["predicted"], row["peer"], row["ratio"]),
                         (20, 10, 30, 20, 10, 2))
        self.assertAlmostEqual(row["share_of_bound"], 2 / 3)
        self.assertIsNone(models.summary(point([10.0]), "prefill"))
        self.assertEqual(models.summary(point([10.0], threads=1), "decode")["predicted"], 0)

    def test_synthetic_models_are_written_once(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "synth_models.py").write_text(
                "import sys, pathlib\nassert sys.argv[1] == 'tiny' and sys.argv[3:] == ['--layers', '2']\n"
                "pathlib.Path(sys.argv[2]).write_text('model')\n")
            made = models.synthetic("tiny:2", folder, folder)
            self.assertEqual((made.name, made.read_text()), ("tiny-2l.gguf", "model"))
            made.write_text("kept")
            self.assertEqual(models.synthetic("tiny:2", folder, folder).read_text(), "kept")
            with self.assertRaises(programs.Failed), contextlib.redirect_stderr(io.StringIO()):
                models.synthetic("other", folder, folder)
            with self.assertRaisesRegex(programs.Failed, "NAME:LAYERS"):
                models.synthetic("tiny:two", folder, folder)


class Reports(unittest.TestCase):
    def test_markdown(self):
        result = result_with([point([10.0, 20.0], prefill=100.0, rival=10.0)])
        result["kernels"] = [kernels.parse_line(KERNEL)]
        text = report.markdown(result)
        self.assertIn("| m.gguf | decode | 0 | 2 | 15.00 (10.00-20.00) | 20.00 | 75 % | 30.00 | 50 % | 10.00 | 1.50 |", text)
        self.assertIn("| m.gguf | prefill 512 | 0 | 2 | 100.00 (100.00-100.00) | 200.00 | 50 % |  |  |  |  |", text)
        self.assertIn("| gate_up | avx512 | q4_k | 4 | 2 | 7.1 | 0.101 | 45.6 |  |  |", text)
        self.assertIn("commit abc", text)

    def test_series(self):
        result = result_with([point([20.0], prefill=100.0), point([15.0], depth=4096, prompt=0),
                              point([11.0], threads=1, prompt=512)])
        self.assertEqual(series.model_series(result, "decode", "depth")["m.gguf"]["ours"], [(0, 20.0), (4096, 15.0)])
        self.assertEqual(series.model_series(result, "decode", "threads")["m.gguf"]["ours"], [(1, 11.0), (2, 20.0)])
        self.assertEqual(series.model_series(result, "prefill", "prompt"), {})
        result["kernels"] = [dict(kernels.parse_line(KERNEL), m=m) for m in (4, 1)]
        self.assertEqual([p[0] for p in series.kernel_series(result)[("gate_up", "avx512", 2)]["q4_k"]], [1, 4])


class CommandLine(unittest.TestCase):
    def test_counts(self):
        self.assertEqual(cli.counts("1-3,8"), [1, 2, 3, 8])
        for text in ("", "a", "1-", "1-b"):
            with self.assertRaises(Exception):
                cli.counts(text)

    def test_show(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "r.json")
            pathlib.Path(path).write_text(json.dumps(result_with([point([10.0])])))
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                self.assertEqual(cli.main(["show", path]), 0)
            self.assertIn("| m.gguf | decode |", out.getvalue())
            with contextlib.redirect_stderr(io.StringIO()) as errors:
                self.assertEqual(cli.main(["show", path + ".none"]), 1)
                self.assertEqual(cli.main(["models", "--bin", folder]), 1)
            self.assertIn("ktc: not there; say where with --bin or --build", errors.getvalue())

    def test_rates_of_a_machine_description(self):
        text = "cpu:\n  int8_ops: {amx: 1.9e+12, avx512: 4e11}   # both\n  other: {a: 1}\n"
        self.assertEqual(programs.yaml_rates(text, "int8_ops"), {"amx": 1.9e12, "avx512": 4e11})
        self.assertEqual(programs.yaml_rates(text, "bf16_ops"), {})


if __name__ == "__main__":
    unittest.main()
