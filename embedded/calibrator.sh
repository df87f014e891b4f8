#!/usr/bin/env bash
# Builds the calibrator for every board, tests it on this computer, and talks to it on the
# boards that QEMU emulates. A failure does not stop the script: it lists all failures at its end.
#
#   bash embedded/calibrator.sh
#
# Packages: qemu-system-arm qemu-system-misc binutils-arm-none-eabi, and those of
# cross.sh for targets that are not installed.
set -euo pipefail
cd "$(dirname "$0")"
source ./cross.sh

desktop=${CARGO_TARGET_DIR:-$PWD/../target}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
firmware=$CARGO_TARGET_DIR/calibrator
mkdir -p "$firmware"
# Same as boards/.cargo/config.toml, which cargo reads only in the folders of the boards.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=s

# target, board
boards=(
    "thumbv6m-none-eabi           microbit"
    "thumbv6m-none-eabi           pico"
    "thumbv7m-none-eabi           stm32vldiscovery"
    "thumbv7em-none-eabihf        netduinoplus2"
    "thumbv7em-none-eabihf        microbit-v2"
    "thumbv7em-none-eabihf        mps2"
    "riscv32imac-unknown-none-elf virt"
)

failed=()
printf '%-18s %-28s %12s %12s\n' calibrator target 'flash bytes' 'static RAM'
for entry in "${boards[@]}"; do
    read -r target board <<<"$entry"
    # One cargo for each board, so that features that one board enables are off for the others.
    elf=$firmware/calibrator-$board
    rm -f "$elf"
    if ! cross "$target" build --locked --quiet --release -p "calibrator-$board"; then
        printf '%-18s %-28s %12s\n' "$board" "$target" FAILED
        failed+=("$board does not build")
        continue
    fi
    cp "$CARGO_TARGET_DIR/$target/release/calibrator-$board" "$elf"
    arm-none-eabi-size -A "$elf" | awk -v board="$board" -v target="$target" '
        /^\.(vector_table|boot2|text|rodata|data) / { flash += $2 }
        /^\.(data|bss|uninit) / { ram += $2 }
        END { printf "%-18s %-28s %12d %12d\n", board, target, flash, ram }'
done

# The command-line tool, built without optimization, which takes a fifth of the time; and
# calibrations that it saves and that boards load.
CARGO_TARGET_DIR=$desktop cargo build --locked --quiet --manifest-path ../Cargo.toml --features cli
records=
for model in linear poly:3 mlp:8; do
    record=$firmware/${model/:/}.bin
    "$desktop/debug/baregrad" fit ../examples/data/thermometer.csv --x t_u --y t_c \
        --model "$model" --validation 0 --out "$firmware/fit" --force --save "$record" >/dev/null
    records+=" $record"
done

# Tests of every command and every error, power cuts at every byte, sessions with emulated boards.
CALIBRATOR_FIRMWARE=$firmware CALIBRATOR_RECORDS=$records cargo test --locked --quiet --no-fail-fast -p calibrator ||
    failed+=("tests of the calibrator")

# Runs the tool as a user would, with an emulated micro:bit whose flash is erased.
socket=$firmware/microbit.socket
rm -f "$socket"
head -c 3072 /dev/zero | tr '\0' '\377' >"$firmware/microbit.flash"
qemu-system-arm -M microbit -display none -monitor none -kernel "$firmware/calibrator-microbit" \
    -device "loader,file=$firmware/microbit.flash,addr=0x3f400,force-raw=on" \
    -serial "unix:$socket,server=on,wait=off" &
trap 'kill %1; wait' EXIT
while [[ ! -S $socket ]] && kill -0 %1; do sleep 0.1; done
# tool ARGUMENTS…: runs `baregrad board` and prints its output; never fails.
tool() {
    "$desktop/debug/baregrad" board "unix:$socket" "$@" 2>&1 || true
}
output=$(tool thermometer.csv)
echo "$output"
[[ $output == *'saved on the board'*'same bits' ]] || failed+=("baregrad board")
for record in $records; do
    output=$(tool --put "$record")
    [[ $output == *'saved on the board'*'same bits' ]] || failed+=("baregrad board --put: $output")
    output=$(tool --get "$firmware/fetched.bin" --force)
    cmp "$record" "$firmware/fetched.bin" || failed+=("baregrad board --get: $output")
done

if ((${#failed[@]} > 0)); then
    printf 'FAILED: %s\n' "${failed[@]}" >&2
    exit 1
fi
