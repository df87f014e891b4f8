#!/usr/bin/env bash
# Tests firmware without a physical board: the library builds for bare metal, nothing in it can
# panic, training stays within its limits, emulated boards compute the host's bits, the
# calibrator works on them, and functions printed as C give the same bits. A test that fails
# does not stop the script: it lists all failures at its end.
#
#   bash embedded/qemu.sh
#
# Packages: qemu-system-arm qemu-system-misc binutils-arm-none-eabi gcc-arm-none-eabi, and
# those of cross.sh for targets that are not installed.
set -euo pipefail
cd "$(dirname "$0")"
source ./cross.sh

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
# Links a tenth faster. Only `panics.sh` reads debug information.
export CARGO_PROFILE_RELEASE_DEBUG=0

# Columns: target, core, QEMU's machine, memory layout in memory/, and the choice of groups of
# the self-test. `-` runs all groups. A list runs all but those, because the board lacks the flash
# (all groups take 1,330 KiB, of them `operations` 355, `model-nodes` 190, least squares with
# NIST's sets 250) or the RAM (KiB of stack: `programs` 125, `sine` 35, `kernels` 15, `sine-parts`
# 12). A list behind `+` runs only those: a further firmware with groups that the board's first
# one has no room for, above all where no other board has the same core.
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

# Boards without an emulator: target, memory layout, groups that are left out.
probed=(
    "thumbv7em-none-eabihf nrf52833 operations,model-nodes,more-optimizers,schedules,resume,statistics,every-optimizer,nist-small,nist,shapes-and-layers,robust"
)

# The groups of work, which are features of the self-test, in their order.
read -ra groups <<<"$(sed -n 's/^all = \[\(.*\)\]/\1/p' selftest/Cargo.toml | tr -d '",')"

fail() {
    echo "$*" >&2
    exit 1
}

# build TARGET PACKAGE ARGUMENTS…: builds a package for release.
build() {
    local target=$1 package=$2
    shift 2
    cross "$target" build --locked --quiet --release -p "$package" "$@"
}

# elf TARGET PACKAGE: prints the path of the firmware that `build` wrote.
elf() {
    echo "$CARGO_TARGET_DIR/$1/release/$2"
}

# emulate MACHINE ELF: runs the firmware, and returns its exit code.
emulate() {
    local qemu=(qemu-system-arm)
    [[ $1 != virt ]] || qemu=(qemu-system-riscv32 -bios none)
    timeout 1200 "${qemu[@]}" -M "$1" -nographic -semihosting-config enable=on,target=native \
        -kernel "$2" </dev/null
}

# Builds the library without `std`: for Arm cores with and without an FPU, and for RISC-V.
library() {
    local target
    for target in thumbv6m-none-eabi thumbv7em-none-eabihf riscv32imac-unknown-none-elf; do
        # The same profile as the firmware's, so that `core` is built once for both.
        (cd .. && CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 \
            cross "$target" build --locked --quiet --release --no-default-features)
    done
}

# Links the whole API without a panic handler.
no_panic() {
    local target=thumbv7em-none-eabihf errors
    if ! errors=$(build $target no-panic 2>&1); then
        echo "$errors" >&2
        if grep -q this_firmware_can_panic <<<"$errors"; then
            CARGO_PROFILE_RELEASE_DEBUG=1 build $target no-panic --features link-anyway
            bash ./panics.sh "$(elf $target no-panic)" >&2
        fi
        fail "no-panic: does not link"
    fi
    # A planted panic must make linking fail, and for no other reason.
    if errors=$(build $target no-panic --features plant-panic 2>&1); then
        fail "no-panic: a planted panic was not found"
    fi
    grep -q 'undefined symbol: this_firmware_can_panic' <<<"$errors" || fail "$errors"
    echo "no panics: the whole API links without a panic handler, a planted panic does not"
}

# chosen CHOICE: prints the groups of a firmware, a line each.
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

# build_self_test TARGET LAYOUT OUTPUT CHOICE: OUTPUT is the feature `semihosting` or `rtt`.
build_self_test() {
    local target=$1 layout=$2 features=$3 group
    for group in $(chosen "$4"); do
        features+=,$group
    done
    BOARD=$layout build "$target" selftest --no-default-features --features "$features"
}

# self_test TARGET MACHINE LAYOUT CHOICE: prints the verdict in a line; fails unless every chosen
# group has the digest that tests/bits.rs has on the host.
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

# same_bits_of LANE LINE…: tests the boards of these lines one after the other and prints each
# verdict; returns the number of failures. Lanes build at the same time, so each has a target
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

# Tests every board, in as many lanes as there are processors, as the linker and an emulator use
# one each. All lines of a target go to one lane, which builds `core` for it once. Targets are
# taken in order of their number of lines, and each goes to the lane that has the fewest so far.
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

# Builds the self-test for a debug probe, without running it.
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
# step COMMAND…: runs the command and records whether it failed. It runs in the background,
# because bash ignores `set -e` within a command that stands before `||`.
step() {
    "$@" &
    wait $! || failed+=("$*")
}

step library
step no_panic
step bash ./budget.sh
step probe
step same_bits
step bash ./calibrator.sh
step bash ./export.sh
step bash ./ellipsoid.sh
step bash ./gestures.sh

if ((${#failed[@]} > 0)); then
    printf 'FAILED: %s\n' "${failed[@]}" >&2
    exit 1
fi
