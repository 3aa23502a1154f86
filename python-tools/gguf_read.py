"""Read GGUF files (versions 2 and 3, splits) into Python values and numpy arrays.

Why our own reader: it is the second opinion on our own importer and on the block formats, so it shares no code with
either. It favours plainness over speed: tensors are decoded to float32 as a whole. It trusts its input; the compiler's
importer is the one that has to survive damaged files.
"""
import re
import struct

import numpy as np

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9


def _half(raw):
    """Two bytes per row to one float32 per row, kept as a column so that it scales a block."""
    return np.ascontiguousarray(raw).view("<f2").astype(np.float32)


def _nibbles(raw):
    """(n, 16) bytes to (n, 32) values: the low nibbles are the first half of the block."""
    return np.concatenate([raw & 15, raw >> 4], axis=1).astype(np.float32)


def _fifth_bits(raw):
    """(n, 4) bytes of the high-bit word to (n, 32) values 0 or 16."""
    return np.unpackbits(np.ascontiguousarray(raw), axis=1, bitorder="little").astype(np.float32) * 16


def _q4_0(b):
    return _half(b[:, :2]) * (_nibbles(b[:, 2:]) - 8)


def _q4_1(b):
    return _half(b[:, :2]) * _nibbles(b[:, 4:]) + _half(b[:, 2:4])


def _q5_0(b):
    return _half(b[:, :2]) * (_nibbles(b[:, 6:]) + _fifth_bits(b[:, 2:6]) - 16)


def _q5_1(b):
    return _half(b[:, :2]) * (_nibbles(b[:, 8:]) + _fifth_bits(b[:, 4:8])) + _half(b[:, 2:4])


def _q8_0(b):
    return _half(b[:, :2]) * np.ascontiguousarray(b[:, 2:]).view(np.int8)


def _k4_scales(raw):
    """The 12 bytes of Q4_K and Q5_K: eight 6-bit scales and eight 6-bit minima.

    The first four of each are the low six bits of bytes 0-3 and 4-7; the last four have their low nibble in bytes
    8-11 and their two high bits on top of those first bytes."""
    first, second, last = raw[:, 0:4], raw[:, 4:8], raw[:, 8:12]
    scales = np.concatenate([first & 63, (last & 15) | ((first >> 6) << 4)], axis=1)
    minima = np.concatenate([second & 63, (last >> 4) | ((second >> 6) << 4)], axis=1)
    return scales.astype(np.float32), minima.astype(np.float32)


def _k4_values(raw):
    """128 bytes to 8 groups of 32: bytes 32i..32i+31 hold group 2i in the low and group 2i+1 in the high nibbles."""
    raw = raw.reshape(-1, 4, 1, 32)
    return np.concatenate([raw & 15, raw >> 4], axis=2).reshape(-1, 8, 32)


def _q4_k(b):
    scales, minima = _k4_scales(b[:, 4:16])
    q = _k4_values(b[:, 16:]).astype(np.float32)
    y = (_half(b[:, 0:2]) * scales)[..., None] * q - (_half(b[:, 2:4]) * minima)[..., None]
    return y.reshape(-1, 256)


def _q5_k(b):
    scales, minima = _k4_scales(b[:, 4:16])
    high = np.unpackbits(np.ascontiguousarray(b[:, 16:48]), axis=1, bitorder="little")
    high = high.reshape(-1, 32, 8).transpose(0, 2, 1)  # bit g of byte l belongs to element l of group g
    q = _k4_values(b[:, 48:]).astype(np.float32) + 16 * high.astype(np.float32)
    y = (_half(b[:, 0:2]) * scales)[..., None] * q - (_half(b[:, 2:4]) * minima)[..., None]
    return y.reshape(-1, 256)


def _two_bits(raw):
    """64 bytes to 256 values 0..3: two halves of 128, in each the bit pairs of 32 bytes from low to high."""
    raw = raw.reshape(-1, 2, 1, 32)
    return np.concatenate([(raw >> s) & 3 for s in (0, 2, 4, 6)], axis=2).reshape(-1, 16, 16)


def _q2_k(b):
    scales = b[:, :16]
    q = _two_bits(b[:, 16:80]).astype(np.float32)
    y = (_half(b[:, 80:82]) * (scales & 15))[..., None] * q - (_half(b[:, 82:84]) * (scales >> 4))[..., None]
    return y.reshape(-1, 256)


def _q3_k(b):
    mask = np.unpackbits(np.ascontiguousarray(b[:, :32]), axis=1, bitorder="little").reshape(-1, 32, 8)
    high = mask.transpose(0, 2, 1).reshape(-1, 16, 16).astype(np.float32)  # bit g: group g of 32; clear means -4
    q = _two_bits(b[:, 32:96]).astype(np.float32) + 4 * high - 4
    raw = b[:, 96:108]
    low = np.concatenate([raw[:, :8] & 15, raw[:, :8] >> 4], axis=1)
    top = np.concatenate([(raw[:, 8:] >> s) & 3 for s in (0, 2, 4, 6)], axis=1)
    scales = (low | (top << 4)).astype(np.float32) - 32
    return ((_half(b[:, 108:110]) * scales)[..., None] * q).reshape(-1, 256)


def _q6_k(b):
    ql, qh = b[:, :128].reshape(-1, 2, 2, 32), b[:, 128:192].reshape(-1, 2, 1, 32)
    low = np.concatenate([ql & 15, ql >> 4], axis=2)  # per half of 128: four groups of 32
    high = np.concatenate([(qh >> s) & 3 for s in (0, 2, 4, 6)], axis=2)
    q = (low | (high << 4)).astype(np.float32).reshape(-1, 16, 16) - 32
    scales = np.ascontiguousarray(b[:, 192:208]).view(np.int8).astype(np.float32)
    return ((_half(b[:, 208:210]) * scales)[..., None] * q).reshape(-1, 256)


_IQ4_VALUES = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)


def _iq4_nl(b):
    return _half(b[:, :2]) * _IQ4_VALUES[_nibbles(b[:, 2:]).astype(np.uint8)]


_MXFP4_VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def _mxfp4(b):
    return np.ldexp(_MXFP4_VALUES[_nibbles(b[:, 1:]).astype(np.uint8)], b[:, :1].astype(np.int32) - 127)


# Block formats: type id -> (values per block, bytes per block, decoder from (n, bytes) uint8 to (n, values) float32).
BLOCK_TYPES = {
    2: (32, 18, _q4_0), 3: (32, 20, _q4_1), 6: (32, 22, _q5_0), 7: (32, 24, _q5_1), 8: (32, 34, _q8_0),
    10: (256, 84, _q2_k), 11: (256, 110, _q3_k), 12: (256, 144, _q4_k), 13: (256, 176, _q5_k), 14: (256, 210, _q6_k),
    20: (32, 18, _iq4_nl), 39: (32, 17, _mxfp4),
}
# Plain formats: type id -> numpy dtype. BF16 is read as u16 and widened by hand.
PLAIN_TYPES = {0: "<f4", 1: "<f2", 26: "<i4", 30: "<u2"}


def decode_tensor(raw, type_id, count):
    """The first `count` values in `raw` (uint8 array) of GGUF type `type_id`, as a float32 vector."""
    if type_id in PLAIN_TYPES:
        dtype = np.dtype(PLAIN_TYPES[type_id])
        x = raw[:count * dtype.itemsize].view(dtype)
        return (x.astype(np.uint32) << 16).view(np.float32) if type_id == 30 else x.astype(np.float32)
    if type_id not in BLOCK_TYPES:
        raise ValueError(f"tensor type {type_id} is not known to this reader")
    values, size, decode = BLOCK_TYPES[type_id]
    return decode(raw[:count // values * size].reshape(-1, size)).reshape(-1)


class _Cursor:
    """Reads little-endian values one after the other from a byte array."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        self.at += size
        return self.data[self.at - size:self.at].tobytes()

    def scalar(self, fmt):
        return struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0]

    def string(self):
        return self.take(self.scalar("<Q")).decode("utf-8", "surrogateescape")

    def value(self, type_id):
        if type_id == _STRING:
            return self.string()
        if type_id == _ARRAY:
            element, count = self.scalar("<I"), self.scalar("<Q")
            return [self.value(element) for _ in range(count)]
        return self.scalar(_SCALARS[type_id])


class GgufFile:
    """One model: `metadata` (dict), `tensors` (name -> (ne, type id)), and tensor data on demand.

    Given the first file of a split model, the others are found by name and read as well."""

    def __init__(self, path):
        self.metadata, self._where, self.tensors = {}, {}, {}
        self._read(path)
        count = self.metadata.get("split.count", 1)
        for number in range(2, count + 1):
            self._read(re.sub(r"-00001-of-", f"-{number:05d}-of-", path))

    def _read(self, path):
        data = np.memmap(path, np.uint8, "r")
        cursor = _Cursor(data)
        if cursor.take(4) != b"GGUF":
            raise ValueError(f"{path}: not a GGUF file")
        version = cursor.scalar("<I")
        if version not in (2, 3):
            raise ValueError(f"{path}: GGUF version {version}; expected 2 or 3")
        n_tensors, n_metadata = cursor.scalar("<Q"), cursor.scalar("<Q")
        alignment = 32
        for _ in range(n_metadata):
            key = cursor.string()
            value = cursor.value(cursor.scalar("<I"))
            self.metadata.setdefault(key, value)
            if key == "general.alignment":
                alignment = value
        infos = []
        for _ in range(n_tensors):
            name = cursor.string()
            ne = tuple(cursor.scalar("<Q") for _ in range(cursor.scalar("<I")))
            infos.append((name, ne, cursor.scalar("<I"), cursor.scalar("<Q")))
        start = -(-cursor.at // alignment) * alignment
        for name, ne, type_id, offset in infos:
            self.tensors[name] = (ne, type_id)
            self._where[name] = (data, start + offset)

    def __contains__(self, name):
        return name in self.tensors

    def tensor(self, name):
        """The tensor as float32 with numpy's dimension order, that is ne reversed: (rows, columns) for a matrix."""
        ne, type_id = self.tensors[name]
        data, at = self._where[name]
        return decode_tensor(data[at:], type_id, int(np.prod(ne))).reshape(ne[::-1])

    def get(self, key, default=None):
        """Metadata value of KEY, where a leading `{arch}.` stands for the file's architecture."""
        return self.metadata.get(key.format(arch=self.metadata["general.architecture"]), default)
