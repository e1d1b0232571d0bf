#!/bin/sh
# release.sh [TAG]: writes what a release consists of beside its image into dist/release: the files to install by, the
# chart, the plugin for krew, the documentation, an SBOM of the image's Python packages (CycloneDX) and checksums. The
# version is the one in pyproject.toml; a TAG that is not v<version> is refused. REPOSITORY is the URL below which the
# release's files can be downloaded. Needs .venv (`make venv`) and helm; run it as `make release`.
set -eu
cd "$(dirname "$0")/.."

version=$(.venv/bin/python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
if [ -n "${1:-}" ] && [ "$1" != "v$version" ]; then
  echo "The tag $1 does not name the version in pyproject.toml, v$version." >&2
  exit 1
fi

out=dist/release
rm -rf "$out"
mkdir -p "$out"
cp deploy/install.yaml "$out/install.yaml"
cp crds/buildkitbuilders.yaml "$out/crds.yaml"
cp LICENSE "$out/LICENSE"
"${HELM:-helm}" package deploy/helm/buildkit-operator --destination "$out" >/dev/null
# Without a serial number and a time of its own: the same source gives the same bytes.
.venv/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON \
  -o "$out/buildkit-operator-$version.cdx.json" deploy/requirements.lock
.venv/bin/python -m hack.release.krew "$out" "${REPOSITORY:-https://git.example.com/buildkit-operator}"
# One folder of the published site, which hack/release/pages.py makes of all releases' archives.
DOCS_VERSIONS=1 .venv/bin/python -m properdocs build --quiet --config-file docs/site/properdocs.yml \
  --site-dir "$PWD/dist/documentation"
tar -czf "$out/documentation-$version.tar.gz" -C dist/documentation .
# Each name stands beside its sum without a folder, so that `sha256sum --check` works where the files were downloaded to.
(cd "$out" && sha256sum -- * > SHA256SUMS)
echo "$out:"
ls -1 "$out"
