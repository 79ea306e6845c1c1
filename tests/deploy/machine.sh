#!/bin/sh
# shellcheck disable=SC2015,SC2016,SC2086 # words for other shells, several words, and checks in a row
# A machine's whole life with chatcode, on a fresh Debian with its own systemd: the
# line from the page, sessions, a crash, a reboot, revocation, removal. As root.
#   tests/deploy/machine.sh
set -eu

work=$(mktemp -d "${TMPDIR:-/tmp}/chatcode-machine.XXXXXX")
# shellcheck source=tests/deploy/lib.sh
. "$(dirname -- "$0")/lib.sh"
# shellcheck source=tests/deploy/booted.sh
. "$(dirname -- "$0")/booted.sh"
the_line_refuses_another_script() {
    mkdir "$work/attack"
    printf '#!/bin/sh\ntouch /root/owned\n' >"$work/attack/install.sh"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/attack.key" -out "$work/attack.pem" \
        -days 2 -subj "/CN=$host" -addext "subjectAltName=DNS:$host" 2>/dev/null
    (cd "$work/attack" && exec nsenter --net="$network" openssl s_server -quiet -accept "$address:8444" -cert ../attack.pem -key ../attack.key -WWW) \
        >"$work/attack.log" 2>&1 &
    attacker_pid=$!
    until_true 10 m curl -fsSk "https://$host:8444/install.sh" || fail "the attacker does not serve"
    m sh -c "$(printf '%s' "$line" | sed 's/:8443/:8444/g')" >"$work/said" 2>&1 || true
    m test ! -e /root/owned || fail "a script of another server was run"
    grep -q 'public key' "$work/said" || fail "the refusal does not say why"
    end "$attacker_pid"
    attacker_pid=
    ok "a script that somebody puts in its place is not run"
}

# Looks at every process while the token is in use.
the_line_makes_a_gateway() {
    cli gateway token --name box >"$work/token" 2>/dev/null
    secret=$(cut -d . -f 3 "$work/token")
    m sh -c 'while [ ! -e /tmp/enough ]; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; done | tr "\0" "\n" | sort -u >/tmp/seen' &
    watching=$!
    began=$(date +%s%N)
    # The script comes on standard input, so the token is typed on the terminal.
    mkfifo "$work/keys"
    network_of="nsenter -t $machine_pid -m -u -i -n -p"
    printf '%s\n' "$line" >"$work/root/root/.line"
    script -qec "$network_of env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=xterm sh /root/.line" /dev/null <"$work/keys" >"$work/said" 2>&1 &
    installing=$!
    exec 3>"$work/keys"
    until_true 20 grep -q 'The join token' "$work/said" || fail "nobody asks for the token"
    cat "$work/token" >&3
    wait "$installing" || fail "the line from the page does not install"
    exec 3>&-
    rm "$work/keys"
    grep -q '^online: .* as box' "$work/said" || fail "the script does not say that the machine is online"
    session=$(cli new -g box --name first)
    typed first 'echo $((40 + 2)) $(id -un) >/home/vibe/work' /home/vibe/work
    within "$((($(date +%s%N) - began) / 1000000))" 15000 "from the line to what a first prompt did"
    m touch /tmp/enough
    wait "$watching" || true
    [ "$(m cat /home/vibe/work)" = '42 vibe' ] || fail "the shell is not the session user's"
    [ "$(m wc -l /tmp/seen | cut -d ' ' -f 1)" -gt 20 ] || fail "nobody looked at the processes"
    if m grep -qF "$secret" /tmp/seen || m grep -rqF "$secret" /etc /var/lib /var/log /root /home; then fail "the join token was left somewhere"; fi
    grep -qF "$secret" "$work/said" && fail "the join token was shown on the terminal"
    ok "the line of the page makes a gateway, and the token is seen nowhere"
}

again_and_after_a_kill_the_session_goes_on() {
    holder=$(pid_of_session "$session")
    m sh -c "$line" >"$work/said" 2>&1 || fail "the line does not run again"
    grep -q 'its identity stays' "$work/said" || fail "the identity did not stay"
    m systemctl kill --kill-who=main --signal=KILL chatcode-gateway
    until_true 20 m chatcode-gateway status --config /etc/chatcode/gateway.toml || fail "no link after kill -9"
    [ "$(pid_of_session "$session")" = "$holder" ] || fail "the session is another one"
    ok "run again, and killed, the gateway comes back and the session goes on"
}

identity_sum() { m sha256sum /var/lib/chatcode/gateway/identity/identity.pem; }
is_renewed() { [ "$(identity_sum)" != "$before_renewal" ]; }
ups() { grep -c 'link up' "$work/core.log"; }

a_certificate_of_a_minute_is_renewed_under_a_session() {
    typed first 'i=0; while :; do i=$((i+1)); echo $i >>/home/vibe/count; sleep 0.05; done &' /home/vibe/count
    m openssl x509 -noout -checkend 61 -in /var/lib/chatcode/gateway/identity/identity.pem >/dev/null && fail "the certificate lives longer than a minute"
    holder=$(pid_of_session "$session")
    links=$(ups)
    before_renewal=$(identity_sum)
    until_true 60 is_renewed || fail "no renewal"
    counts_on "after a renewal"
    [ "$(ups)" = "$links" ] || fail "the link broke for a renewal"
    # The rest of a machine's life is not a race with the clock.
    end "$core_pid"
    start_core $fixed_ports
    m chatcode-gateway status --wait 30 --config /etc/chatcode/gateway.toml >/dev/null || fail "no link to the core that was started again"
    ok "a certificate of a minute is renewed, the link stays, and the session goes on"
}

installed() { m readlink /usr/local/lib/chatcode/current; }
counted() { m sh -c 'wc -l </home/vibe/count'; }
count_grows() { [ "$(counted)" -gt "$1" ]; }
# The session of the counter: the same process, it counts on, and left no number out.
counts_on() {
    [ "$(pid_of_session "$session")" = "$holder" ] || fail "$1: the session is another one"
    so_far=$(counted)
    until_true 10 count_grows "$so_far" || fail "$1: the session does not go on"
    m awk '$1 != NR { exit 1 }' /home/vibe/count || fail "$1: what the session does has a gap"
    until_true 30 is_link box online || fail "$1: the machine is not online"
}

an_update_leaves_sessions_alone_and_a_broken_one_goes_back_by_itself() {
    grep -qx 'release_url = "https://code.test:8443/release"' "$work/root/etc/chatcode/gateway.toml" ||
        fail "the machine does not know where updates are"
    m systemctl is-enabled chatcode-updater.socket >/dev/null || fail "the updater's socket is not enabled"
    # The programs were built with another key than the test's.
    "$root_of_tree/target/debug/chatcode-release" public "$work/release.key/key.pem" >"$work/root/usr/local/lib/chatcode/key"
    sed -i 's|^release_url = .*|release_url = "/srv/release"\nrelease_key = "/usr/local/lib/chatcode/key"\ntrial_s = 20|' \
        "$work/root/etc/chatcode/gateway.toml"
    mkdir "$work/root/etc/systemd/system/chatcode-updater@.service.d"
    printf '[Service]\nExecStart=\nExecStart=/usr/local/bin/chatcode-gateway updater --incoming /var/lib/chatcode/gateway/update --release-key /usr/local/lib/chatcode/key\n' \
        >"$work/root/etc/systemd/system/chatcode-updater@.service.d/key.conf"
    m systemctl daemon-reload
    m systemctl restart chatcode-gateway
    # The core may take a moment to see that the link before is no more.
    m chatcode-gateway status --wait 30 --config /etc/chatcode/gateway.toml >/dev/null || fail "not online with other settings"
    until_true 30 is_link box online || fail "the core does not see the link with other settings"

    newer 0.2.0
    m chatcode-gateway update --config /etc/chatcode/gateway.toml >"$work/said" 2>&1 || fail "root's update failed"
    grep -qx 'version 0.2.0 runs' "$work/said" && [ "$(installed)" = 0.2.0 ] || fail "root's update is not told"
    counts_on "after root's update"

    newer 0.3.0
    cli gateway update box >"$work/said" 2>&1 || fail "the update over the core failed"
    grep -qx 'version 0.3.0 runs' "$work/said" && [ "$(installed)" = 0.3.0 ] || fail "the update over the core is not told"
    counts_on "after the update over the core"

    newer 0.4.0 chatcode-gateway "exit 3"
    cli gateway update box >"$work/said" 2>&1 && fail "a version that exits at once was taken"
    grep -q 'version 0.4.0 was not taken, version 0.3.0 goes on' "$work/said" || fail "it is not told what became of it"
    [ "$(installed)" = 0.3.0 ] || fail "a version that exits at once is current"
    counts_on "after the broken update"

    m chatcode-gateway update --rollback --config /etc/chatcode/gateway.toml >"$work/said" 2>&1 || fail "no way back"
    grep -qx 'version 0.2.0 runs' "$work/said" && [ "$(installed)" = 0.2.0 ] || fail "the way back is not told"
    counts_on "after the way back"
    m systemctl restart chatcode-gateway
    counts_on "after a start by systemd"
    # Of this test, not of the installation, which would leave them.
    m chatcode-gateway uninstall --dry-run >"$work/said" 2>&1 || fail "no list of what goes"
    sed -n '/^Not ours/,$p' "$work/said" >"$work/foreign"
    for each in /usr/local/lib/chatcode/key '/etc/systemd/system/chatcode-updater@.service.d/key.conf'; do
        grep -q "^  $each\$" "$work/foreign" || fail "it is not said that $each stays"
    done
    rm -rf "$work/root/srv/release" "$work/root/usr/local/lib/chatcode/key" "$work/root/etc/systemd/system/chatcode-updater@.service.d"
    m systemctl daemon-reload
    ok "updates as root and over the core leave sessions alone, a broken one goes back by itself, and there is a way back"
}

# reboot MACHINE: until it is online again.
reboot() {
    booted=$(boot_id)
    power_off
    until_true 30 is_link "$1" offline || fail "the core does not see that the machine is off"
    boot
    until_true 30 is_link "$1" online || {
        m journalctl --no-pager -n 60 -u chatcode-gateway >"$work/gateway.log" 2>&1
        m chatcode-gateway status --config /etc/chatcode/gateway.toml >>"$work/gateway.log" 2>&1 || true
        fail "not online after a reboot"
    }
    [ "$(boot_id)" != "$booted" ] || fail "the machine did not boot"
}

after_a_reboot_it_is_online_and_has_the_sessions_that_shall_come_back() {
    cli new -g box --name always --restart on-boot >/dev/null
    stopped=$(cli new -g box --name stopped --restart on-boot)
    cli new -g box --name crashing --restart on-crash >/dev/null
    m systemctl stop "chatcode-session-$stopped.service"
    until_true 20 is_session stopped 'exited, signal 1' || fail "a session whose service is stopped does not end"
    reboot box
    for each in always stopped; do
        until_true 20 is_session "$each" 'running; restarted once' || fail "$each does not come back after a reboot ($(state_of "$each"))"
    done
    for each in first crashing; do
        is_session "$each" "ended by the machine's restart" || fail "$each, which nobody wants back, is $(state_of "$each")"
    done
    typed always 'echo back >/home/vibe/back' /home/vibe/back
    ok "after a reboot the machine is online, and the sessions that shall come back do"
}

# since_unix_ms BEGAN: how long after that the machine's link became what its state tells.
since_unix_ms() { echo $(($(sed -n 's/.*"since_unix_ms":\([0-9]*\).*/\1/p' "$work/said") - $1 / 1000000)); }

revoked_it_stops_and_stays_away() {
    began=$(date +%s%N)
    cli gateway revoke box >/dev/null 2>&1
    until_true 20 m sh -c '[ "$(systemctl is-active chatcode-gateway)" = failed ]' || fail "a revoked gateway goes on"
    m chatcode-gateway status --config /etc/chatcode/gateway.toml >"$work/said" 2>&1 && fail "a revoked gateway is online"
    grep -q '"link":"revoked"' "$work/said" || fail "the state is not told"
    within "$(since_unix_ms "$began")" 1000 "from the revocation to the end of the link"
    ok "a revoked gateway stops, and systemd leaves it so"
}

# removed WORDS: what the session user made stays.
removed() {
    kept=$(m sha256sum "$made_there")
    m chatcode-gateway uninstall --yes >"$work/said" 2>&1 || fail "the removal failed"
    [ "$(m sha256sum "$made_there")" = "$kept" ] || fail "a file of the session user is gone"
    gone "$1"
}
made_there=/home/vibe/work

without_udp_it_is_online_by_tcp_and_comes_back() {
    end "$core_pid"
    start_core --listen 0.0.0.0:7421 --link 127.0.0.1:7422
    new_token later
    m sh -c "$line --token-file /tmp/token --wait 20" >"$work/said" 2>&1 || fail "no link without UDP"
    m chatcode-gateway status --config /etc/chatcode/gateway.toml >"$work/said" 2>&1 || fail "no state"
    grep -q '"over":"tcp"' "$work/said" || fail "it is not said that the link is by TCP"
    end "$core_pid"
    start_core $fixed_ports
    until_true 60 is_link later online || fail "it did not come back"
    ok "without UDP the gateway is online by TCP, says so, and comes back to a core that is begun again"
}

leaving_tells_the_core() {
    removed "what was removed leaves nothing behind and the user's files alone"
    [ "$(link_of later)" = revoked ] || fail "the core was not told"
    cli audit | grep -q gateway.left || fail "the audit does not have it"
    ok "the core knows that the machine left"
}

start_proxy() {
    : >"$work/proxy"
    exec_inside node "$root_of_tree/tests/deploy/proxy.mjs" "$address" works ada:hush77 "$host=$address" >"$work/proxy" &
    proxy_pid=$!
    until_true 10 test -s "$work/proxy" || fail "the proxy does not start"
    proxy_port=$(head -n 1 "$work/proxy")
    proxy=http://ada:hush77@$address:$proxy_port
}

# The network lets the machine out to the proxy and nowhere else; everything looks at
# the arguments of every program meanwhile.
a_machine_behind_a_proxy_is_made_by_the_one_line() {
    needs iptables iptables
    start_proxy
    inside iptables -A INPUT -i "ve-$name" -p tcp --dport "$proxy_port" -j ACCEPT
    inside iptables -A INPUT -i "ve-$name" -j DROP
    m curl -sk --connect-timeout 2 "https://$host:7421" >/dev/null 2>&1 && fail "the core is reached past the proxy" || [ $? = 28 ] ||
        fail "the core is not behind a network that lets nothing out"
    (umask 077 && echo "$proxy" >"$work/root/root/.proxy")
    new_token behind
    # The line's own curl has only its variable.
    by_line="https_proxy=\$(cat /root/.proxy) $line --proxy-file /root/.proxy"
    m sh -c 'mkdir -p /etc/chatcode; touch /tmp/mine; ln -s /tmp/mine /etc/chatcode/gateway.toml'
    if m sh -c "$by_line --token-file /tmp/token" >"$work/said" 2>&1; then fail "root follows a link to settings"; fi
    grep -q 'gateway.toml is a link, which root does not follow' "$work/said" || fail "it is not said that settings are a link"
    m sh -c '[ ! -s /tmp/mine ] && [ ! -e /etc/chatcode/gateway.proxy ] && rm /etc/chatcode/gateway.toml' || fail "something was written where settings are a link"
    m rm -f /tmp/enough /tmp/seen
    m sh -c 'while [ ! -e /tmp/enough ]; do cat /proc/[0-9]*/cmdline 2>/dev/null; done | tr "\0" "\n" | sort -u >/tmp/seen' &
    watching=$!
    m sh -c "$by_line --token-file /tmp/token" >"$work/said" 2>&1 || fail "no install behind a proxy"
    m touch /tmp/enough
    wait "$watching" || true
    grep -q '^online: .* as behind' "$work/said" || fail "it is not online behind a proxy"
    [ "$(grep -c "^CONNECT $host:7421$" "$work/proxy")" -ge 2 ] || fail "enrollment and link did not go by the proxy"
    m chatcode-gateway status --config /etc/chatcode/gateway.toml | grep -q '"over":"tcp"' || fail "the link is not by the proxy"
    [ "$(m stat -c '%U %a' /etc/chatcode/gateway.proxy)" = 'chatcode 600' ] || fail "the copy is not the gateway's alone"
    m grep -q '^--proxy-file$' /tmp/seen || fail "nobody looked at the arguments"
    if m grep -qF hush77 /tmp/seen || grep -qF hush77 "$work/said"; then fail "the proxy's password was seen"; fi
    m sh -c 'journalctl --quiet; cat /proc/[0-9]*/environ' 2>/dev/null | grep -qaF hush77 && fail "the proxy's password is in a log, or in an environment"
    [ "$(m grep -rlF hush77 /etc /var/lib /var/log /home)" = /etc/chatcode/gateway.proxy ] || fail "the proxy's password is elsewhere, too"
    m sh -c 'ls -l --full-time /etc/chatcode; cat /etc/chatcode/*' >"$work/etc"
    m sh -c "$by_line" >"$work/said" 2>&1 || fail "the line does not run again behind a proxy"
    grep -q 'gateway.toml has a proxy already, which stays' "$work/said" || fail "it is not said that the proxy stays"
    m sh -c 'ls -l --full-time /etc/chatcode; cat /etc/chatcode/*' | cmp -s - "$work/etc" || fail "the second run changes something"
    ok "a machine that gets out by a proxy only enrolls and links by it with the one line, and its password is the gateway's alone"
    removed "behind a proxy it leaves nothing behind, the copy of the proxy's URL neither"
    [ "$(link_of behind)" = revoked ] || fail "the core was not told by the proxy"
    inside iptables -F INPUT
    end "$proxy_pid"
    proxy_pid=
}

# Through a proxy, by the password that it asks for; NO_PROXY leaves it out.
an_install_goes_by_the_proxy_of_the_machine_s_network() {
    m userdel --remove vibe 2>/dev/null || fail "the session user of the last install is not removed"
    start_proxy
    new_token granted
    m env https_proxy="$proxy" sh -c "$line --token-file /tmp/token --sudo apt" >"$work/said" 2>&1 || fail "no install by a proxy"
    # The script, the manifest, its signature, the archive, cleanup.sh.
    [ "$(grep -c "^CONNECT $host:8443$" "$work/proxy")" = 5 ] || fail "not all of it went by the proxy"
    m env https_proxy="$proxy" NO_PROXY="$host" sh -c "$line" >"$work/said" 2>&1 || fail "no install past a proxy"
    [ "$(grep -c CONNECT "$work/proxy")" = 5 ] || fail "NO_PROXY is not heeded"
    m grep -rqF hush77 /etc /var/lib /var/log && fail "the proxy's password was left somewhere"
    ok "an install goes by the proxy of the machine's network, and past it by NO_PROXY"
}

# A repository with one package in it, for apt-get to work on.
make_a_repository() {
    m sh -euc 'tar -cf /tmp/apt.tar /etc/apt /var/lib/apt /var/lib/dpkg
        mkdir -p /srv/apt/package/DEBIAN && cd /srv/apt
        printf "Package: fortune-test\nVersion: 1\nArchitecture: all\nMaintainer: Test <test@localhost>\nDescription: test\n" >package/DEBIAN/control
        dpkg-deb --build --root-owner-group package fortune-test.deb >/dev/null
        { cat package/DEBIAN/control
          printf "Filename: ./fortune-test.deb\nSize: %s\nSHA256: %s\n" "$(wc -c <fortune-test.deb)" "$(sha256sum fortune-test.deb | cut -c 1-64)"
        } >Packages
        rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
        echo "deb [trusted=yes] file:/srv/apt ./" >/etc/apt/sources.list'
}
restore_apt() {
    m sh -euc 'dpkg --purge fortune-test && rm -rf /etc/apt /var/lib/apt /var/lib/dpkg /srv/apt && tar -xf /tmp/apt.tar -C / && rm /tmp/apt.tar' >"$work/said" 2>&1 ||
        fail "apt is not as it was"
}
may() { m sudo -l -U vibe "$@" >/dev/null 2>&1 || fail "not granted: $*"; }
may_not() { if m sudo -l -U vibe "$@" >/dev/null 2>&1; then fail "granted: $*"; fi; }

sudo_grants_what_was_said_and_notes_it() {
    m visudo -cq || fail "visudo does not like what was granted"
    make_a_repository
    may apt-get update
    may apt-get install -y fortune-test
    may apt-get install fortune-test libstdc++6
    for each in 'install -o APT::Update::Pre-Invoke::=id fortune-test' '-o Dpkg::Pre-Invoke::=id update' 'update -o Dir=/tmp' 'install' \
        'install -y -c=/tmp/x fortune-test' 'install fortune-test --reinstall' 'install ./fortune-test.deb' 'install /srv/apt/fortune-test.deb' \
        'install fortune-test-' 'install -y fortune-test sudo-' 'install fortune-test=1' 'remove fortune-test' 'dist-upgrade'; do
        may_not apt-get $each
    done
    may_not sh
    may_not apt-get install 'fortune-test
-oDir=/tmp'
    m runuser -u vibe -- sudo -n APT_CONFIG=/tmp/x apt-get update >"$work/said" 2>&1 && fail "settings of apt may come with it"
    cli new -g granted --name installing >/dev/null
    typed installing 'sudo -n apt-get update >/home/vibe/apt 2>&1 && sudo -n apt-get install -y fortune-test >>/home/vibe/apt 2>&1; sudo -n id >>/home/vibe/apt 2>&1; touch /home/vibe/tried' \
        /home/vibe/tried
    m cat /home/vibe/apt >"$work/said"
    [ "$(m dpkg-query -W -f '${Status}' fortune-test)" = 'install ok installed' ] || fail "a session's apt-get does not install"
    grep -q 'password is required' "$work/said" || fail "a session's id is not refused"
    m grep -q 'USER=root ; COMMAND=/usr/bin/apt-get install -y fortune-test' /var/log/chatcode-sudo.log || fail "sudo is not noted"
    restore_apt
    m env NO_PROXY='*' sh -c "$line --sudo all" >"$work/said" 2>&1 || fail "not granted later"
    m visudo -cq || fail "visudo does not like what was granted later"
    [ "$(m runuser -u vibe -- sudo -n id -u)" = 0 ] && m grep -q 'COMMAND=/usr/bin/id -u' /var/log/chatcode-sudo.log || fail "--sudo all gives nothing, or is not noted"
    ok "--sudo apt lets a session install packages and nothing else, --sudo all everything, and each command is noted"
}

# A home that the installation made goes when it is said, and no copy of it elsewhere.
purged_its_own_user_goes() {
    m sh -c 'mkdir /opt/copy && cp -a /home/vibe/. /opt/copy/ && chown -R root:root /opt/copy'
    copied=$(m sh -c 'find /opt/copy -type f -exec sha256sum {} +')
    m chatcode-gateway uninstall --dry-run --purge-user >"$work/said" 2>&1 || fail "no list of what goes"
    grep -q 'THE USER vibe WITH ALL FILES OF ITS HOME /home/vibe' "$work/said" && m test -e /home/vibe/tried || fail "it is not told that the home goes"
    m chatcode-gateway uninstall --yes --purge-user >"$work/said" 2>&1 || fail "the removal failed"
    m id vibe >/dev/null 2>&1 && fail "the user is left"
    m test ! -e /home/vibe || fail "the home is left"
    [ "$(m sh -c 'find /opt/copy -type f -exec sha256sum {} +')" = "$copied" ] || fail "a copy of its files was touched"
    m rm -rf /opt/copy
    m visudo -cq || fail "visudo does not like what is left"
    gone "with --purge-user the user that was made, its home and what sudo granted go, and nothing else"
}

a_machine_is_removed_also_when_the_core_is_gone() {
    new_token lonely
    m sh -c "$line --token-file /tmp/token --user bob" >"$work/said" 2>&1 || fail "no install with a user that was there"
    cli new -g lonely --name bobs >/dev/null
    typed bobs 'id -un >/home/bob/who; touch /home/bob/there' /home/bob/there
    [ "$(m cat /home/bob/who)" = bob ] || fail "the shell is not the user's"
    m rm /home/bob/there
    m chatcode-gateway uninstall --yes --purge-user >"$work/said" 2>&1 && fail "--purge-user takes a user that was there before"
    grep -q 'made no user here, so none is removed' "$work/said" || fail "it is not said why the user stays"
    m chatcode-gateway status --config /etc/chatcode/gateway.toml >/dev/null || fail "what was refused stopped the gateway"
    end "$core_pid"
    core_pid=
    made_there=/home/bob/who
    removed "a machine is cleaned also when the core is gone, and the user that was there before stays"
}

a_user_needs_no_root() {
    start_core $fixed_ports
    m useradd --create-home --shell /bin/bash ada
    m loginctl enable-linger ada
    ada=$(m id -u ada)
    until_true 20 m test -S "/run/user/$ada/bus" || fail "no systemd of a user"
    until_true 20 cli gateway ls || fail "the core does not start"
    new_token adas
    as_ada="runuser -u ada -- env HOME=/home/ada XDG_RUNTIME_DIR=/run/user/$ada"
    m $as_ada sh -c "$line --token-file /tmp/token" >"$work/said" 2>&1 || fail "no install without root"
    cli new -g adas --name hers --restart on-boot >/dev/null
    reboot adas
    until_true 20 is_session hers 'running; restarted once' || fail "a user's session does not come back after a reboot"
    typed hers 'id -un >/home/ada/who' /home/ada/who
    [ "$(m cat /home/ada/who)" = ada ] || fail "the shell is not the user's own"
    m $as_ada /home/ada/.local/bin/chatcode-gateway uninstall --yes >"$work/said" 2>&1 || fail "no removal without root"
    m find /home/ada -name '*chatcode*' >"$work/said"
    [ ! -s "$work/said" ] && m test -e /home/ada/who || fail "something of ours is left, or something of hers is not"
    m loginctl disable-linger ada
    m systemctl stop "user@$ada.service"
    m userdel --remove ada >"$work/said" 2>&1 || fail "the test's own user is not removed"
    ok "a user installs, works and removes without root"
}

begin
the_line_refuses_another_script
the_line_makes_a_gateway
a_certificate_of_a_minute_is_renewed_under_a_session
again_and_after_a_kill_the_session_goes_on
an_update_leaves_sessions_alone_and_a_broken_one_goes_back_by_itself
after_a_reboot_it_is_online_and_has_the_sessions_that_shall_come_back
revoked_it_stops_and_stays_away
m test -e /home/vibe/back
removed "a revoked machine is removed, and every file of others is as it was"
without_udp_it_is_online_by_tcp_and_comes_back
leaving_tells_the_core
a_machine_behind_a_proxy_is_made_by_the_one_line
an_install_goes_by_the_proxy_of_the_machine_s_network
sudo_grants_what_was_said_and_notes_it
purged_its_own_user_goes
a_machine_is_removed_also_when_the_core_is_gone
a_user_needs_no_root
