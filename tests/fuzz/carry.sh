#!/usr/bin/env bash
# Packs the fuzz targets of a build for a machine without compiler and libraries: binaries, what they load but for glibc,
# seeds, run.sh. There: `fuzz-carry/run.sh all 10000000 16 1200`.
#
#   carry.sh BUILD [FOLDER]     BUILD e.g. build/fuzz-fast; FOLDER is build/fuzz-carry unless given
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "$0")")
root=$here/../..
fuzz=$1/tests/fuzz out=${2:-$root/build/fuzz-carry}
rm -rf "$out"
mkdir -p "$out/bin" "$out/lib"
"$fuzz/specmoe_fuzz_seeds" "$out/seeds"
for binary in "$fuzz"/*_fuzz; do strip -o "$out/bin/$(basename "$binary")" "$binary"; done
ldd "$out"/bin/* | awk '$2 == "=>" {print $3}' | sort -u |
  grep -v '/\(libc\|libm\|ld-linux-x86-64\|libpthread\|libdl\|librt\)\.so' | xargs -I{} cp -L {} "$out/lib"
cp "$here/run.sh" "$here/yaml.dict" "$out"
# What readers look for by name.
mkdir -p "$out/platforms" "$out/models/moe/specs"
cp "$root"/platforms/*.yaml "$out/platforms"
cp "$root"/models/moe/specs/*.yaml "$out/models/moe/specs"
du -sh "$out"
