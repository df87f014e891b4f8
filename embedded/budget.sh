#!/usr/bin/env bash
# Measures what each job costs on a Cortex-M4F: training the thermometer (J1) in three
# spellings; training the network that learns a sine (J2), with all points at once and one at a
# time; solving the thermometer by least squares with standard errors (J5); classifying a
# flower; an elementary function of a number; a sample of recursive least squares.
#
# Prints the instructions (counted, not cycles) per epoch, call or sample, for J5 of the whole
# solution; the flash (`.text`, `.rodata` and `.data`, the job's own data included, less those of
# a firmware that does nothing); and the RAM (statics and the deepest stack, which holds the
# arena). Measures every job, and then fails if a figure is beyond its limit.
#
#   bash embedded/budget.sh [JOB…]
#
# Measures with both compilers if there are two, that of an installed target (`rustup target
# add`) and Debian's; the limits are the same for both. CROSS=installed or CROSS=debian
# measures with one.
#
# Packages: qemu-system-arm binutils-arm-none-eabi, and those of cross.sh.
set -euo pipefail
cd "$(dirname "$0")"
source ./cross.sh

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
# Builds for size like README's profile for firmware; the workspace's own profile has 3.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=s
target=thumbv7em-none-eabihf
elf=$CARGO_TARGET_DIR/$target/release/budget

# Columns: the feature that selects the job; its limits of instructions, flash and RAM (`-`:
# not measured); the job's name; its variant. J2 one at a time exceeds the 10240 bytes of the
# other networks, because compensated sums add 350 bytes to every network, and only half of them
# were saved elsewhere.
jobs=(
    "operators       1100 17300  2160 J1  operators"
    "fused            600  8900  1600 J1  linear and mse"
    "function         400  5632  1200 J1  function"
    "sine          331000 10240 25600 J2  all points at once"
    "one-by-one    800000 10440  8192 J2  one at a time"
    "lm               4100  7050   850 J5  lm"
    "iris           31000 10240  3072 iris a flower, classified"
    "exp               42     -     - exp a number"
    "tanh              42     -     - tanh a number"
    "sin               38     -     - sin a number"
    "rls              150     -     - RLS a sample, two parameters"
)

build() {
    cross $target build --locked --quiet --release -p budget "$@"
}

# sections PATTERN: prints the bytes of the sections whose names match.
sections() {
    arm-none-eabi-size -A "$elf" | awk "/^\\.($1) /{ n += \$2 } END { print n }"
}

flash() {
    sections 'text|rodata|data'
}

within=true
# show JOB QUANTITY FIGURE LIMIT VARIANT: prints a figure, and whether it exceeds its limit.
show() {
    local verdict=
    if [[ $4 != - ]] && (($3 > $4)); then
        verdict="  MORE THAN $4"
        within=false
    fi
    printf '%s m4 %-5s %7d  %s%s\n' "$1" "$2" "$3" "$5" "$verdict"
}

# fail MESSAGE: prints the message and lets the script fail at its end.
fail() {
    echo "FAILED: $*"
    within=false
}

measure() {
    local empty entry feature most_instructions most_flash most_ram job how found instructions stack
    echo "with $(cross_compiler):"
    if ! build; then
        fail "the firmware that does nothing does not build"
        return
    fi
    empty=$(flash)
    for entry in "${jobs[@]}"; do
        read -r feature most_instructions most_flash most_ram job how <<<"$entry"
        [[ $# == 0 || " $* " == *" $feature "* ]] || continue
        if ! build --features "$feature"; then
            fail "$feature does not build"
            continue
        fi
        if ! found=$(timeout 600 qemu-system-arm -M mps2-an386 -icount shift=0,sleep=off -nographic \
            -semihosting-config enable=on,target=native -kernel "$elf" </dev/null) ||
            ! [[ $found =~ ^[0-9]+\ [0-9]+$ ]]; then
            fail "$feature: expected its instructions and stack, found '$found'"
            continue
        fi
        read -r instructions stack <<<"$found"
        if [[ $job == J? || $job == iris ]]; then
            show "$job" instr "$instructions" "$most_instructions" "$how"
            show "$job" flash $(($(flash) - empty)) "$most_flash" "$how"
            show "$job" ram $((stack + $(sections "data|bss"))) "$most_ram" "$how"
        else
            show "$job" instr "$instructions" "$most_instructions" "$how"
        fi
    done
}

known=$(printf '%s\n' "${jobs[@]}" | cut -d' ' -f1)
for job; do
    grep -qx -- "$job" <<<"$known" || {
        echo "expected one of" $known", found $job" >&2
        exit 2
    }
done
ways=(${CROSS:-$(cross_ways $target)})
if ((${#ways[@]} == 0)); then
    cross $target # fails, and prints what to install
fi
for CROSS in "${ways[@]}"; do
    export CROSS
    measure "$@"
done
if ((${#ways[@]} == 1)); then
    echo "one compiler was measured: ${ways[0]}"
fi
if ! $within; then
    echo "budget: not within the limits, see above"
    exit 1
fi
