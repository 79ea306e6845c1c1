# The one list of commands: CI, people and documents use these. On a machine
# without `just`, `./justw RECIPE` is the same.

set positional-arguments

buf := "edge/web/node_modules/.bin/buf"

# List the recipes.
[private]
default:
    @just --list --unsorted

# Build everything in release mode, start it, and print one URL.
up *ARGS: build-release
    exec target/release/chatcode up "$@"

# The programs as they are used. The holder alone, so that it carries no code of the others.
build-release: web
    cargo build --release --locked -p chatcode-holder
    cargo build --release --locked -p chatcode -p chatcode-core -p chatcode-edge -p chatcode-gateway -p chatcode-spawner

# A release in target/dist: archives, checksums, signatures, parts list. CONTRIBUTING.md says how.
release *ARGS: web
    deploy/release/make "$@"

# The manual pages of all programs, into target/man.
man:
    cargo build --locked -p chatcode -p chatcode-core -p chatcode-edge -p chatcode-gateway
    for each in chatcode chatcode-core chatcode-edge chatcode-gateway; do target/debug/$each man target/man; done

# Install what releases are made with (zig, cargo-zigbuild, cargo-cyclonedx; pinned) into .tools/release.
release-tools:
    deploy/release/tools

# Whether the released programs for this system need nothing of it, alone and as images (root; Linux).
release-test TARGET="x86_64-unknown-linux-musl":
    tests/deploy/static.sh target/{{TARGET}}/dist
    tests/deploy/image.sh target/{{TARGET}}/dist

# Whether two folders give the same archives, byte by byte: builds everything twice.
release-twice *ARGS: web
    tests/deploy/twice.sh "$@"

# Standard output belongs to the program that a recipe ends in.
# Build the page into edge/web/dist unless it is up to date.
web: web-deps
    #!/usr/bin/env sh
    set -eu
    cd edge/web
    [ "$(cat dist/.sources 2>/dev/null)" = "$(node scripts/stamp.mjs)" ] || npm run build >&2

# Install what the page is built with, when its list has changed.
[private]
web-deps:
    #!/usr/bin/env sh
    set -eu
    cd edge/web
    [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund >&2

# Run the same from a development build, with data of its own and all logs.
dev *ARGS: web
    cargo build --workspace --bins --locked
    exec target/debug/chatcode --data-dir target/dev up --verbose "$@"

# Install what the tests need, and run all of them; arguments choose among the Rust tests only.
test *ARGS: test-tools web
    cargo build --workspace --bins --locked
    cargo nextest run --workspace --locked "$@"
    {{ if ARGS == "" { "just web-test browser" } else { "true" } }}

# The tests of the page's own code.
web-test: web-deps
    cd edge/web && npm test

# The tests in a real browser; the programs have to be built.
browser *ARGS: test-tools browser-deps
    node --test --test-concurrency=1 "$@" tests/browser/*.test.mjs

# Make the pictures of the documents anew; the programs have to be built.
pictures: test-tools
    CHATCODE_PICTURES=docs/images node --test tests/browser/pictures.test.mjs

# Install what stands in for an identity provider and a mail server, when the list has changed.
[private]
browser-deps:
    #!/usr/bin/env sh
    set -eu
    cd tests/browser
    [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund --ignore-scripts >&2

# Install a browser, tmux, iptables and the test runner, when they are missing.
[private]
test-tools: web-deps
    #!/usr/bin/env sh
    set -eu
    if ! node tests/browser/find.mjs >/dev/null 2>&1; then
        if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
            echo "the browser tests need Chromium; installing it: apt-get install chromium"
            apt-get update -qq
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
        fi
        node tests/browser/find.mjs >/dev/null
    fi
    if ! command -v tmux >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        echo "a test opens sessions of tmux; installing it: apt-get install tmux"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends tmux >/dev/null
    fi
    if ! command -v iptables >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        echo "a test blocks UDP in a network namespace; installing what does that: apt-get install iptables iproute2"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends iptables iproute2 >/dev/null
    fi
    if ! cargo nextest --version >/dev/null 2>&1; then
        echo "the tests are run by cargo-nextest; building it: cargo install cargo-nextest"
        cargo install --locked cargo-nextest@0.9.143
    fi

# Formatting, lints, the schema, shell scripts.
lint: web lint-tools
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    {{buf}} lint
    cd edge/web && npm run lint
    if command -v shellcheck >/dev/null; then shellcheck -x justw .ci/run tests/systemd/run tests/fuzz/run deploy/*.sh deploy/release/make deploy/release/rustc deploy/release/tools tests/deploy/*.sh tests/deploy/run; else echo "shellcheck is not here: scripts not checked"; test -z "${CI:-}"; fi

# Install what checks shell scripts, when it is missing and can be had.
[private]
lint-tools:
    #!/usr/bin/env sh
    set -eu
    if ! command -v shellcheck >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        echo "scripts are checked by shellcheck; installing it: apt-get install shellcheck"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends shellcheck >/dev/null
    fi

# Format all Rust code.
fmt:
    cargo fmt --all

# The session rules against their reference model, with this many seeds.
sim SEEDS="10000":
    CHATCODE_SIM_SEEDS={{SEEDS}} cargo test --release --locked -p chatcode-proto --test session_sim -- --nocapture

# A hundred machines at once with one join token, this many times: exactly one gets in.
redeem ROUNDS="1000":
    CHATCODE_REDEEM_ROUNDS={{ROUNDS}} cargo test --locked -p chatcode-core --test suite -- --nocapture redeeming::

# Random faults on every hop of real processes, this many one after the other; the programs have to be built.
faults COUNT="200":
    CHATCODE_FAULTS={{COUNT}} cargo test --locked --test mesh over_random_faults -- --nocapture

# Leaves of a minute and intermediates of five under a live terminal, for at least this many minutes; the programs have to be built.
rotation MINUTES="20":
    CHATCODE_BOUNDS=exact CHATCODE_ROTATION={{MINUTES}} cargo test --locked --test mesh leaves_and_intermediates -- --nocapture

# The screen model against xterm.js itself, with this many generated streams of each kind.
differential SEEDS="20000": web-deps
    CHATCODE_DIFFERENTIAL_SEEDS={{SEEDS}} cargo test --release --locked -p chatcode-screen --test differential -- --nocapture

# Hostile bytes for one of the targets in tests/fuzz/corpus, or for all, for this long each; what goes wrong is left there.
fuzz TARGET MINUTES="10":
    tests/fuzz/run {{TARGET}} {{MINUTES}}

# The gateway on a real systemd, in a container, or with --vm in an emulated machine (root and Debian's archive are needed).
systemd *ARGS:
    cargo build --locked -p chatcode-gateway -p chatcode-holder -p chatcode-spawner
    tests/systemd/run "$@"

# The installation: images and workflow, units, hostile releases, ways to download, a Mac's steps, a fresh machine's whole life (root and Debian's archive are needed for it all).
deploy-test: web
    cargo build --locked -p chatcode -p chatcode-core -p chatcode-edge -p chatcode-gateway -p chatcode-holder -p chatcode-spawner
    tests/deploy/run

# The bounds of a machine's life as they are promised, on a machine that does nothing else: 15 s from the line to a first prompt, 1 s from a revocation to the last byte, no stall above 100 ms.
bounds: web
    cargo build --locked -p chatcode -p chatcode-core -p chatcode-edge -p chatcode-gateway -p chatcode-holder -p chatcode-spawner
    CHATCODE_BOUNDS=exact cargo test --locked --test mesh -- --test-threads=1 --nocapture a_revoked_machine_shows leaves_and_intermediates
    CHATCODE_BOUNDS=exact tests/deploy/machine.sh

# Measure programs with the profile of those that are shipped beside a plain PTY; figures go to target/bench/latest.jsonl. The meter, page and fleet in one, is built for speed.
bench *ARGS: web
    cargo build --profile dist --locked --target-dir target/bench/build -p chatcode-holder
    cargo build --profile dist --config 'profile.dist.package.aws-lc-sys.opt-level="s"' --locked --target-dir target/bench/build -p chatcode-gateway
    cargo build --profile dist --locked --target-dir target/bench/build -p chatcode -p chatcode-core -p chatcode-edge -p chatcode-spawner
    cargo build --release --locked --target-dir target/bench/build -p chatcode-bench
    install target/bench/build/release/chatcode-bench target/bench/build/dist/
    target/bench/build/dist/chatcode-bench "$@"

# Twenty sessions that may lose and double nothing while a seeded schedule breaks every part, for so many minutes; SEED plays a run again.
soak MINUTES="10" SEED="": build-release
    cargo run --release --locked -p chatcode-soak -- --minutes {{MINUTES}} {{ if SEED == "" { "" } else { "--seed " + SEED } }}

# Whether the schema still understands the newest release.
proto-breaking: web-deps
    #!/usr/bin/env sh
    set -eu
    tag=$(git tag --list 'v*' --sort=-v:refname | head -n 1)
    if [ -z "$tag" ]; then
        echo "there is no release tag yet, so nothing that could break"
        exit 0
    fi
    {{buf}} breaking --against ".git#tag=$tag"

# Licences, sources, double versions and one TLS provider of every package; then known faults, for which the advisories are fetched from their forge.
deny:
    cargo deny --version >/dev/null 2>&1 || { echo "type: cargo install --locked cargo-deny" >&2; exit 1; }
    cargo audit --version >/dev/null 2>&1 || { echo "type: cargo install --locked cargo-audit" >&2; exit 1; }
    cargo deny --workspace --locked check bans licenses sources
    cargo deny --workspace --locked check advisories || { echo "advisories: found, or the database could not be fetched; see above" >&2; exit 1; }
    cargo audit
