#!/bin/sh
# shellcheck disable=SC2015,SC2016,SC2086 # words for other shells, several words, and checks in a row
# The installation of one user of a Mac, as far as it can be run on a Linux: `uname`
# says Darwin, the release has these programs as those of macOS, and `launchctl`
# notes what it is asked, starts what the plist says, starts it again as the plist
# says, and takes its time to end it.
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
    [ ! -s "$work/agent.program" ] || kill -KILL "$(cat "$work/agent.program")" 2>/dev/null || true
    # What launchctl put off for a second may still be written.
    rm -rf "$work" 2>/dev/null || { sleep 2 && rm -rf "$work"; }
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
        : >$work/agent
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
    # Keeps the agent of a plist as launchd does: its arguments, its umask, and after
    # each end its KeepAlive and ThrottleInterval. Every end is noted.
    cat >"$work/launchd.py" <<'END'
import os, plistlib, signal, subprocess, sys, time
plist, pid_file = sys.argv[1:]
with open(plist, "rb") as file:
    agent = plistlib.load(file)
if os.fork():
    # Until the agent has begun.
    while not os.path.getsize(pid_file):
        time.sleep(0.01)
    sys.exit()
os.setsid()
with open(pid_file, "w") as file:
    file.write(str(os.getpid()))
started = None
# Its handler takes no lock that the main loop may hold.
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
try:
    while True:
        began = time.monotonic()
        started = subprocess.Popen(agent["ProgramArguments"], umask=agent["Umask"], stdin=subprocess.DEVNULL, start_new_session=True, cwd="/")
        with open(pid_file + ".program", "w") as file:
            file.write(str(started.pid))
        code = started.wait()
        keep = agent["KeepAlive"]
        again = keep if isinstance(keep, bool) else keep["SuccessfulExit"] == (code == 0)
        with open(pid_file + ".ends", "a") as file:
            file.write(f"{code} {'again' if again else 'stays'}\n")
        if not again:
            signal.pause()
        time.sleep(max(0, agent["ThrottleInterval"] - (time.monotonic() - began)))
finally:
    if started and started.poll() is None:
        started.terminate()
        started.wait()
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

a_mac_s_user_installs_and_runs_again() {
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
}

# The number of the daemon that launchd has started last.
daemon() { cat "$work/agent.program"; }
ended() { grep -cx "$1" "$work/agent.ends" 2>/dev/null; }
is_another() { [ "$(daemon)" != "$1" ] && kill -0 "$(daemon)"; }

a_daemon_that_crashes_is_started_again_and_a_revoked_one_is_not() {
    crashed=$(daemon)
    kill -KILL "$crashed"
    until_true 20 is_another "$crashed" || fail "launchd does not start a daemon again that crashed"
    state=$(env -i HOME="$home" "$home/.local/bin/chatcode-gateway" status --wait 30) || fail "the daemon that was started again is not online"
    revoked=$(daemon)
    cli gateway revoke "$(printf '%s' "$state" | sed -n 's/.*"gateway":"\([^"]*\)".*/\1/p')" >/dev/null 2>&1 || fail "it is not revoked"
    until_true 20 ended '0 stays' || fail "launchd would start a revoked daemon again: $(cat "$work/agent.ends")"
    [ "$(cat "$work/agent.ends")" = '-9 again
0 stays' ] || fail "the daemon ended otherwise: $(cat "$work/agent.ends")"
    [ "$(daemon)" = "$revoked" ] || fail "a revoked daemon was started again"
    tail -n 1 "$home/Library/Logs/chatcode/gateway.log" >"$work/said"
    grep -q 'launchd does not start it again until a person acts' "$work/said" && grep -q 'revoked' "$work/said" ||
        fail "the last line of its log does not say why"
    ok "launchd starts a daemon again that crashed, and one that was revoked stays away, with a last line that says why"
}

a_mac_s_user_removes() {
    echo mine >"$home/mine"
    env -i HOME="$home" PATH="$path" $with "$home/.local/bin/chatcode-gateway" uninstall --mode user --yes >"$work/said" 2>&1 || fail "no removal"
    asked "bootout $domain/dev.chatcode.gateway"
    find "$home" -name '*chatcode*' >"$work/said"
    [ ! -s "$work/said" ] && [ "$(cat "$home/mine")" = mine ] || fail "something of ours is left, or something of the user's is not"
    ok "a Mac's user installs, runs again and removes, by launchctl's own words"
}

had python3 python3 || { skip mac "python3, which reads plists, is not here"; exit 0; }
needs openssl openssl
trap leave EXIT
trap 'exit 130' INT TERM
make_release
script=$work/release/install.sh
start_core --listen 127.0.0.1:0 --link 127.0.0.1:0
token admin | cli admin enroll --core "$core" 2>/dev/null || fail "the command line is not enrolled"
token gateway >"$work/token"
make_a_mac
a_dry_run_tells_the_steps_of_a_mac
nobody_logged_in_is_told
a_mac_s_user_installs_and_runs_again
a_daemon_that_crashes_is_started_again_and_a_revoked_one_is_not
a_mac_s_user_removes
