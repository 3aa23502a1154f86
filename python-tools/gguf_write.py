"""Write GGUF files (version 2 or 3, little-endian), whole or split.

Why our own writer: tests need files that are exactly as described, including unusual ones (old versions, other
alignments, splits, every metadata type), and need them without a dependency. It is used by make_golden_models.py and
by the tests of the importer. A file written here follows the same rules as one of llama.cpp's converter: tensor data
in the order of the tensor infos, each start padded to the alignment, no gaps.

Example:
    w = GgufWriter("llama")
    w.add("llama.block_count", "u32", 2)
    w.add("tokenizer.ggml.tokens", "str[]", ["a", "b"])
    w.add_tensor("token_embd.weight", array, "f16")   # array of shape (vocab, width) becomes ne = {width, vocab}
    w.write("model.gguf")
    w.write_splits("model", max_tensors=4)            # model-00001-of-00003.gguf, ...
"""
import math
import os
import struct

import numpy as np

# Metadata value types: name -> (id in the file, struct format or None for types of variable length).
VALUE_TYPES = {
    "u8": (0, "<B"), "i8": (1, "<b"), "u16": (2, "<H"), "i16": (3, "<h"), "u32": (4, "<I"), "i32": (5, "<i"),
    "f32": (6, "<f"), "bool": (7, "<?"), "str": (8, None), "array": (9, None), "u64": (10, "<Q"), "i64": (11, "<q"),
    "f64": (12, "<d"),
}

# Tensor types: name -> (id, values per block, bytes per block).
TENSOR_TYPES = {
    "f32": (0, 1, 4), "f16": (1, 1, 2), "q4_0": (2, 32, 18), "q4_1": (3, 32, 20), "q5_0": (6, 32, 22),
    "q5_1": (7, 32, 24), "q8_0": (8, 32, 34), "bf16": (30, 1, 2), "i32": (26, 1, 4), "mxfp4": (39, 32, 17),
    # No quantiser here: their bytes come from elsewhere (add_stream).
    "q4_k": (12, 256, 144), "q5_k": (13, 256, 176), "q6_k": (14, 256, 210),
}


def _half_bytes(x):
    """The bytes of a vector as float16: uint8 array of shape (len(x), 2)."""
    return x.astype("<f2").view(np.uint8).reshape(-1, 2)


def _inverse(d):
    """1/d, and 0 where d is 0 (a block of zeros quantises to zeros)."""
    return np.divide(1.0, d, out=np.zeros_like(d), where=d != 0)


def _pack_nibbles(q):
    """Values 0..15 of shape (n, 32) to (n, 16): element j in the low nibble of byte j, element j+16 in the high one."""
    return (q[:, :16] | (q[:, 16:] << 4)).astype(np.uint8)


def _high_bits(q):
    """Bit 4 of 32 values as one little-endian u32 per row: element j is bit j."""
    bits = ((q >> 4) & 1).astype(np.uint32) << np.arange(32, dtype=np.uint32)
    return bits.sum(axis=1, dtype=np.uint32).astype("<u4").view(np.uint8).reshape(-1, 4)


def _quantize_symmetric(x, levels):
    """Blocks of 32 with one scale; q = x/d + levels with d = -extreme/levels, so the largest value becomes 0."""
    extreme = np.take_along_axis(x, np.abs(x).argmax(axis=1)[:, None], axis=1)
    d = extreme / -levels
    q = np.clip(np.floor(x * _inverse(d) + levels + 0.5), 0, 2 * levels - 1).astype(np.uint8)
    return d[:, 0], q


def _quantize_affine(x, steps):
    """Blocks of 32 with scale and minimum; q = (x-min)/d in 0..steps."""
    low = x.min(axis=1, keepdims=True)
    d = (x.max(axis=1, keepdims=True) - low) / steps
    q = np.clip(np.floor((x - low) * _inverse(d) + 0.5), 0, steps).astype(np.uint8)
    return d[:, 0], low[:, 0], q


def _quantize_q8_0(x):
    d = np.abs(x).max(axis=1, keepdims=True) / 127
    q = np.clip(np.round(x * _inverse(d)), -127, 127).astype(np.int8)
    return np.hstack([_half_bytes(d[:, 0]), q.view(np.uint8)])


def _quantize_q4_0(x):
    d, q = _quantize_symmetric(x, 8)
    return np.hstack([_half_bytes(d), _pack_nibbles(q)])


def _quantize_q4_1(x):
    d, low, q = _quantize_affine(x, 15)
    return np.hstack([_half_bytes(d), _half_bytes(low), _pack_nibbles(q)])


def _quantize_q5_0(x):
    d, q = _quantize_symmetric(x, 16)
    return np.hstack([_half_bytes(d), _high_bits(q), _pack_nibbles(q & 15)])


def _quantize_q5_1(x):
    d, low, q = _quantize_affine(x, 31)
    return np.hstack([_half_bytes(d), _half_bytes(low), _high_bits(q), _pack_nibbles(q & 15)])


def _quantize_mxfp4(x):
    """A power of two per block, chosen so that the largest magnitude is in 4..8, and the nearest of eight magnitudes."""
    magnitudes = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    largest = np.abs(x).max(axis=1, keepdims=True)
    exponent = np.clip(np.frexp(largest)[1] - 3, -127, 127)
    steps = np.searchsorted((magnitudes[1:] + magnitudes[:-1]) / 2, np.ldexp(np.abs(x), -exponent))
    q = np.where(np.signbit(x), steps + 8, steps).astype(np.uint8)
    return np.hstack([(exponent + 127).astype(np.uint8), _pack_nibbles(q)])


_QUANTIZERS = {"q8_0": _quantize_q8_0, "q4_0": _quantize_q4_0, "q4_1": _quantize_q4_1, "q5_0": _quantize_q5_0,
               "q5_1": _quantize_q5_1, "mxfp4": _quantize_mxfp4}


def encode_tensor(array, type_name):
    """The bytes of `array` (any shape, C order) stored as `type_name`.

    Quantised types need a last dimension that is a multiple of the block size. Rounding is to nearest (even for
    f16 and bf16); the quantisers are the simple ones, without a search for a better scale.
    """
    if type_name in ("f32", "f16", "i32"):
        return np.ascontiguousarray(array, {"f32": "<f4", "f16": "<f2", "i32": "<i4"}[type_name]).tobytes()
    x = np.ascontiguousarray(array, dtype=np.float32)
    if type_name == "bf16":
        bits = x.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    _, block, _ = TENSOR_TYPES[type_name]
    if x.shape[-1] % block:
        raise ValueError(f"a row of {x.shape[-1]} values cannot be stored as {type_name} (blocks of {block})")
    return _QUANTIZERS[type_name](x.reshape(-1, block)).tobytes()


def _encode_string(text):
    raw = text if isinstance(text, bytes) else text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def _encode_scalar(type_name, value):
    if type_name == "str":
        return _encode_string(value)
    return struct.pack(VALUE_TYPES[type_name][1], value)


def encode_metadata(key, type_name, value):
    """One key-value pair. `type_name` is a name of VALUE_TYPES, or such a name followed by [] for an array."""
    head = _encode_string(key)
    if not type_name.endswith("[]"):
        return head + struct.pack("<I", VALUE_TYPES[type_name][0]) + _encode_scalar(type_name, value)
    element = type_name[:-2]
    body = b"".join(_encode_scalar(element, v) for v in value)
    return head + struct.pack("<IIQ", VALUE_TYPES["array"][0], VALUE_TYPES[element][0], len(value)) + body


class GgufWriter:
    """Collects metadata and tensors in order, then writes one file or several splits."""

    def __init__(self, architecture, version=3, alignment=32):
        """`alignment` other than 32 is also recorded as general.alignment, as readers need it."""
        if version not in (2, 3):
            raise ValueError(f"GGUF version {version} cannot be written; expected 2 or 3")
        self.version = version
        self.alignment = alignment
        self.metadata = []
        self.tensors = []
        self.add("general.architecture", "str", architecture)
        if alignment != 32:
            self.add("general.alignment", "u32", alignment)

    def add(self, key, type_name, value):
        """Append a key-value pair; see encode_metadata for the type names."""
        self.metadata.append((key, type_name, value))

    def add_tensor(self, name, array, type_name):
        """Append a tensor. The array is encoded at once, so the caller may reuse it. Dimensions are those of the
        array in reverse order: the last one is contiguous in memory and is ne[0] in the file."""
        array = np.asarray(array)
        data = encode_tensor(array, type_name)
        self.tensors.append((name, array.shape[::-1], TENSOR_TYPES[type_name][0], len(data), lambda: [data]))

    def add_stream(self, name, shape, type_name, chunks):
        """Append a tensor whose bytes are made while the file is written: `chunks()` gives them in pieces, in all
        exactly what `shape` (contiguous dimension last) takes. So a file may be larger than the memory."""
        type_id, block, size = TENSOR_TYPES[type_name]
        if shape[-1] % block:
            raise ValueError(f"a row of {shape[-1]} values cannot be stored as {type_name} (blocks of {block})")
        self.tensors.append((name, tuple(shape)[::-1], type_id, math.prod(shape) // block * size, chunks))

    def write(self, path):
        """Write everything into one file; an existing file is replaced only when the new one is complete."""
        self._write_file(path, self.metadata, self.tensors)

    def write_splits(self, prefix, max_tensors, tensors_in_first=True):
        """Write PREFIX-00001-of-0000N.gguf and so on with at most `max_tensors` tensors each; returns the paths.

        All metadata is in the first file; the others have only the split keys. `tensors_in_first=False` keeps the
        first file free of tensors."""
        groups = [self.tensors[i:i + max_tensors] for i in range(0, len(self.tensors), max_tensors)]
        if not tensors_in_first:
            groups.insert(0, [])
        paths = []
        for number, group in enumerate(groups):
            split_keys = [("split.no", "u16", number), ("split.count", "u16", len(groups)),
                          ("split.tensors.count", "i32", len(self.tensors))]
            if number and self.alignment != 32:
                split_keys.append(("general.alignment", "u32", self.alignment))
            metadata = (self.metadata if number == 0 else []) + split_keys
            paths.append(f"{prefix}-{number + 1:05d}-of-{len(groups):05d}.gguf")
            self._write_file(paths[-1], metadata, group)
        return paths

    def _padding(self, size):
        return b"\0" * (-size % self.alignment)

    def _write_file(self, path, metadata, tensors):
        head = b"GGUF" + struct.pack("<IQQ", self.version, len(tensors), len(metadata))
        head += b"".join(encode_metadata(*entry) for entry in metadata)
        offset = 0
        for name, dims, type_id, size, _ in tensors:
            head += _encode_string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, type_id, offset)
            offset += size + len(self._padding(size))
        partial = f"{path}.part"
        with open(partial, "wb") as out:
            out.write(head + self._padding(len(head)))
            for name, _, _, size, chunks in tensors:
                start = out.tell()
                for chunk in chunks():
                    out.write(chunk)
                if out.tell() - start != size:
                    raise ValueError(f"tensor '{name}': expected {size} bytes, got {out.tell() - start}")
                out.write(self._padding(size))
        os.replace(partial, path)
