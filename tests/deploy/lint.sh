#!/bin/sh
# What others' programs say of image, compose file and workflow: hadolint, the
# schemas of Compose and of the forge's workflows, zizmor.
set -eu

work=$(mktemp -d "${TMPDIR:-/tmp}/chatcode-lint.XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/deploy/lib.sh
. "$(dirname -- "$0")/lib.sh"
cd "$root_of_tree"
tools=.tools/checks

if ! [ -x $tools/bin/pip ] && [ "$(id -u)" = 0 ] && ! python3 -c 'import ensurepip' 2>/dev/null && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
fi
if ! [ -x $tools/bin/pip ] && ! python3 -m venv $tools >"$work/said" 2>&1; then
    skip lint "image, compose file and workflow: python3 with venv is not here"
    exit 0
fi
$tools/bin/pip install --quiet --disable-pip-version-check --requirement tests/deploy/requirements.txt >"$work/said" 2>&1 ||
    fail "the checkers cannot be installed"

# says FILE WORDS CHECKER...: it has nothing against the file, and something once
# WORDS (sed) have changed it.
says() {
    file=$1 words=$2
    shift 2
    "$@" "$file" >"$work/said" 2>&1 || fail "$file"
    sed "$words" "$file" >"$work/${file##*/}"
    if cmp -s "$file" "$work/${file##*/}"; then fail "$words changes nothing in $file"; fi
    if "$@" "$work/${file##*/}" >"$work/said" 2>&1; then fail "$1 finds nothing wrong with $file after $words"; fi
}

says deploy/docker/Dockerfile 's/^WORKDIR .*/RUN cd edge/' $tools/bin/hadolint
ok "the Dockerfile is as hadolint wants it"
says deploy/compose.yaml 's/cap_drop/cap_dorp/' $tools/bin/check-jsonschema --builtin-schema vendor.compose-spec
ok "the compose file is one"
for workflow in .github/workflows/*.yml; do
    says "$workflow" 's/runs-on: ubuntu-24.04/run-on: ubuntu-24.04/' $tools/bin/check-jsonschema --builtin-schema vendor.github-workflows
    says "$workflow" 's/\(uses: .*\)@[0-9a-f]*/\1@v4/' $tools/bin/zizmor --offline
done
ok "the workflow is one, and zizmor finds no danger in it"

if ! command -v promtool >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # The tool alone: no service is started.
    apt-get update -qq
    (cd "$work" && apt-get download -qq prometheus >/dev/null && dpkg-deb -x prometheus_*.deb "$work/prometheus")
    PATH=$PATH:$work/prometheus/usr/bin
fi
if command -v promtool >/dev/null; then
    cp deploy/observe/*.yml "$work"
    says deploy/observe/rules.yml 's/histogram_quantile(/histogram_quantle(/' promtool check rules
    says deploy/observe/prometheus.yml 's/job_name/job_nam/' promtool check config
    says deploy/observe/rules_test.yml 's/value: 90/value: 91/' promtool test rules
    ok "promtool takes the rules, their tests pass, and the example of Prometheus is one"
else
    skip lint "rules of Prometheus: promtool is not here"
fi
