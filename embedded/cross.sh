# Other scripts source this. `cross TARGET ARGUMENTS…` runs cargo for a bare-metal target.
#
# If the target is installed (`rustup target add`), it runs plain cargo. Otherwise Debian's
# compiler builds `core` from the source that Debian packages, without a download. The
# environment variables for it are set for that one command only, so builds for the host do
# not see them.
#
# CROSS=installed or CROSS=debian chooses between the two. Without it, `cross` takes the first
# that `cross_ways TARGET` prints.
#
# Packages: rustc-web cargo-web rust-web-src

# cross_ways TARGET: prints the ways to build for the target, the preferred one first.
cross_ways() {
    if command -v rustup >/dev/null && rustup target list --installed | grep -qx "$1"; then
        echo installed
    fi
    if [[ -x $(cross_linker) && -x /usr/bin/cargo && -d /usr/lib/rustlib/src ]]; then
        echo debian
    fi
}

cross_linker() {
    find "$(rustc --print sysroot)" -name rust-lld -type f | head -n 1
}

cross() {
    local target=$1 way=${CROSS:-}
    shift
    [[ -n $way ]] || read -r way < <(cross_ways "$target") || true
    case $way in
    installed)
        env -u RUSTFLAGS cargo "$@" --target "$target"
        ;;
    debian)
        local linker=CARGO_TARGET_${target^^}_LINKER
        env -u RUSTFLAGS RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=core \
            "${linker//[-.]/_}=$(cross_linker)" /usr/bin/cargo "$@" --target "$target"
        ;;
    *)
        echo "to build for $target: rustup target add $target" >&2
        echo "or: apt-get install rustc-web cargo-web rust-web-src" >&2
        return 1
        ;;
    esac
}

# cross_compiler: prints the version of the compiler that CROSS chooses.
cross_compiler() {
    case $CROSS in
    installed) echo "$(rustc --version), target installed by rustup" ;;
    debian) echo "$(/usr/bin/rustc --version), core from Debian's source" ;;
    esac
}
