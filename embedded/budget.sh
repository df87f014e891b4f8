#!/usr/bin/env bash
# What training costs on a Cortex-M4F: the thermometer in both spellings, and the
# network that learns a sine, with all points at once and in micro-batches; and
# what a call of elementary functions costs. Instructions per epoch or per call
# (counted, not cycles), flash (code and constants beyond those of a firmware that
# does nothing), RAM (stack, which holds the arena).
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

# job, what it is optimized for: a line spends its time between the kernels, where
# small code is fast code, a network in them.
jobs=(
    "operators     s"
    "fused         s"
    "line          s"
    "sine          3"
    "sine-in-parts 3"
    "exp           3"
    "tanh          3"
    "sin           3"
)

build() {
    cross $target build --locked --quiet --release -p budget "$@"
}

flash() {
    arm-none-eabi-size -A "$elf" | awk '/^\.(text|rodata) /{ n += $2 } END { print n }'
}

printf '%-13s %9s %12s %8s %8s\n' '' opt-level instructions flash RAM
for entry in "${jobs[@]}"; do
    read -r job level <<<"$entry"
    [[ $# == 0 || " $* " == *" $job "* ]] || continue
    export CARGO_PROFILE_RELEASE_OPT_LEVEL=$level
    build
    empty=$(flash)
    build --features $job
    found=$(timeout 120 qemu-system-arm -M mps2-an386 -icount shift=0,sleep=off -nographic \
        -semihosting-config enable=on,target=native -kernel "$elf" </dev/null)
    read -r instructions stack <<<"$found"
    printf '%-13s %9s %12s %8s %8s\n' $job $level "$instructions" $(($(flash) - empty)) "$stack"
done
