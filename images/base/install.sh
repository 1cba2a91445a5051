#!/bin/sh
# Install locked requirements: `install.sh FILE [pip's options…]`, without the test suites of the large projects. They are
# a tenth of an image, and nothing imports them; others' are (h5py's, dbt's), so those stay.
set -eu
file=$1
shift
pip install -q --require-hashes -r "$file" "$@"
cd /opt/winnow/lib/python3.11/site-packages
for project in networkx numba numpy pandas pyarrow pywt scipy sklearn; do
  [ ! -d $project ] || find $project -type d -name tests -prune -exec rm -r {} +
done
[ ! -d torch ] || rm -r torch/test torch/bin/*[Tt]est* # compiled
