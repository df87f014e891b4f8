#!/usr/bin/env bash
# What training costs on a Cortex-M4F: the thermometer in both spellings, and the
# network that learns a sine, with all points at once and in micro-batches.
# Instructions per epoch (counted, not cycles), flash (code and constants beyond
# those of a firmware that does nothing), RAM (stack, which holds the arena).
#
#   bash embedded/budget.sh [JOB…]
#
# Packages: qemu-system-arm binutils-arm-none-eabi, and those of cross.sh.
set -euo pipefail
cd "$(dirname "$0")"
source ./cross.sh

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
target=thumbv7em-none-eabihf
elf=$CARGO_TARGET_DIR/$target/release/budget

build() {
    cross $target build --locked --quiet --release -p budget "$@"
}

flash() {
    arm-none-eabi-size -A "$elf" | awk '/^\.(text|rodata) /{ n += $2 } END { print n }'
}

build
empty=$(flash)
printf '%-13s %12s %8s %8s\n' '' instructions flash RAM
for job in ${*:-operators fused sine sine-in-parts}; do
    build --features $job
    found=$(timeout 120 qemu-system-arm -M mps2-an386 -icount shift=0,sleep=off -nographic \
        -semihosting-config enable=on,target=native -kernel "$elf" </dev/null)
    read -r instructions stack <<<"$found"
    printf '%-13s %12s %8s %8s\n' $job "$instructions" $(($(flash) - empty)) "$stack"
done
