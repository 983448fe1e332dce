#!/bin/bash
# Run by EMR on every machine of a cluster, before Spark is there: one Python environment, of the wheels of a release.
#   bootstrap.sh S3_PREFIX_OF_THE_RELEASE SHA256_OF_THE_WHEELHOUSE [FOLDER]
set -euo pipefail

stop() {
  echo "fruits bootstrap: $*" >&2
  exit 1
}

[ $# -ge 2 ] || stop "usage: bootstrap.sh S3_PREFIX SHA256 [FOLDER]"
release=${1%/} sha256=$2 folder=${3:-/opt/fruits}
python=python3.11
case $(uname -m) in
  x86_64) architecture=x86_64 ;;
  aarch64 | arm64) architecture=arm64 ;;
  *) stop "no release is made for $(uname -m)" ;;
esac
archive=wheelhouse-$architecture.tar.gz
root=$([ "$(id -u)" = 0 ] || echo sudo)

command -v "$python" > /dev/null || $root dnf install -y -q "$python" || stop "$python is not here and cannot be installed"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
aws s3 cp --only-show-errors "$release/$archive" "$work/$archive" \
  || stop "$release/$archive is not there or not open to this machine; publish the release for $architecture"
found=$(sha256sum "$work/$archive" | cut -d ' ' -f 1)
[ "$found" = "$sha256" ] || stop "$release/$archive has checksum $found instead of $sha256; publish the release anew"

tar -xzf "$work/$archive" -C "$work"
list=$(find "$work" -name requirements.txt -print -quit)
[ -n "$list" ] || stop "$archive holds no requirements.txt"
$root "$python" -m venv "$folder"
$root "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-index \
  --find-links "$(dirname "$list")" --requirement "$list" || stop "the wheels of $archive cannot be installed"
echo "fruits bootstrap: $folder is ready, $("$folder/bin/python" --version)"
