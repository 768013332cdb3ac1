#!/bin/sh
# Sets up everything that `make demo` and `make test` need: .venv with the `hearth` command, console assets, and the
# servers and the browser that the tests drive. Each step is skipped when nothing that it depends on has changed.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "setup: $*" >&2; }
fail() { printf '%s\n' "setup: $*" >&2; exit 1; }

# Debian packages: as root they are installed, else the missing ones are named.
need_packages() { # need_packages REQUIRED|WANTED PACKAGE...
    how=$1; shift
    missing=""
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing$missing"
        log=$(mktemp)
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } \
            >"$log" 2>&1 || { tail -20 "$log" >&2; fail "apt-get could not install$missing"; }
        rm -f "$log"
    elif [ "$how" = required ]; then
        fail "missing packages; run: sudo apt-get install$missing"
    else
        say "missing for the tests (the demo runs without): sudo apt-get install$missing"
    fi
}

stamp_is() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }
digest() { cat "$@" | sha256sum | cut -d' ' -f1; }

python=${PYTHON:-python3}
command -v "$python" >/dev/null || fail "no $python; Hearth needs Python 3.11 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$($python --version) is too old; Hearth needs 3.11 or newer"
command -v npm >/dev/null || fail "no npm; Hearth needs Node.js 20 or newer with npm"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || fail "Node.js $(node --version) is too old; Hearth needs 20 or newer"

if ! [ -x .venv/bin/python ]; then
    "$python" -c 'import ensurepip' 2>/dev/null || need_packages required python3-venv
    "$python" -m venv .venv
fi

wanted=$(digest requirements.lock pyproject.toml; "$python" --version)
if ! stamp_is .venv/.hearth-python "$wanted"; then
    say "installing Python packages"
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    printf '%s' "$wanted" >.venv/.hearth-python
fi

wanted=$(digest package-lock.json package.json web/assets.py)
if ! stamp_is .venv/.hearth-assets "$wanted" || ! [ -d web/static/vendor ]; then
    say "installing console assets"
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
    .venv/bin/python -m web.assets
    printf '%s' "$wanted" >.venv/.hearth-assets
fi

for po in web/locale/*/LC_MESSAGES/hearth.po; do
    mo=${po%.po}.mo
    [ "$mo" -nt "$po" ] || .venv/bin/pybabel -q compile -i "$po" -o "$mo" 2>/dev/null
done

# Debian's PostgreSQL starts a cluster of its own unless told otherwise; the tests make theirs.
if ! [ -e /etc/postgresql-common/createcluster.conf ] && [ "$(id -u)" = 0 ] && ! [ -d /usr/lib/postgresql ]; then
    mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
fi
if command -v dpkg-query >/dev/null; then
    need_packages wanted chromium dovecot-imapd fonts-noto-cjk postfix postgresql
fi
