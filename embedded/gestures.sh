#!/usr/bin/env bash
# Adapts the last layer of a gesture classifier on an emulated Cortex-M4F. The firmware must
# print the same digits as the example on the host, and use at most 32 KiB of RAM.
#
#   bash embedded/gestures.sh
#
# Packages: those of measure.sh.
set -euo pipefail
cd "$(dirname "$0")"
source ./measure.sh

most=32768
same_as_host gestures '1,/^$/d' stack
stack=$(sed -n 's/^stack: \([0-9]*\) bytes$/\1/p' <<<"$found")
ram=$((stack + $(sections gestures 'data|bss')))
echo "gestures m4 ram $ram of $most, flash $(sections gestures 'vector_table|text|rodata|data') with the weights, same bits"
require_ram gestures $ram $most
