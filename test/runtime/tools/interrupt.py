"""Runs a command, interrupts it after its first output, and checks that it ends as `ktrt run` promises: soon, with
statistics on standard error and exit code 130."""

import signal
import subprocess
import sys

process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
first = process.stdout.read(1)
process.send_signal(signal.SIGINT)
output, errors = process.communicate(timeout=60)
errors = errors.decode()
sys.stderr.write(errors)
assert first, "no output before the interruption"
# A fast machine may fill the context of a tiny model first; then there was nothing to interrupt.
if "context full" not in errors:
    assert process.returncode == 130, process.returncode
    assert "interrupted" in errors
