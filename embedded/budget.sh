#!/usr/bin/env bash
# What training costs on a Cortex-M4F: the thermometer (J1) in three spellings, and the
# network that learns a sine (J2) with all points at once and in micro-batches; and
# what a call of elementary functions costs. Instructions per epoch or per call
# (counted, not cycles), flash (code and constants beyond those of a firmware that
# does nothing), RAM (the deepest stack, which holds the arena).
#
#   bash embedded/budget.sh [JOB…]
#
# Packages: qemu-system-arm binutils-arm-none-eabi, and those of cross.sh.
set -euo pipefail
cd "$(dirname "$0")"
source ./cross.sh

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
# What small firmware is built with.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=s
target=thumbv7em-none-eabihf
elf=$CARGO_TARGET_DIR/$target/release/budget

# A feature of the firmware, what it stands for, how that is done.
jobs=(
    "operators     J1  operators"
    "fused         J1  linear and mse"
    "line          J1  line_mse"
    "sine          J2  all points at once"
    "sine-in-parts J2  micro-batches"
    "exp           exp -"
    "tanh          tanh -"
    "sin           sin -"
)

build() {
    cross $target build --locked --quiet --release -p budget "$@"
}

flash() {
    arm-none-eabi-size -A "$elf" | awk '/^\.(text|rodata) /{ n += $2 } END { print n }'
}

build
empty=$(flash)
for entry in "${jobs[@]}"; do
    read -r feature job how <<<"$entry"
    [[ $# == 0 || " $* " == *" $feature "* ]] || continue
    build --features "$feature"
    found=$(timeout 120 qemu-system-arm -M mps2-an386 -icount shift=0,sleep=off -nographic \
        -semihosting-config enable=on,target=native -kernel "$elf" </dev/null)
    read -r instructions stack <<<"$found"
    if [[ $job == J? ]]; then
        printf '%s m4 %-5s %7d  %s\n' \
            "$job" instr "$instructions" "$how" \
            "$job" flash $(($(flash) - empty)) "$how" \
            "$job" ram "$stack" "$how"
    else
        printf '%s m4 instr %d a number\n' "$job" "$instructions"
    fi
done
