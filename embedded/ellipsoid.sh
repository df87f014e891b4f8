#!/usr/bin/env bash
# Fits the magnetometer's ellipsoid, nine parameters to 300 samples, on an emulated Cortex-M4F.
# The firmware must print the same digits as the example on the host, and use at most 4 KiB of
# RAM beside the samples (statics, and the stack with solver and solution).
#
#   bash embedded/ellipsoid.sh
#
# Packages: those of measure.sh.
set -euo pipefail
cd "$(dirname "$0")"
source ./measure.sh

most=4096
same_as_host ellipsoid '/^$/,$d' RAM
static=$(sections ellipsoid 'data|bss')
# By recursive least squares, and by Levenberg–Marquardt: both are within the limit.
read -r -d '' recursive squares < <(sed -n 's/^RAM beside the samples: \([0-9]*\) bytes$/\1/p' <<<"$found") || true
echo "ellipsoid m4 ram $((recursive + static)) of $most, same bits; by Levenberg–Marquardt $((squares + static))"
require_ram ellipsoid $((recursive + static)) $most
require_ram ellipsoid $((squares + static)) $most
