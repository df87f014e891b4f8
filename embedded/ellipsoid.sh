#!/usr/bin/env bash
# Fits the magnetometer's ellipsoid, nine parameters to 300 samples, on an emulated Cortex-M4F.
# The firmware must print the same digits as the example on the host, and use at most 4 KiB of
# RAM beside the samples (statics, and the stack with solver and solution).
#
#   bash embedded/ellipsoid.sh
#
# Packages: qemu-system-arm binutils-arm-none-eabi, and those of cross.sh.
set -euo pipefail
cd "$(dirname "$0")"
source ./cross.sh

most=4096
expected=$(cd .. && env -u CARGO_TARGET_DIR cargo run --quiet --release --example ellipsoid | sed '/^$/,$d')
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
# Builds for size like README's profile for firmware; the workspace's own profile has 3.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=s
target=thumbv7em-none-eabihf
cross $target build --locked --quiet --release -p ellipsoid
elf=$CARGO_TARGET_DIR/$target/release/ellipsoid
found=$(timeout 600 qemu-system-arm -M mps2-an386 -nographic \
    -semihosting-config enable=on,target=native -kernel "$elf" </dev/null)
echo "$found"
if ! diff <(echo "$expected") <(grep -v '^RAM' <<<"$found"); then
    echo "ellipsoid: the board found something else than the host (first)" >&2
    exit 1
fi
static=$(arm-none-eabi-size -A "$elf" | awk '/^\.(data|bss) /{ n += $2 } END { print n + 0 }')
# The first figure is that of recursive least squares, the second that of Levenberg–Marquardt.
# The limit holds for both.
read -r -d '' ram squares < <(sed -n 's/^RAM beside the samples: \([0-9]*\) bytes$/\1/p' <<<"$found") || true
echo "ellipsoid m4 ram $((ram + static)) of $most, same bits; by Levenberg–Marquardt $((squares + static))"
for found in "$((ram + static))" "$((squares + static))"; do
    if ((found > most)); then
        echo "ellipsoid: expected at most $most bytes of RAM, found $found" >&2
        exit 1
    fi
done
