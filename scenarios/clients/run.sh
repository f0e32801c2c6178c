#!/usr/bin/env bash
# The transcripts against `synod serve`: one node, then three members from zoo.cfg.
#
# usage: run.sh [PROGRAM]        (default: builds target/release/synod)
#
# Installs what is missing: Debian's zookeeper for zkCli.sh (as root), kazoo from PyPI in a private environment below
# CLIENTS_CACHE (default: target/clients). ZKCLI names another way to start the shell.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
CACHE=${CLIENTS_CACHE:-$TARGET/clients}
SYNOD=${1:-}
if [ -z "$SYNOD" ]; then
  (cd "$ROOT" && cargo build --release --quiet --package synod-server)
  SYNOD=$TARGET/release/synod
fi
export SYNOD
mkdir -p "$CACHE"

if [ ! -x "$CACHE/venv/bin/python" ] || ! "$CACHE/venv/bin/python" -c 'import kazoo' 2>/dev/null; then
  python3 -m venv "$CACHE/venv" && "$CACHE/venv/bin/pip" install --quiet kazoo==2.11.0
fi
if [ -z "${ZKCLI:-}" ]; then
  ZKCLI=/usr/share/zookeeper/bin/zkCli.sh
  if [ ! -x $ZKCLI ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends zookeeper >/dev/null
  fi
fi

WORK=$(mktemp -d)
NODE=
finish() {
  [ -z "$NODE" ] || kill "$NODE" 2>/dev/null || true
  SYNOD_DIR=$WORK "$HERE/ctl.py" kill all || true
  rm -rf "$WORK"
}
trap finish EXIT

sessions() {
  "$CACHE/venv/bin/python" "$HERE/kazoo_session.py" "$1"
  # shellcheck disable=SC2086
  python3 "$HERE/zkcli_session.py" "${1%%,*}" $ZKCLI
}

echo "one node: synod serve --dev"
"$SYNOD" serve --dev --zookeeper 127.0.0.1:32181 --admin 127.0.0.1:32182 >"$WORK/ready" 2>"$WORK/log" & NODE=$!
for _ in $(seq 500); do
  grep -q '^ready zookeeper' "$WORK/ready" && break
  kill -0 "$NODE" 2>/dev/null || { cat "$WORK/log"; exit 1; }
  sleep 0.02
done
sessions 127.0.0.1:32181
kill -TERM "$NODE"
wait "$NODE" || { echo "synod serve --dev ended with $? after SIGTERM"; exit 1; }
NODE=

echo "three members: synod zookeeper zoo.cfg"
export SYNOD_DIR=$WORK SYNOD_SIZE=3
"$HERE/ctl.py" start all
"$HERE/ctl.py" wait all
sessions "$("$HERE/ctl.py" endpoints)"
"$HERE/ctl.py" stop all
