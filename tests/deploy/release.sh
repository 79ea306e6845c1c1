#!/bin/sh
# Makes a release of the built programs for the tests, signed by a key of its own:
#   tests/deploy/release.sh FOLDER VERSION [KEY_FOLDER]
# The key is made in KEY_FOLDER when it is not there (else a new one in FOLDER.key).
# A release for people is made by the release recipe, by the same format.
set -eu

out=$1 version=$2 keys=${3:-$1.key}
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
programs=${CHATCODE_TEST_PROGRAMS:-$here/target/debug}
os=linux arch=amd64
[ "$(uname -m)" = x86_64 ] || arch=arm64

mkdir -p "$out" "$keys"
if [ ! -e "$keys/key.pem" ]; then
    (umask 077 && openssl genpkey -algorithm ed25519 -out "$keys/key.pem" 2>/dev/null)
fi
public=$(openssl pkey -in "$keys/key.pem" -pubout | sed -n 2p)

# archive ROLE PROGRAM...
archive() {
    role=$1
    shift
    work=$(mktemp -d "$out/.work.XXXXXX")
    for each; do strip -o "$work/$each" "$programs/$each"; done
    cp -R "$here/deploy/systemd" "$here/deploy/launchd" "$work"
    name=chatcode-$version-$role-$os-$arch.tar.gz
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$work" -cf - . | gzip -n1 >"$out/$name"
    rm -rf "$work"
    printf 'file %s %s %s %s %s %s\n' "$(sha256sum <"$out/$name" | cut -c 1-64)" "$(wc -c <"$out/$name")" "$role" "$os" "$arch" "$name"
}

{
    printf 'chatcode-release 1\nversion %s\nchannel stable\nreleased %s\noldest 0.1.0\n' "$version" "$(date +%s)"
    archive gateway chatcode-gateway chatcode-holder chatcode-spawner chatcode
    archive server chatcode-core chatcode-edge chatcode
    for each in install.sh cleanup.sh; do
        sed "s|^MCowBQYDK2VwAyEA.*|$public|" "$here/deploy/$each" >"$out/$each"
        printf 'script %s %s %s\n' "$(sha256sum <"$out/$each" | cut -c 1-64)" "$(wc -c <"$out/$each")" "$each"
    done
} >"$out/.manifest"
mv "$out/.manifest" "$out/manifest"
"$here/tests/deploy/sign.sh" "$out" "$keys"
