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

if had systemd-analyze systemd && [ "$(systemd-analyze --version | sed -n 's/^systemd \([0-9]*\).*/\1/p')" -ge 250 ]; then
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
    skip exposure "systemd-analyze 250 is not here"
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

if had shellcheck shellcheck; then
    (cd "$root_of_tree" && shellcheck -x deploy/*.sh deploy/release/make deploy/release/rustc deploy/release/tools tests/deploy/*.sh) || fail "shellcheck complains"
    ok "the scripts are as shellcheck wants them"
else
    skip shellcheck "it is not here"
fi

# plutil is Apple's; Python reads the same files.
if had python3 python3; then
    python3 - "$root_of_tree"/deploy/launchd/*.plist <<'END' >"$work/said" 2>&1 || fail "a plist is not as launchd wants it"
import os, plistlib, sys

KEYS = {
    "Label": str, "UserName": str, "ProgramArguments": list, "StandardOutPath": str, "StandardErrorPath": str,
    "Umask": int, "RunAtLoad": bool, "KeepAlive": dict, "ThrottleInterval": int, "AbandonProcessGroup": bool, "ProcessType": str,
}

def check(name, job):
    for key, value in job.items():
        assert type(value) is KEYS.get(key), f"{name}: launchd.plist(5) has no {key} of {type(value).__name__}"
    assert job["Label"] == "dev.chatcode.gateway", f"{name}: another label than the scripts'"
    program, *rest = job["ProgramArguments"]
    assert all(type(word) is str for word in rest), f"{name}: an argument is no string"
    assert program.startswith("/"), f"{name}: launchd looks in no PATH for {program}"
    assert job["Umask"] == 0o077 and job["RunAtLoad"], f"{name}: not private, or not started"
    assert job["KeepAlive"] == {"SuccessfulExit": False}, f"{name}: not kept running, or started again where a person must act"
    assert any("--launchd" in word.split() for word in rest), f"{name}: the daemon does not know that only 0 ends it for good"
    assert job["AbandonProcessGroup"], f"{name}: sessions would end with the daemon"
    assert job["ProcessType"] in ("Interactive", "Background", "Standard", "Adaptive"), f"{name}: no such ProcessType"
    for key in ("StandardOutPath", "StandardErrorPath"):
        assert job.get(key, "/").startswith("/"), f"{name}: {key} is no whole path"
    if "daemon" in name:
        assert job["UserName"] not in ("", "root"), f"{name}: shells are never root's"
        assert program == f"/Users/{job['UserName']}/.local/bin/chatcode-gateway", f"{name}: another program than install.sh puts there"
        assert f"/Users/{job['UserName']}/.config/chatcode/gateway.toml" in rest, f"{name}: other settings than install.sh writes"
    else:
        assert "UserName" not in job, f"{name}: an agent is its user's own"
        assert rest[0] == "-c" and '$HOME/.config/chatcode/gateway.toml' in rest[1], f"{name}: other settings than install.sh writes"

read = {os.path.basename(path): plistlib.load(open(path, "rb")) for path in sys.argv[1:]}
assert len(read) == 2, "an agent and a daemon"
for name, job in read.items():
    check(name, job)

# Such checks find what they look for.
agent = read["dev.chatcode.gateway.agent.plist"]
for wrong in ({"KeepAlife": True}, {"KeepAlive": True}, {"KeepAlive": {"SuccessfulExit": True}}, {"RunAtLoad": "yes"}, {"Umask": 18}, {"ProgramArguments": ["sh", "-c", "x"]}):
    try:
        check("agent", {**agent, **wrong})
    except AssertionError:
        continue
    raise SystemExit(f"a plist with {wrong} passes")
END
    ok "the plists have launchd's keys, of the right kinds, and our paths"
else
    skip plists "python3 is not here"
fi

# A test that is not run is no test that holds.
skips() { (CI=$1 CHATCODE_MAY_SKIP=$2 && export CI && skip tea "the pot is empty") >"$work/skipped" 2>&1; }
skips '' '' && grep -q '^skip  tea: the pot is empty$' "$work/skipped" || fail "a skip does not name itself and its reason"
if skips true '' || skips true 'teapot'; then fail "a skip passes in CI"; fi
skips true 'coffee tea' || fail "a skip that CI allows does not pass"
sed -n 's/.*CHATCODE_MAY_SKIP=//p' "$root_of_tree/.ci/run" | grep -qx "''" || fail "CI allows skips"
ok "in CI a skip is a failure, and none is allowed there"
