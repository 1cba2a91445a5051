#!/usr/bin/env bash
# Lock each image's requirements with hashes, within constraints.txt: `images/lock.sh [IMAGE…]`. Minutes.
#
# torch's CPU and CUDA builds share a version and differ in their bytes: the lock lists the hash of both, so either may be
# installed and nothing else. TORCH_HASHES are those of the wheels for CPython 3.11 on x86-64 Linux, CUDA's first. What
# only CUDA's build depends on, gigabytes, is a lock of its own, cuda.txt. A package with an extra has
# two lines, with it and without: the pip of Debian bookworm takes them for two packages, and wants both pinned.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON_BIN:-.venv/bin/python}
TORCH_HASHES="60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7
6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
wanted=("$@")
[ $# -gt 0 ] || wanted=(base fetch media model corpus warehouse airflow)
for image in "${wanted[@]}"; do
  lock=images/$image/requirements.txt
  extra=()
  [ "$image" = base ] || extra=(--extra "$image")
  [ "$image" != airflow ] || extra+=(--extra deploy)
  "$python" -m piptools compile -q --generate-hashes --no-header --no-strip-extras --no-annotate --no-emit-index-url \
    --no-emit-options --no-emit-find-links --allow-unsafe -c constraints.txt "${extra[@]}" -o "$lock" pyproject.toml
  awk '
    function flush() { if (block) print block; if (plain) print plain; block = plain = "" }
    /^[A-Za-z]/ { flush(); block = $0; if (plain = (/^[^=]*\[/ ? $0 : "")) sub(/\[[^]]*\]/, "", plain); next }
    { block = block "\n" $0; if (plain) plain = plain "\n" $0 }
    END { flush() }' "$lock" > "$lock.new"
  mv "$lock.new" "$lock"
  if grep -q '^torch==' "$lock"; then
    # shellcheck disable=SC2086
    awk -v hashes="$(echo $TORCH_HASHES)" '
      /^torch==/ { split($1, v, "+"); n = split(hashes, h, " "); printf "%s", v[1]
                   for (i = 1; i <= n; i++) printf " \\\n    --hash=sha256:%s", h[i]; print ""; skip = 1; next }
      skip && /^    --hash/ { next }
      { skip = 0; print }' "$lock" > "$lock.new"
    awk -v cuda="${lock%requirements.txt}cuda.txt" '
      /^[A-Za-z]/ { out = /^(cuda|nvidia|triton)/ ? cuda : "/dev/stdout" } { print > out }' "$lock.new" > "$lock"
    rm "$lock.new"
  fi
  echo "$lock: $(grep -c '^[A-Za-z]' "$lock") packages"
done
