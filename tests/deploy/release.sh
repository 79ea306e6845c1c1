#!/bin/sh
# Makes a release of the built programs for the tests, signed by a key of its own:
#   tests/deploy/release.sh FOLDER VERSION [KEY_FOLDER]
# The key is made in KEY_FOLDER when it is not there (else a new one in FOLDER.key).
set -eu

out=$1 version=$2 keys=${3:-$1.key}
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
programs=${CHATCODE_TEST_PROGRAMS:-$here/target/debug}

mkdir -p "$out" "$keys"
if [ ! -e "$keys/key.pem" ]; then
    (umask 077 && openssl genpkey -algorithm ed25519 -out "$keys/key.pem" 2>/dev/null)
fi
work=$(mktemp -d "$out.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
for each in "$programs"/chatcode "$programs"/chatcode-*; do
    if [ ! -f "$each" ] || [ ! -x "$each" ]; then continue; fi
    # One that is a script has nothing to be stripped.
    strip -o "$work/${each##*/}" "$each" 2>/dev/null || cp "$each" "$work/${each##*/}"
done
CHATCODE_RELEASE_KEY=$keys/key.pem "$here/deploy/release/make" --release "$version" --programs "$work" --out "$out" 2>"$work/said" ||
    { cat "$work/said" >&2; exit 1; }
