#!/bin/sh
# shellcheck disable=SC2015,SC2016,SC2086 # words for other shells, several words, and checks in a row
# A server's whole life, on a fresh Debian with its own systemd: core and edge by one
# line, with a certificate of one's own, half-way, again, forth and back, with a store
# that changes its schema, backed up and restored, and removed. As root.
#   tests/deploy/server.sh
set -eu

work=$(mktemp -d "${TMPDIR:-/tmp}/chatcode-server.XXXXXX")
# shellcheck source=tests/deploy/lib.sh
. "$(dirname -- "$0")/lib.sh"
# shellcheck source=tests/deploy/booted.sh
. "$(dirname -- "$0")/booted.sh"

server_line() { printf '%s --server' "$(printf '%s' "$line" | sed 's/ --core [^ ]*//')"; }
# server ARGUMENT...: the line for a server; its end goes to $status, its words to $work/said.
server() {
    status=0
    m sh -c "$(server_line) $*" >"$work/said" 2>&1 || status=$?
}
said() { grep -q -- "$1" "$work/said" || fail "it is not said: $1"; }
# The page, seen from beside the machine, by the certificate that it was given.
page() { inside curl -fsS --cacert "$work/root/root/.tls/cert.pem" --resolve server.test:443:10.99.0.2 "https://server.test$1"; }
runs() { [ "$(m readlink /usr/local/lib/chatcode/server/current)" = "$1" ] || fail "version $1 is not current"; }
core_says() { m chatcode admin status --json | grep -q "\"version\":\"$1\""; }
schema() { m sqlite3 /var/lib/chatcode-core/core.db 'SELECT MAX(version) FROM _sqlx_migrations'; }
here_is() { m chatcode gateway ls --json | grep -q "\"name\":\"here\",\"state\":\"$1\""; }

half_way_it_is_taken_back() {
    m sh -c 'perl -MSocket -e "socket(S, PF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(7421, INADDR_ANY)); listen(S, 1); sleep 600" >/dev/null 2>&1 & echo $! >/tmp/other'
    until_true 10 m perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in(7421, INADDR_LOOPBACK)) or exit 1' || fail "nobody has the core's port"
    server
    [ "$status" = 69 ] || fail "a core without its port ends with $status"
    said 'cannot listen at 0.0.0.0:7421'
    said 'taking back what was done'
    m sh -c 'kill $(cat /tmp/other)'
    gone_with_its_users "a server whose core does not start is taken back whole"

    m sh -euc 'umask 077; mkdir -p /root/.tls; cd /root/.tls
        for each in cert other; do
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $each.key -out $each.pem -days 2 -subj /CN=server.test -addext subjectAltName=DNS:server.test 2>/dev/null
        done'
    server --origin https://server.test --tls-cert /root/.tls/cert.pem --tls-key /root/.tls/other.key
    [ "$status" = 69 ] || fail "an edge with another's key ends with $status"
    said 'the edge does not start'
    gone_with_its_users "a server whose edge does not start is taken back whole, the core that ran too"
}

# gone WORDS, and the users that only a server has.
gone_with_its_users() {
    for each in chatcode-core chatcode-edge; do m id "$each" >/dev/null 2>&1 && fail "$1: the user $each is left"; done
    gone "$1"
}

its_page_has_the_certificate_that_it_was_given() {
    server --origin https://server.test --tls-cert /root/.tls/cert.pem --tls-key /root/.tls/cert.key
    [ "$status" = 0 ] || fail "no server with a certificate ($status)"
    said '^https://server.test/#login='
    [ "$(page /healthz)" = ok ] || fail "the page does not answer"
    [ "$(m stat -c %a /root/.tls/cert.key)" = 600 ] || fail "others may read the key"
    m sh -c 'grep -rl "PRIVATE KEY" /var/lib/chatcode-edge | grep -v identity' && fail "the page's key was copied"
    own=$(page /api/install | sed -n 's/.*"line":"\([^"]*\)".*/\1/p')
    printf '%s' "$own" | grep -q -- "--pinnedpubkey sha256//" || fail "its line has no pin: $own"
    m sh -c 'echo 127.0.0.1 server.test >>/etc/hosts; chatcode gateway token --name here 2>/dev/null >/tmp/token'
    m sh -c "$own --token-file /tmp/token" >"$work/said" 2>&1 || fail "its own line does not install a gateway beside it"
    said '^online: .* as here'
    ok "a server with a certificate of one's own serves the page by it, and its line pins it"
}

# What must be the same after whatever an upgrade does.
identities() { m sh -c 'sha256sum /var/lib/chatcode-core/ca/* /var/lib/chatcode-edge/identity/machine.key /root/.local/share/chatcode/cli/roots.pem | cut -c 1-64'; }

again_it_keeps_all_and_refuses_what_it_would_pass_over() {
    identities >"$work/identities"
    began=$(m systemctl show -p ActiveEnterTimestampMonotonic --value chatcode-core)
    server
    [ "$status" = 0 ] || fail "the line does not run again ($status)"
    said 'edge.toml stays as it is'
    grep -q '#login=' "$work/said" && fail "there is another first sign-in"
    [ "$(m systemctl show -p ActiveEnterTimestampMonotonic --value chatcode-core)" != "$began" ] || fail "the core was not started again"
    [ "$(page /healthz)" = ok ] || fail "the page is another one"
    until_true 30 here_is online || fail "the gateway does not come back"
    identities | cmp -s - "$work/identities" || fail "an identity is another one"
    for each in '--origin https://other.test' '--listen 0.0.0.0:8443' '--core-listen 0.0.0.0:9421' '--link-listen 0.0.0.0:9422'; do
        server "$each"
        [ "$status" = 78 ] || fail "$each is passed over ($status)"
        said "change it there, then run this again without ${each%% *}"
    done
    m systemctl is-active --quiet chatcode-core chatcode-edge || fail "what was refused stopped something"
    # A new place of the certificate is what a drop-in says, so it counts.
    m cp -a /root/.tls /root/.tls.new
    server --tls-cert /root/.tls.new/cert.pem --tls-key /root/.tls.new/cert.key
    [ "$status" = 0 ] && [ "$(page /healthz)" = ok ] || fail "another place of the certificate is not taken ($status)"
    m grep -q 'cert.pem:/root/.tls.new/cert.pem' /etc/systemd/system/chatcode-edge.service.d/tls.conf || fail "the place is not noted"
    ok "the server's line again keeps identities and settings, and refuses other ones instead of passing them over"
}

# upgrade ARGUMENT...: to what `newer` made.
upgrade() {
    status=0
    m sh "/usr/local/lib/chatcode/release/install.sh" --server --from /srv/release/stable "$@" >"$work/said" 2>&1 || status=$?
}

it_goes_forth_and_back() {
    newer 0.2.0
    upgrade
    [ "$status" = 0 ] || fail "no upgrade ($status)"
    runs 0.2.0
    core_says 0.2.0 || fail "the core is not the new one"
    until_true 30 here_is online || fail "the gateway does not come back to the new core"
    [ "$(page /healthz)" = ok ] || fail "the page does not answer after the upgrade"
    newer 0.1.0
    upgrade
    [ "$status" = 77 ] && runs 0.2.0 || fail "an older version is taken without a word ($status)"
    upgrade --version 0.1.0
    [ "$status" = 0 ] && core_says 0.1.0 || fail "no way back ($status)"
    until_true 30 here_is online || fail "the gateway does not come back to the old core"
    identities | cmp -s - "$work/identities" || fail "an identity is another one"
    ok "a server is upgraded by the same line, and goes back by --version"
}

# A core of a schema that the one before does not know: it keeps the store as the
# real one does, changes it, and then does this.
changes_the_schema() {
    printf '%s\n' 'cd /var/lib/chatcode-core || exit 1
n=$(sqlite3 core.db "SELECT MAX(version) FROM _sqlx_migrations")
if [ "$1" = run ] && [ "$n" = '"$known"' ]; then
    rm -f "core.db.schema-$n"
    sqlite3 core.db "VACUUM INTO '"'core.db.schema-\$n'"'" && chmod 600 "core.db.schema-$n"
    sqlite3 core.db "ALTER TABLE members ADD COLUMN later TEXT; INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES ($n + 1, '"'later'"', 1, x'"'00'"', 0)"
fi' "$1"
}

a_failed_upgrade_takes_the_store_back_too() {
    known=$(schema)
    m chatcode gateway ls --json >"$work/fleet"
    newer 0.3.0 chatcode-core "$(changes_the_schema 'echo the new core is broken >&2; exit 3')"
    upgrade
    [ "$status" = 69 ] || fail "a core that ends at once ends the upgrade with $status"
    said 'the new core is broken'
    said 'taking back what was done'
    grep -q 'does not run either' "$work/said" && fail "the version before does not run"
    m test -e "/var/lib/chatcode-core/core.db.schema-$known" || fail "the new core never changed the schema"
    runs 0.1.0
    [ "$(schema)" = "$known" ] || fail "the store is of the newer schema"
    core_says 0.1.0 || fail "the core before does not serve"
    until_true 30 here_is online || fail "the gateway does not come back"
    [ "$(page /healthz)" = ok ] || fail "the page does not answer"
    identities | cmp -s - "$work/identities" || fail "an identity is another one"
    m runuser -u chatcode-core -- chatcode-core verify-audit --data-dir /var/lib/chatcode-core | grep -q '^whole' || fail "the audit is broken"
    [ -z "$(m find /var/lib/chatcode-core ! -user chatcode-core)" ] || fail "a file of the core is another's"
    ok "an upgrade that fails after a change of the schema takes back programs and store, and nobody is missing"
}

# Says that it serves, as its unit waits for it.
serves='exec perl -MIO::Socket::UNIX -e '"'"'$s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET}) or die; $s->send("READY=1"); sleep 600'"'"

a_store_that_was_used_is_not_thrown_away() {
    newer 0.4.0 chatcode-core "$(changes_the_schema "$serves")"
    cp "$work/newer.programs/chatcode-core" "$work/core.of.tomorrow"
    printf '#!/bin/sh\nif [ "$1" = --version ]; then echo chatcode-edge 0.4.0; exit; fi\nexit 3\n' >"$work/edge.of.tomorrow"
    both_broken
    upgrade
    [ "$status" = 69 ] || fail "an edge that ends at once ends the upgrade with $status"
    said 'so version 0.4.0 stays'
    grep -q 'taking back' "$work/said" && fail "something is taken back"
    runs 0.4.0
    [ "$(schema)" = $((known + 1)) ] || fail "the store was taken back"
    # As docs/upgrade.md says for who wants to go back all the same.
    m systemctl stop chatcode-core chatcode-edge
    m sh -euc "cd /var/lib/chatcode-core && rm -f core.db-wal core.db-shm && cp -p core.db.schema-$known core.db"
    newer 0.1.0
    upgrade --version 0.1.0
    [ "$status" = 0 ] && core_says 0.1.0 || fail "no way back by hand ($status)"
    until_true 30 here_is online || fail "the gateway does not come back"
    ok "where the new core has served under its schema the store stays, and it is said"
}

# The release of 0.4.0 with both of these programs.
both_broken() {
    cp "$work/edge.of.tomorrow" "$work/newer.programs/chatcode-edge"
    rm -rf "$work/root/srv/release/stable"
    CHATCODE_TEST_PROGRAMS=$work/newer.programs "$root_of_tree/tests/deploy/release.sh" "$work/newer" 0.4.0 "$work/release.key"
    mv "$work/newer" "$work/root/srv/release/stable"
}

# By the commands of docs/certificates.md, which root types.
its_ca_is_encrypted_by_a_credential() {
    sed -n '/^(umask 077; head -c 32 .*ca-passphrase)$/,/^```$/p' "$root_of_tree/docs/certificates.md" | sed '/^```/d' >"$work/root/root/.commands"
    grep -q LoadCredential "$work/root/root/.commands" || fail "the document has no such commands"
    m sh -e /root/.commands >"$work/said" 2>&1 || fail "the core does not start with a credential"
    m sh -c 'for each in /var/lib/chatcode-core/ca/*.key; do grep -q "BEGIN ENCRYPTED PRIVATE KEY" $each || exit 1; done' || fail "a key of the CA is not encrypted"
    [ "$(m stat -c '%U %a' /etc/chatcode/ca-passphrase)" = 'root 600' ] || fail "others than root may read the passphrase"
    until_true 30 here_is online || fail "the gateway does not come back"
    ok "the CA's keys are encrypted by a credential of the service, by the commands of the document"
}

it_is_backed_up_and_restored_as_root() {
    m sh -c 'umask 077; echo correct horse battery staple >/root/passphrase'
    m chatcode admin backup /root/backup --passphrase-file /root/passphrase >"$work/said" 2>&1 || fail "no backup"
    said 'the core in /var/lib/chatcode-core is backed up into /root/backup'
    [ "$(m stat -c '%U %a' /root/backup)" = 'root 600' ] || fail "the backup is not root's alone"
    [ -z "$(m find /var/lib/chatcode-core ! -user chatcode-core)" ] || fail "root left something in the core's folder"
    m chatcode admin restore /root/backup --passphrase-file /root/passphrase >"$work/said" 2>&1 && fail "it is restored over a core that is there"
    said 'only restored where there is nothing'
    m systemctl stop chatcode-core
    m sh -c 'find /var/lib/chatcode-core -mindepth 1 -delete'
    m sh -c 'echo another passphrase >/root/wrong; chmod 600 /root/wrong'
    m chatcode admin restore /root/backup --passphrase-file /root/wrong >"$work/said" 2>&1 && fail "another passphrase opens it"
    said 'the passphrase is wrong'
    m chatcode admin restore /root/backup --passphrase-file /root/passphrase >"$work/said" 2>&1 || fail "no restore"
    said '^whole: '
    [ -z "$(m find /var/lib/chatcode-core ! -user chatcode-core)" ] || fail "what was restored is not the core's own"
    m systemctl start chatcode-core || fail "the restored core does not start"
    until_true 60 here_is online || fail "the gateway does not come back by itself"
    [ "$(page /healthz)" = ok ] || fail "the page does not answer"
    m rm -r /root/backup /root/passphrase /root/wrong
    ok "root backs the core up and restores it, and every file is the core's own"
}

a_changed_script_is_not_run() {
    # Without the pin that the certificate brings, the line for this machine has the script's sum.
    m sed -i 's|^origin = .*|origin = "http://localhost:7420"|; s|^listen = .*|listen = "127.0.0.1:7420"|; /^tls_/d' /etc/chatcode/edge.toml
    m systemctl restart chatcode-edge
    own=$(m curl -fsS http://localhost:7420/api/install | sed -n 's/.*"line":"\(.*\)"}.*/\1/p' | sed 's/\\"/"/g')
    m sh -c "echo 'touch /root/owned' >>/usr/local/lib/chatcode/release/install.sh"
    m sh -c "$own" >"$work/said" 2>&1 && fail "a changed script was run"
    m test ! -e /root/owned || fail "a changed script was run"
    said 'nothing was run'
    ok "its line refuses a changed script"
}

what_is_of_others_stays_in_its_folders() {
    m sh -euc 'mkdir -p /var/lib/chatcode/sessions
        for each in /usr/local/lib/chatcode /usr/local/lib/chatcode/server/current /var/lib/chatcode/gateway/identity /var/lib/chatcode/sessions \
            /var/lib/chatcode-core/ca /var/lib/chatcode-edge /root/.local/share/chatcode/cli /etc/chatcode; do echo mine >"$each/mine"; done
        mkdir /var/lib/chatcode/gateway/copy
        cp /var/lib/chatcode/gateway/identity/identity.pem /var/lib/chatcode/gateway/copy
        echo mine >"/var/lib/chatcode-core/core.db
lock"'
    m /usr/local/lib/chatcode/server/current/cleanup.sh --dry-run --purge-server >"$work/said" 2>&1 || fail "no list"
    said '/var/lib/chatcode-core/ca/mine'
    said '/var/lib/chatcode/gateway/copy'
    said 'core.db?lock'
    m /usr/local/lib/chatcode/server/current/cleanup.sh --yes --purge-server >"$work/said" 2>&1 || fail "the server is not removed"
    said 'Files of others stay'
    left=$(m sh -c 'find /usr/local/lib/chatcode /var/lib/chatcode /var/lib/chatcode-core /var/lib/chatcode-edge /root/.local/share/chatcode /etc/chatcode ! -type d | wc -l')
    # The name of two lines has two; the passphrase is the operator's own.
    [ "$left" = 12 ] || { m sh -c 'find / -xdev -path "*chatcode*" ! -type d' >"$work/said"; fail "what is left are not the files of others ($left)"; }
    m rm -r /usr/local/lib/chatcode /var/lib/chatcode /var/lib/chatcode-core /var/lib/chatcode-edge /root/.local/share/chatcode /etc/chatcode
    m sed -i '/server.test/d' /etc/hosts
    m rm -r /root/.tls /root/.tls.new /srv/release /etc/systemd/system/chatcode-core.service.d
    gone_with_its_users "core, edge, gateway and root's own command line go, and files of others in their folders stay"
}

begin
half_way_it_is_taken_back
its_page_has_the_certificate_that_it_was_given
again_it_keeps_all_and_refuses_what_it_would_pass_over
it_goes_forth_and_back
a_failed_upgrade_takes_the_store_back_too
a_store_that_was_used_is_not_thrown_away
its_ca_is_encrypted_by_a_credential
it_is_backed_up_and_restored_as_root
a_changed_script_is_not_run
what_is_of_others_stays_in_its_folders
