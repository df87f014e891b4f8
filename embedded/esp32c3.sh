#!/usr/bin/env bash
# Builds the calibrator for the ESP32-C3. `calibrator.sh` leaves this board out, because
# Espressif's crates take minutes to compile.
#
#   bash embedded/esp32c3.sh
set -euo pipefail
cd "$(dirname "$0")/boards/esp32c3"
source ../../cross.sh

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}/esp32c3
cross riscv32imc-unknown-none-elf build --locked --quiet --release
elf=$CARGO_TARGET_DIR/riscv32imc-unknown-none-elf/release/calibrator-esp32c3
echo "ESP32-C3: linked, $(stat -c %s "$elf") bytes of ELF; flash it with: espflash flash --monitor $elf"
