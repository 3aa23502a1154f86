"""Runs the package as a program: `python3 python-tools/bench …`, from any folder, with nothing but Python 3.9."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from bench.cli import main  # noqa: E402  (the path has to be known first)

sys.exit(main())
