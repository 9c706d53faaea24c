# shellcheck shell=sh disable=SC2034 # the lists are for those who read this file
# Shared by ./up and ./check: what the machine needs, and how to build. Read with `. tools/setup.sh`; POSIX sh.

BUILD_PACKAGES="gcc libc6-dev meson ninja-build pkg-config libevent-dev libssl-dev libsqlite3-dev libunbound-dev nettle-dev libidn2-dev libgsasl-dev zlib1g-dev libcurl4-openssl-dev
 libxml2-dev libconfuse-dev libcrypt-dev libseccomp-dev libjansson-dev libcjose-dev libcmark-dev libzstd-dev libutf8proc-dev"
TEST_PACKAGES="libcmocka-dev libgmime-3.0-dev clang clang-format libclang-rt-14-dev llvm-14 python3 curl swaks libnet-ssleay-perl libio-socket-ssl-perl msmtp mutt isync getmail6 fetchmail
 postfix gsasl strace sqlite3 mandoc ca-certificates openssl"

say() {
    printf '%s\n' "$*"
}

# die STATUS SENTENCE...: what is wrong and what to do, then leave
die() {
    status=$1
    shift
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit "$status"
}

# Prints those of the packages named that are not installed.
missing_packages() {
    for package in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
        installed) ;;
        *) printf ' %s' "$package" ;;
        esac
    done
}

# One dpkg-query for all: the usual case, nothing missing, must cost nothing.
all_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>/dev/null | grep -cx installed)" = $# ]
}

# Installs by name what is missing. Daemons among them (Postfix, for the tests) are not started.
need_packages() {
    command -v dpkg-query >/dev/null || die 69 "this is not a Debian system: install by hand what README names, then run meson setup build && ninja -C build"
    all_installed "$@" && return 0
    wanted=$(missing_packages "$@")
    root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die 77 "missing packages:$wanted
Neither root nor sudo is here to install them. As root: apt-get install$wanted"
        root=sudo
    fi
    say "installing:$wanted"
    log=$(mktemp)
    policy=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
        $root chmod 755 "$policy"
    fi
    # shellcheck disable=SC2086 # a list of words
    if ! { $root apt-get update && $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $wanted; } >"$log" 2>&1; then
        [ -n "$policy" ] && $root rm -f "$policy"
        tail -n 20 "$log" >&2
        die 69 "apt could not install:$wanted (its words are above; all of them in $log)"
    fi
    [ -n "$policy" ] && $root rm -f "$policy"
    rm -f "$log"
}

# build_in FOLDER [meson options...]: configures once, builds; quiet unless it fails.
build_in() {
    folder=$1
    shift
    if [ ! -f "$folder/build.ninja" ]; then
        say "configuring $folder"
        rm -rf "$folder"
        meson setup "$folder" "$@" >"$folder.log" 2>&1 || {
            sed -n "/ERROR/,\$p" "$folder.log" >&2
            die 70 "meson could not configure the build (all of it in $folder.log)"
        }
        rm -f "$folder.log"
        say "building in $folder (the first time takes a minute or two)"
    fi
    ninja -C "$folder" >"$folder/ninja.out" 2>&1 || {
        grep -E -A20 'FAILED|error:' "$folder/ninja.out" | head -n 60 >&2
        if [ "$(df -P "$folder" | awk 'NR==2 {print $4}')" -lt 51200 ]; then
            die 70 "the build failed: the disk is full"
        fi
        die 70 "the build failed (all of it in $folder/ninja.out)"
    }
}
