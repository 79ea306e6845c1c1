#!/bin/sh
# Signs the manifest of a release in both forms: tests/deploy/sign.sh FOLDER KEY_FOLDER
set -eu

out=$1 keys=$2

# The same key in OpenSSH's own form: seed and public half are the last 32 bytes of each in DER.
ssh_form() {
    seed=$keys/.seed public=$keys/.public
    openssl pkey -in "$keys/key.pem" -outform DER | tail -c 32 >"$seed"
    openssl pkey -in "$keys/key.pem" -pubout -outform DER | tail -c 32 >"$public"
    pair() { printf '\000\000\000\013ssh-ed25519\000\000\000\040' && cat "$public"; }
    echo '-----BEGIN OPENSSH PRIVATE KEY-----'
    {
        printf 'openssh-key-v1\000\000\000\000\004none\000\000\000\004none\000\000\000\000\000\000\000\001\000\000\000\063'
        pair
        printf '\000\000\000\210\000\000\000\000\000\000\000\000'
        pair
        printf '\000\000\000\100'
        cat "$seed" "$public"
        printf '\000\000\000\000\001\002\003\004\005'
    } | base64
    echo '-----END OPENSSH PRIVATE KEY-----'
    rm "$seed" "$public"
}

umask 077
[ -e "$keys/ssh" ] || ssh_form >"$keys/ssh"
umask 022
openssl pkeyutl -sign -inkey "$keys/key.pem" -rawin -in "$out/manifest" -out "$out/manifest.sig"
ssh-keygen -q -Y sign -f "$keys/ssh" -n chatcode-release <"$out/manifest" >"$out/manifest.sshsig"
