# To be sourced. `cross TARGET ARGUMENTS…` runs cargo for a bare-metal target.
#
# With the target installed (`rustup target add`), that is plain cargo. Without,
# Debian's compiler builds `core` from Debian's source of it, as there is
# nothing to download; what it takes to tell cargo so is the environment of that
# one command, and no build for the host ever sees it.
#
# Packages: rustc-web cargo-web rust-web-src

cross() {
    local target=$1
    shift
    if command -v rustup >/dev/null && rustup target list --installed | grep -qx "$target"; then
        env -u RUSTFLAGS cargo "$@" --target "$target"
        return
    fi
    local lld linker=CARGO_TARGET_${target^^}_LINKER
    lld=$(find "$(rustc --print sysroot)" -name rust-lld -type f | head -n 1)
    if [[ ! -x $lld || ! -x /usr/bin/cargo || ! -d /usr/lib/rustlib/src ]]; then
        echo "to build for $target: rustup target add $target" >&2
        echo "or: apt-get install rustc-web cargo-web rust-web-src" >&2
        return 1
    fi
    env -u RUSTFLAGS RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=core \
        "${linker//[-.]/_}=$lld" /usr/bin/cargo "$@" --target "$target"
}
