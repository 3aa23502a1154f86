"""Benchmarks: kernels, whole models, and other engines beside ours. See `python3 python-tools/bench --help`."""
