"""Tests of the Python tools: GGUF writer and reader, block formats, logits and perplexity comparison, numpy forward.

    tools_test.py [DIRECTORY_OF_GOLDEN_MODELS]

Without a directory the golden models are left out. Needs numpy only.
"""
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from gguf_numpy import Model
from gguf_read import GgufFile, decode_tensor
from gguf_write import TENSOR_TYPES, GgufWriter, encode_tensor

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = None
# Golden models that share the logits of another one.
SHARED = {"deepseek2-v3-legacy": "deepseek2-v3", "qwen3moe-fused": "qwen3moe",
          "llama-q4_0-split-00001-of-00003": "llama-q4_0"}


def run_tool(name, *arguments, text=None):
    """Exit code of one of the scripts."""
    return subprocess.run([sys.executable, os.path.join(HERE, name), *arguments], input=text, text=True,
                          capture_output=True, check=False).returncode


class Container(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def test_every_metadata_type_in_both_versions(self):
        values = [("u8", 200), ("i8", -3), ("u16", 60000), ("i16", -300), ("u32", 4000000000), ("i32", -70000),
                  ("f32", 0.5), ("bool", True), ("str", "na\u00efve \u4f60"), ("u64", 1 << 60), ("i64", -(1 << 60)),
                  ("f64", 0.1), ("str[]", ["a", "", "b c"]), ("i32[]", [1, -2]), ("bool[]", [True, False]),
                  ("f32[]", [])]
        for version in (2, 3):
            writer = GgufWriter("test", version)
            for kind, value in values:
                writer.add(f"key.{kind}", kind, value)
            writer.write(self.path("m.gguf"))
            metadata = GgufFile(self.path("m.gguf")).metadata
            for kind, value in values:
                self.assertEqual(metadata[f"key.{kind}"], value)

    def test_tensors_and_alignment(self):
        writer = GgufWriter("test", alignment=128)
        first, second = np.arange(15, dtype=np.float32).reshape(3, 5), np.arange(6, dtype=np.float32).reshape(1, 2, 3)
        writer.add_tensor("first", first, "f32")
        writer.add_tensor("second", second, "bf16")
        writer.write(self.path("t.gguf"))
        gguf = GgufFile(self.path("t.gguf"))
        self.assertEqual(gguf.tensors["first"], ((5, 3), 0))
        np.testing.assert_array_equal(gguf.tensor("first"), first)
        np.testing.assert_array_equal(gguf.tensor("second"), second)

    def test_splits(self):
        for tensors_in_first, count in ((True, 3), (False, 4)):
            writer = GgufWriter("test", alignment=64)
            for i in range(5):
                writer.add_tensor(f"t{i}", np.full((2, 3), i, np.float32), "f16")
            paths = writer.write_splits(self.path(f"s{count}"), 2, tensors_in_first)
            self.assertEqual(len(paths), count)
            gguf = GgufFile(paths[0])
            self.assertEqual(gguf.metadata["split.tensors.count"], 5)
            for i in range(5):
                np.testing.assert_array_equal(gguf.tensor(f"t{i}"), np.full((2, 3), i, np.float32))

    def test_refuses_rows_that_are_not_whole_blocks(self):
        with self.assertRaises(ValueError):
            encode_tensor(np.zeros((2, 48)), "q8_0")
        with self.assertRaises(ValueError):
            GgufWriter("test", version=1)


class BlockFormats(unittest.TestCase):
    def test_round_trip_error(self):
        x = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
        x[0, :32] = 0
        limits = {"f32": 0, "f16": 1e-7, "bf16": 1e-5, "q8_0": 5e-5, "q5_0": 3e-3, "q5_1": 2e-3, "q4_0": 1e-2,
                  "q4_1": 8e-3, "mxfp4": 2e-2}
        for kind, limit in limits.items():
            raw = np.frombuffer(encode_tensor(x, kind), np.uint8)
            type_id, block, size = TENSOR_TYPES[kind]
            self.assertEqual(raw.size, x.size // block * size)
            y = decode_tensor(raw, type_id, x.size).reshape(x.shape)
            self.assertLessEqual(((x - y) ** 2).sum() / (x ** 2).sum(), limit, kind)
            np.testing.assert_array_equal(y[0, :32], 0, kind)

    def test_stored_values_survive_a_second_round(self):
        x = np.random.default_rng(1).standard_normal((4, 32)).astype(np.float32)
        for kind in ("q8_0", "q4_0", "q5_0", "bf16", "mxfp4"):
            once = encode_tensor(x, kind)
            y = decode_tensor(np.frombuffer(once, np.uint8), TENSOR_TYPES[kind][0], x.size).reshape(x.shape)
            self.assertEqual(encode_tensor(y, kind), once, kind)


class Comparison(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.x = np.random.default_rng(2).standard_normal((4, 10)).astype(np.float32)
        self.a = self.write("a.f32", self.x)

    def write(self, name, array):
        path = os.path.join(self.directory.name, name)
        array.tofile(path)
        return path

    def test_thresholds_decide_the_exit_code(self):
        b = self.write("b.f32", self.x * np.float32(1.01))
        self.assertEqual(run_tool("compare_logits.py", self.a, b, "--vocab", "10", "--nmse", "1e-3"), 0)
        self.assertEqual(run_tool("compare_logits.py", self.a, b, "--vocab", "10", "--nmse", "1e-5"), 1)
        c = self.write("c.f32", -self.x)
        self.assertEqual(run_tool("compare_logits.py", self.a, c, "--vocab", "10", "--argmax", "50"), 1)
        self.assertEqual(run_tool("compare_logits.py", self.a, c, "--vocab", "10", "--kl", "0.01"), 1)

    def test_positions_can_be_left_out(self):
        other = self.x.copy()
        other[2] += 1
        b = self.write("b.f32", other)
        self.assertEqual(run_tool("compare_logits.py", self.a, b, "--vocab", "10", "--nmse", "0"), 1)
        self.assertEqual(run_tool("compare_logits.py", self.a, b, "--vocab", "10", "--nmse", "0", "--except", "2"), 0)
        self.assertEqual(run_tool("compare_logits.py", self.a, b, "--vocab", "10", "--nmse", "0", "--except", "1"), 1)
        self.assertEqual(run_tool("compare_logits.py", self.a, b, "--vocab", "10", "--except", "0,1,2,3"), 1)

    def test_archives_hold_the_same_numbers(self):
        for kind in (np.float16, np.float32, np.float64):
            path = os.path.join(self.directory.name, "a.npz")
            np.savez(path, tokens=np.arange(4), logits=self.x.astype(kind))
            self.assertEqual(run_tool("compare_logits.py", path, self.a, "--vocab", "10", "--nmse", "1e-6"), 0)
        np.savez(path, logits=np.arange(40).reshape(4, 10))
        self.assertEqual(run_tool("compare_logits.py", path, self.a, "--vocab", "10"), 1)

    def test_damaged_input_is_a_failure(self):
        short = self.write("short.f32", self.x[:3])
        bad = self.write("nan.f32", np.full_like(self.x, np.nan))
        for other in (short, bad, os.path.join(self.directory.name, "absent.f32")):
            self.assertEqual(run_tool("compare_logits.py", self.a, other, "--vocab", "10", "--nmse", "1"), 1)
        self.assertEqual(run_tool("compare_logits.py", self.a, self.a, "--vocab", "7"), 1)
        self.assertEqual(run_tool("compare_logits.py", self.a), 2)

    def test_perplexity(self):
        def check(text, *more):
            return run_tool("check_perplexity.py", "--expected", "20", *more, text=text)

        self.assertEqual(check('{"perplexity": 20.05, "tokens": 40}', "--tokens", "40"), 0)
        self.assertEqual(check('{"perplexity": 20.2}'), 1)
        self.assertEqual(check('{"perplexity": 19.8}'), 1)
        self.assertEqual(check('{"perplexity": 20.0, "tokens": 39}', "--tokens", "40"), 1)
        for broken in ("", "[]", "{}", '{"perplexity": null}', '{"perplexity": NaN}'):
            self.assertEqual(check(broken), 1)


class GoldenModels(unittest.TestCase):
    def test_numpy_forward_reproduces_the_logits(self):
        if GOLDEN is None:
            self.skipTest("no directory of golden models given")
        names = [f[:-len(".gguf")] for f in sorted(os.listdir(GOLDEN)) if f.endswith(".gguf")]
        names = [n for n in names if "-of-" not in n or "-00001-of-" in n]
        self.assertGreaterEqual(len(names), 18)
        for name in names:
            base = os.path.join(GOLDEN, SHARED.get(name, name))
            with open(base + ".tokens", encoding="ascii") as f:
                tokens = [int(t) for t in f.read().split()]
            expected = np.fromfile(base + ".logits.f32", "<f4").reshape(len(tokens), -1).astype(np.float64)
            actual = Model(os.path.join(GOLDEN, name + ".gguf")).forward(tokens)
            self.assertLess(((actual - expected) ** 2).sum() / (expected ** 2).sum(), 1e-10, name)


if __name__ == "__main__":
    if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]):
        GOLDEN = sys.argv.pop(1)
    unittest.main()
