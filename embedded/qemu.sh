#!/usr/bin/env bash
# Proves that nothing in the crate can panic, then trains the thermometer on
# emulated boards and compares what they print with what the host prints.
#
#   bash embedded/qemu.sh
#
# Packages: qemu-system-arm qemu-system-misc, binutils-arm-none-eabi if the proof
# fails, and those of cross.sh for targets that are not installed.
set -euo pipefail
cd "$(dirname "$0")"
source ./cross.sh

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}

# target, core, machine
boards=(
    "thumbv6m-none-eabi           Cortex-M0   microbit"
    "thumbv7em-none-eabihf        Cortex-M4F  mps2-an386"
    "riscv32imac-unknown-none-elf RV32IMAC    virt"
)

fail() {
    echo "$*" >&2
    exit 1
}

for command in qemu-system-arm qemu-system-riscv32; do
    command -v $command >/dev/null || fail "$command: apt-get install qemu-system-arm qemu-system-misc"
done

# ELF of a package for a target
elf() {
    echo "$CARGO_TARGET_DIR/$2/release/$1"
}

no_panic() {
    cross thumbv7em-none-eabihf build --locked --quiet --release -p no-panic "$@"
}

# The whole API, linked without a panic handler.
if ! errors=$(no_panic 2>&1); then
    echo "$errors" >&2
    if grep -q this_firmware_can_panic <<<"$errors"; then
        no_panic --features link-anyway
        bash ./panics.sh "$(elf no-panic thumbv7em-none-eabihf)" >&2
    fi
    fail "no-panic: does not link"
fi
# The proof must be able to fail, and for no other reason.
if errors=$(no_panic --features plant-panic 2>&1); then
    fail "no-panic: a planted panic was not found"
fi
grep -q 'undefined symbol: this_firmware_can_panic' <<<"$errors" || fail "$errors"
echo "no panics: the whole API links without a panic handler, a planted panic does not"

# The same job everywhere.
expected=$(cargo run --locked --quiet --release -p host)
echo "$expected"

emulate() {
    local machine=$1 kernel=$2 qemu=(qemu-system-arm)
    [[ $machine != virt ]] || qemu=(qemu-system-riscv32 -bios none)
    timeout 120 "${qemu[@]}" -M "$machine" -nographic -semihosting-config enable=on,target=native \
        -kernel "$kernel" </dev/null
}

same=0
for board in "${boards[@]}"; do
    read -r target core machine <<<"$board"
    cross "$target" build --locked --quiet --release -p thermometer
    if ! found=$(emulate "$machine" "$(elf thermometer "$target")"); then
        verdict="failed: $found"
    elif [[ $found == "$expected" ]]; then
        verdict="same bits"
        same=$((same + 1))
    else
        verdict="differs: $found"
    fi
    printf '%-28s  %-10s  %-10s  %s\n' "$target" "$core" "$machine" "$verdict"
done
echo "same bits: $same of ${#boards[@]} targets"
[[ $same == "${#boards[@]}" ]]

# The firmware that calibrates, on every board.
bash ./calibrator.sh
