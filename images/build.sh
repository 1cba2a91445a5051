#!/usr/bin/env bash
# Build container images with podman or docker: `images/build.sh [IMAGE…]`, all of them by default.
#
# Each is tagged `${REGISTRY:-winnow}/<image>:<commit>`, never latest; where the checkout differs from its commit, with
# `-dirty-` and a digest of its files, because nodes keep what a tag once was. The wheel and the SBOMs (CycloneDX, from
# the locked requirements) are made first, by the two environments that `make images` sets up. BASE is the Python image
# that everything stands on, TORCH where the CPU build of torch lies (images/model/Dockerfile), BUILD_ARGS more arguments
# for the builder.
set -euo pipefail
cd "$(dirname "$0")/.."

changed() { # '' for a clean checkout, else `-dirty-` and the digest of what `git add` would take
  [ "$(git status --porcelain)" ] || return 0
  local scratch
  scratch=$(mktemp -d)
  GIT_INDEX_FILE=$scratch/index git add -A
  echo "-dirty-$(GIT_INDEX_FILE=$scratch/index git write-tree | cut -c1-12)"
  rm -r "$scratch"
}

builder=${BUILDER:-$(command -v podman || command -v docker)} || { echo "images: neither podman nor docker is installed"; exit 1; }
python=${PYTHON_BIN:-.venv/bin/python}
sbom=${SBOM_BIN:-.venv/sbom/bin/python}
registry=${REGISTRY:-winnow}
commit=${COMMIT:-$(git rev-parse --short=12 HEAD)$(changed)}
version=$("$python" -c 'import winnow; print(winnow.__version__)')
wanted=("$@")
[ $# -gt 0 ] || wanted=(base fetch media model corpus warehouse airflow)

rm -rf dist && mkdir -p dist/sbom
"$python" -m pip wheel -q --no-deps --wheel-dir dist .
rm -rf build

build() { # image Dockerfile-target extra-arguments…
  local image=$1 file=$2 tag=$registry/$3:$commit
  shift 3
  # shellcheck disable=SC2086
  "$builder" build -q -f "$file" -t "$tag" ${BASE:+--build-arg PYTHON="$BASE"} ${BUILD_ARGS:-} "$@" \
    --label org.opencontainers.image.revision="$(git rev-parse HEAD)" --label org.opencontainers.image.version="$version" \
    --label org.opencontainers.image.title="winnow $image" --label org.opencontainers.image.licenses=Apache-2.0 . >/dev/null
}

for image in "${wanted[@]}"; do
  locks=("images/$image/requirements.txt")
  [ "$image" != model ] || [ "${TORCH:-}" ] || locks+=(images/model/cuda.txt)
  cat "${locks[@]}" | "$sbom" -m cyclonedx_py requirements --output-reproducible --of JSON -o "dist/sbom/$image.json" -
done
build base images/base/Dockerfile deps --target deps
for image in "${wanted[@]}"; do
  started=$SECONDS
  if [ "$image" = base ]; then
    build base images/base/Dockerfile base
  else
    build "$image" "images/$image/Dockerfile" "$image" --build-arg DEPS="$registry/deps:$commit" ${TORCH:+--build-arg TORCH="$TORCH"}
  fi
  size=$("$builder" image inspect --format '{{.Size}}' "$registry/$image:$commit")
  echo "$registry/$image:$commit  $((size / 1000000)) MB  $((SECONDS - started)) s"
done
rm -rf dist
