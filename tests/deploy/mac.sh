#!/bin/sh
# shellcheck disable=SC2015,SC2016,SC2086 # words for other shells, several words, and checks in a row
# The installation of one user of a Mac, as far as it can be run on a Linux: `uname`
# says Darwin, the release has these programs as those of macOS, and `launchctl`
# notes what it is asked, starts what the plist says, and takes its time to end it.
set -eu

work=$(mktemp -d "${TMPDIR:-/tmp}/cx.XXXXXX")
# shellcheck source=tests/deploy/lib.sh
. "$(dirname -- "$0")/lib.sh"
network='' core_pid=''
home=$work/Users/ada
plist=$home/Library/LaunchAgents/dev.chatcode.gateway.plist

leave() {
    status=$?
    trap - EXIT
    [ -z "$core_pid" ] || kill "$core_pid" 2>/dev/null || true
    [ ! -s "$work/agent" ] || kill "$(cat "$work/agent")" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}

make_a_mac() {
    tools "$work/mac" openssl ps
    rm "$work/mac/uname"
    printf '#!/bin/sh\ncase $1 in -s) echo Darwin ;; -m) echo arm64 ;; *) echo mac ;; esac\n' >"$work/mac/uname"
    cat >"$work/mac/launchctl" <<END
#!/bin/sh
echo "\$*" >>$work/launchctl.log
case \$1 in
    bootstrap)
        [ ! -e $work/nobody-is-logged-in ] || { echo 'Bootstrap failed: 125: Domain does not support specified action' >&2; exit 125; }
        [ ! -s $work/agent ] || { echo 'Bootstrap failed: 5: Input/output error' >&2; exit 5; }
        env -i HOME=$home PATH=/usr/bin:/bin $(command -v python3) $work/launchd.py "\$3" $work/agent
        ;;
    bootout)
        [ -s $work/agent ] || exit 3
        kill \$(cat $work/agent)
        (sleep 1 && : >$work/agent) >/dev/null 2>&1 &
        ;;
    print) [ -s $work/agent ] ;;
    *) exit 64 ;;
esac
END
    chmod +x "$work/mac/uname" "$work/mac/launchctl"
    # Starts the agent of a plist: its arguments, and its umask, as launchd does.
    cat >"$work/launchd.py" <<'END'
import os, plistlib, subprocess, sys
with open(sys.argv[1], "rb") as file:
    agent = plistlib.load(file)
started = subprocess.Popen(agent["ProgramArguments"], umask=agent["Umask"], stdin=subprocess.DEVNULL, start_new_session=True, cwd="/")
with open(sys.argv[2], "w") as file:
    file.write(str(started.pid))
END
    sed -i 's/ linux [a-z0-9]* / macos arm64 /' "$work/release/manifest"
    "$root_of_tree/tests/deploy/sign.sh" "$work/release" "$work/release.key"
    path=$work/mac
    # A variable of a person's shell, which launchd does not know.
    with="XDG_CONFIG_HOME=$home/elsewhere"
}

mac() { install_into "$home" --from "$work/release" --core "$core" --token-file "$work/token" "$@"; }
# asked WORDS...: launchctl was, since the last time, for these in this order.
asked() {
    printf '%s\n' "$@" >"$work/expected"
    # However often it was asked whether the agent is gone.
    uniq "$work/launchctl.log" >"$work/once"
    cmp -s "$work/expected" "$work/once" || { diff "$work/expected" "$work/once" >"$work/said" || true; fail "launchctl was asked otherwise"; }
    : >"$work/launchctl.log"
}
domain=gui/$(id -u)

a_dry_run_tells_the_steps_of_a_mac() {
    mac --dry-run
    refused 0 'download and check the gateway archive for macos arm64' "$home"
    grep -q "install $plist (mode 600)" "$work/said" && grep -q "launchctl bootstrap $domain $plist" "$work/said" ||
        fail "the dry run does not tell of launchd"
    grep -q systemctl "$work/said" && fail "a Mac has no systemd"
    [ ! -e "$work/launchctl.log" ] || fail "the dry run asked launchctl"
    ok "on a Mac a dry run tells its steps and does none of them"
}

nobody_logged_in_is_told() {
    touch "$work/nobody-is-logged-in"
    mac
    refused 69 'you have to be logged in at this Mac itself' "$home"
    rm "$work/nobody-is-logged-in"
    asked "bootout $domain/dev.chatcode.gateway" "bootstrap $domain $plist" "bootout $domain/dev.chatcode.gateway"
    token gateway >"$work/token"
    ok "where launchd takes no agent it is said what to do, and nothing is left"
}

a_mac_s_user_installs_runs_again_and_removes() {
    mac
    [ "$status" = 0 ] && grep -q '^online:' "$work/said" || fail "no install on a Mac ($status)"
    asked "bootout $domain/dev.chatcode.gateway" "bootstrap $domain $plist"
    [ "$(stat -c %a "$plist")" = 600 ] && cmp -s "$plist" "$root_of_tree/deploy/launchd/dev.chatcode.gateway.agent.plist" ||
        fail "the agent's plist is not the one of the release, or others read it"
    [ "$(stat -c %a "$home/Library/Logs/chatcode/gateway.log")" = 600 ] || fail "others read the log"
    [ ! -e "$home/elsewhere" ] || fail "settings are where launchd does not know of them"
    mac
    [ "$status" = 0 ] && grep -q 'its identity stays' "$work/said" || fail "it does not run again ($status)"
    asked "bootout $domain/dev.chatcode.gateway" "print $domain/dev.chatcode.gateway" "bootstrap $domain $plist"
    echo mine >"$home/mine"
    env -i HOME="$home" PATH="$path" $with "$home/.local/bin/chatcode-gateway" uninstall --mode user --yes >"$work/said" 2>&1 || fail "no removal"
    asked "bootout $domain/dev.chatcode.gateway"
    find "$home" -name '*chatcode*' >"$work/said"
    [ ! -s "$work/said" ] && [ "$(cat "$home/mine")" = mine ] || fail "something of ours is left, or something of the user's is not"
    ok "a Mac's user installs, runs again and removes, by launchctl's own words"
}

command -v python3 >/dev/null || { skip "a Mac: python3, which reads plists, is not here"; exit 0; }
needs openssl openssl
trap leave EXIT
trap 'exit 130' INT TERM
make_release
script=$work/release/install.sh
start_core --listen 127.0.0.1:0 --link 127.0.0.1:0
token gateway >"$work/token"
make_a_mac
a_dry_run_tells_the_steps_of_a_mac
nobody_logged_in_is_told
a_mac_s_user_installs_runs_again_and_removes
