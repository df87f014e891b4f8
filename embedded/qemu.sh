#!/usr/bin/env bash
# Tests firmware without a board at hand: the library builds for bare metal, nothing in it
# can panic, training costs no more than it may, emulated boards compute the bits that the
# host does, the calibrator works on them, and functions printed as C have the same bits. A
# test that fails does not keep the others from being run; all that failed are named at the end.
#
#   bash embedded/qemu.sh
#
# Packages: qemu-system-arm qemu-system-misc binutils-arm-none-eabi gcc-arm-none-eabi, and
# those of cross.sh for targets that are not installed.
set -euo pipefail
cd "$(dirname "$0")"
source ./cross.sh

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}

# Boards: target, core, machine of QEMU, layout in memory/, and what the self-test
# leaves out there, for want of flash (all of it is 1,330 KiB, 355 of them `operations`, 190
# `model-nodes`, 250 least squares with NIST's sets) or RAM (stack: 35 KiB for `sine`, 125 for
# `programs`, 15 for `kernels`, 12 for `sine-parts`). A board whose flash does not hold it at
# once has other lines with what the next firmware does, behind a `+`, above all where no other
# board has its core.
boards=(
    "thumbv6m-none-eabi            Cortex-M0   microbit          microbit   operations,model-nodes,more-optimizers,searches,schedules,calibrations,sine,programs,resume,every-optimizer,nist-small,nist,statistics,shapes-and-layers,robust"
    "thumbv7m-none-eabi            Cortex-M3   mps2-an385        mps2       -"
    "thumbv7m-none-eabi            Cortex-M3   lm3s6965evb       lm3s6965   operations,model-nodes,least-squares,more-optimizers,schedules,calibrations,programs,resume,every-optimizer,nist-small,nist,statistics,shapes-and-layers,robust"
    "thumbv7m-none-eabi            Cortex-M3   stm32vldiscovery  stm32f100  kernels,operations,models,model-nodes,least-squares,optimizers,more-optimizers,searches,schedules,calibrations,sine-parts,sine,programs,resume,every-optimizer,nist-small,nist,statistics,shapes-and-layers,robust"
    "thumbv7em-none-eabihf         Cortex-M4F  mps2-an386        mps2       -"
    "thumbv7em-none-eabihf         Cortex-M4F  netduinoplus2     stm32f405  nist-small,nist,statistics,shapes-and-layers,robust"
    "thumbv7em-none-eabihf         Cortex-M7   mps2-an500        mps2       -"
    "thumbv8m.main-none-eabihf     Cortex-M33  mps2-an505        an505      -"
    "thumbv8m.main-none-eabihf     Cortex-M55  mps3-an547        an547      operations,model-nodes,more-optimizers,schedules,resume,statistics,every-optimizer,nist-small,nist,shapes-and-layers,robust"
    "riscv32imac-unknown-none-elf  RV32IMAC    virt              virt       -"
    "riscv32imafc-unknown-none-elf RV32IMAFC   virt              virt       -"
    "thumbv6m-none-eabi            Cortex-M0   microbit          microbit   +more-optimizers,every-optimizer,searches,schedules"
    "thumbv7m-none-eabi            Cortex-M3   lm3s6965evb       lm3s6965   +more-optimizers,every-optimizer,schedules"
    "thumbv7m-none-eabi            Cortex-M3   stm32vldiscovery  stm32f100  +every-optimizer"
    "thumbv7m-none-eabi            Cortex-M3   stm32vldiscovery  stm32f100  +searches"
    "thumbv8m.main-none-eabihf     Cortex-M55  mps3-an547        an547      +model-nodes,more-optimizers,schedules,resume,every-optimizer,statistics"
    "thumbv8m.main-none-eabihf     Cortex-M55  mps3-an547        an547      +nist-small,nist,robust,shapes-and-layers"
    "thumbv8m.main-none-eabihf     Cortex-M55  mps3-an547        an547      +operations"
    "thumbv7em-none-eabihf         Cortex-M4F  netduinoplus2     stm32f405  +nist-small,nist,statistics,robust,shapes-and-layers"
    "thumbv6m-none-eabi            Cortex-M0   microbit          microbit   +nist-small"
    "thumbv6m-none-eabi            Cortex-M0   microbit          microbit   +statistics,robust"
    "thumbv6m-none-eabi            Cortex-M0   microbit          microbit   +shapes-and-layers"
)

# Boards of which there is no emulator: target, layout, what is left out.
probed=(
    "thumbv7em-none-eabihf nrf52833 operations,model-nodes,more-optimizers,schedules,resume,statistics,every-optimizer,nist-small,nist,shapes-and-layers,robust"
)

# The features of the self-test that are groups of work, in order.
read -ra groups <<<"$(sed -n 's/^all = \[\(.*\)\]/\1/p' selftest/Cargo.toml | tr -d '",')"

fail() {
    echo "$*" >&2
    exit 1
}

# build TARGET PACKAGE ARGUMENTS…
build() {
    local target=$1 package=$2
    shift 2
    cross "$target" build --locked --quiet --release -p "$package" "$@"
}

# elf TARGET PACKAGE
elf() {
    echo "$CARGO_TARGET_DIR/$1/release/$2"
}

# emulate MACHINE ELF: what it prints; fails as it does.
emulate() {
    local qemu=(qemu-system-arm)
    [[ $1 != virt ]] || qemu=(qemu-system-riscv32 -bios none)
    timeout 1200 "${qemu[@]}" -M "$1" -nographic -semihosting-config enable=on,target=native \
        -kernel "$2" </dev/null
}

# The library without `std`, for cores with and without an FPU and another family.
library() {
    local target
    for target in thumbv6m-none-eabi thumbv7em-none-eabihf riscv32imac-unknown-none-elf; do
        # The profile of the firmware, so that `core` is built once for both.
        (cd .. && CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 \
            cross "$target" build --locked --quiet --release --no-default-features)
    done
}

# The whole API, linked without a panic handler.
no_panic() {
    local target=thumbv7em-none-eabihf errors
    if ! errors=$(build $target no-panic 2>&1); then
        echo "$errors" >&2
        if grep -q this_firmware_can_panic <<<"$errors"; then
            build $target no-panic --features link-anyway
            bash ./panics.sh "$(elf $target no-panic)" >&2
        fi
        fail "no-panic: does not link"
    fi
    # The proof must be able to fail, and for no other reason.
    if errors=$(build $target no-panic --features plant-panic 2>&1); then
        fail "no-panic: a planted panic was not found"
    fi
    grep -q 'undefined symbol: this_firmware_can_panic' <<<"$errors" || fail "$errors"
    echo "no panics: the whole API links without a panic handler, a planted panic does not"
}

# chosen CHOICE: the groups of a firmware, all but those of a list or only those behind `+`.
chosen() {
    local group
    for group in "${groups[@]}"; do
        if [[ $1 == +* ]]; then
            [[ ,${1#+}, != *,$group,* ]] || echo "$group"
        else
            [[ ,$1, == *,$group,* ]] || echo "$group"
        fi
    done
}

# build_self_test TARGET LAYOUT OUTPUT CHOICE
build_self_test() {
    local target=$1 layout=$2 features=$3 group
    for group in $(chosen "$4"); do
        features+=,$group
    done
    BOARD=$layout build "$target" selftest --no-default-features --features "$features"
}

# self_test TARGET MACHINE LAYOUT CHOICE: the verdict in a line; fails unless
# every chosen group has the digest that tests/bits.rs has on the host.
self_test() {
    local target=$1 machine=$2 layout=$3 choice=$4 count found
    count=$(chosen "$choice" | wc -l)
    build_self_test "$target" "$layout" semihosting "$choice" || {
        echo 'FAILED: does not build'
        return 1
    }
    if ! found=$(emulate "$machine" "$(elf "$target" selftest)" 2>&1) ||
        (($(grep -cE '^[a-z-]+ +0x[0-9a-f]{16}  [0-9]+ bytes of stack$' <<<"$found") != count)); then
        printf 'FAILED\n%s\n' "$found"
        return 1
    fi
    if ((count == ${#groups[@]})); then
        echo "same bits: $count of $count groups"
    elif [[ $choice == +* ]]; then
        choice=${choice#+}
        echo "same bits: $count more, ${choice//,/, }"
    else
        echo "same bits: $count of ${#groups[@]} groups, no room beside them for ${choice//,/, }"
    fi
}

# same_bits_of LANE LINE…: those boards, one after the other, each verdict as it is known; fails
# with the number of boards that failed. Lanes build at the same time, so that each has a
# folder of its own.
same_bits_of() {
    local lane=$1 line target core machine layout choice verdict wrong=0
    shift
    ((lane == 0)) || export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/lane-$lane
    for line; do
        read -r target core machine layout choice <<<"$line"
        verdict=$(self_test "$target" "$machine" "$layout" "$choice") || wrong=$((wrong + 1))
        printf '%-30s  %-10s  %-16s  %s\n' "$target" "$core" "$machine" "$verdict"
    done
    return "$wrong"
}

# Every board, in as many lanes as there are processors: the linker and an emulator use one.
# All lines of a target are in one lane, where `core` is built for it once; the next target goes
# to the lane that has the fewest lines.
same_bits() {
    local line target lane least running=() same=${#boards[@]} lanes
    local -A lane_of
    local -a length lines
    lanes=$(nproc)
    for target in $(printf '%s\n' "${boards[@]}" | awk '{ n[$1]++ } END { for (t in n) print n[t], t }' |
        sort -k1,1nr -k2 | awk '{ print $2 }'); do
        least=0
        for ((lane = 0; lane < lanes; lane++)); do
            ((${length[lane]:=0} >= ${length[least]})) || least=$lane
        done
        lane_of[$target]=$least
        length[least]=$((length[least] + $(printf '%s\n' "${boards[@]}" | grep -c "^$target ")))
    done
    for ((lane = 0; lane < lanes; lane++)); do
        lines=()
        for line in "${boards[@]}"; do
            ((${lane_of[${line%% *}]} != lane)) || lines+=("$line")
        done
        same_bits_of "$lane" "${lines[@]}" &
        running+=($!)
    done
    for lane in "${running[@]}"; do
        wait "$lane" || same=$((same - $?))
    done
    echo "same bits: $same of ${#boards[@]} firmwares"
    ((same == ${#boards[@]}))
}

# The self-test for a debug probe: it must build.
probe() {
    local board target layout left_out
    for board in "${probed[@]}"; do
        read -r target layout left_out <<<"$board"
        build_self_test "$target" "$layout" rtt "$left_out"
        echo "$target for $layout, through RTT: built, not run"
    done
}

for command in qemu-system-arm qemu-system-riscv32; do
    command -v $command >/dev/null || fail "$command: apt-get install qemu-system-arm qemu-system-misc"
done

failed=()
# step COMMAND…: notes whether it failed. In the background, because `set -e` does
# nothing in what a condition waits for.
step() {
    "$@" &
    wait $! || failed+=("$*")
}

step library
step no_panic
step bash ./budget.sh
step probe
step same_bits
# The firmware that calibrates, on every board.
step bash ./calibrator.sh
# Functions printed as C, and nine parameters in 4 KiB of RAM.
step bash ./export.sh
step bash ./ellipsoid.sh
# A classifier whose last layer is adapted in 32 KiB of RAM.
step bash ./gestures.sh

if ((${#failed[@]} > 0)); then
    printf 'FAILED: %s\n' "${failed[@]}" >&2
    exit 1
fi
