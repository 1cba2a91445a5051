#!/usr/bin/env bash
# One would guess: NPY_ENABLE_CPU_FEATURES="AVX2 FMA3" (the names that the CPU flags, NumPy 1.x and `numpy.show_runtime` used)
# enables AVX2, and a name that NumPy does not know is an error, or ignored.
# What happens (NumPy 2.4.6): dispatch goes by the groups X86_V3, X86_V4 … since 2.4; any other name, AVX2 too, draws an
# ImportWarning, which Python hides, and switches ALL dispatched features off: np.exp of float32 has other bits from then
# on. A known name that the CPU lacks is a RuntimeError at import; an empty value is as if unset.
# Source: NumPy's reference, "CPU/SIMD optimizations", runtime environment variables.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q numpy==2.4.6
grep -qw avx2 /proc/cpuinfo || { echo "needs a CPU with AVX2"; exit 0; }
cat >"$work/run.py" <<'P'
import hashlib
import numpy as np
from numpy._core._multiarray_umath import __cpu_dispatch__ as d, __cpu_features__ as f
x = np.random.default_rng(0).normal(size=10_001).astype("f4")
print(",".join(n for n in d if f[n]) or "none", hashlib.sha256(np.exp(x).tobytes()).hexdigest()[:8])
P
run() { "$work/venv/bin/python" "$work/run.py"; }
plain=$(run)
named=$(NPY_ENABLE_CPU_FEATURES="AVX2 FMA3" run 2>"$work/err")
group=$(NPY_ENABLE_CPU_FEATURES=X86_V3 run)
empty=$(NPY_ENABLE_CPU_FEATURES= run)
printf 'unset          %s\n"AVX2 FMA3"    %s\nX86_V3         %s\nempty          %s\n' "$plain" "$named" "$group" "$empty"
[ "${named%% *}" = none ] && [ ! -s "$work/err" ] && [ "${group%% *}" = X86_V3 ] && [ "$empty" = "$plain" ] && [ "$named" != "$group" ]
