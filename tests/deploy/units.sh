#!/bin/sh
# shellcheck disable=SC2015,SC2016,SC2086 # words for other shells, several words, and checks in a row
# Static checks of what is deployed: how exposed the units are, by systemd's own
# judgement without running them, shell scripts, keys, plists.
set -eu

work=$(mktemp -d "${TMPDIR:-/tmp}/chatcode-units.XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/deploy/lib.sh
. "$(dirname -- "$0")/lib.sh"
units=$root_of_tree/deploy/systemd/system

# exposure UNIT MOST, in tenths
exposure() {
    score=$(systemd-analyze security --offline=true --no-pager "$units/$1" 2>/dev/null | sed -n 's/.*Overall exposure level for .*: \([0-9]*\)\.\([0-9]\) .*/\1\2/p')
    [ -n "$score" ] || fail "systemd does not judge $1"
    [ "$score" -le "$2" ] || fail "$1 is exposed by ${score%?}.${score#"${score%?}"}, more than ${2%?}.${2#"${2%?}"}"
}

if command -v systemd-analyze >/dev/null && [ "$(systemd-analyze --version | sed -n 's/^systemd \([0-9]*\).*/\1/p')" -ge 250 ]; then
    exposure chatcode-core.service 15
    exposure chatcode-edge.service 15
    exposure chatcode-gateway.service 15
    exposure chatcode-updater@.service 20
    exposure chatcode-spawner@.service 20
    sed '/^ProtectSystem/d; /^PrivateDevices/d; /^SystemCallFilter/d' "$units/chatcode-core.service" >"$work/loose.service"
    loose=$(systemd-analyze security --offline=true --threshold=15 --no-pager "$work/loose.service" >/dev/null 2>&1 && echo tight || echo loose)
    [ "$loose" = loose ] || fail "a loose unit passes"
    ok "core, edge and gateway are exposed by 1.5 at most"
else
    skip "exposure of the units: systemd-analyze 250 is not here"
fi

# Both readers know one key.
raw=$(grep -v '^#' "$root_of_tree/deploy/release.pub")
[ "$(grep -c "^MCowBQYDK2VwAyEA$raw\$" "$root_of_tree/deploy/install.sh")" = 1 ] || fail "install.sh has another key than release.pub"
ok "install.sh knows the key of release.pub"

# The programs of the tests need the C library, which a release may not.
if [ "$(uname -s)" = Linux ]; then
    if "$root_of_tree/deploy/release/make" --target "$(uname -m)-unknown-linux-musl" --programs "$programs" --out "$work/release" >"$work/said" 2>&1; then
        fail "programs that are not static become a release"
    fi
    grep -q 'chatcode-holder is not static' "$work/said" || fail "a release of programs that are not static is refused for another reason"
    ok "only static programs become a release"
fi

if command -v shellcheck >/dev/null; then
    (cd "$root_of_tree" && shellcheck -x deploy/*.sh deploy/release/make deploy/release/rustc deploy/release/tools tests/deploy/*.sh) || fail "shellcheck complains"
    ok "the scripts are as shellcheck wants them"
else
    skip "shellcheck is not here"
fi
