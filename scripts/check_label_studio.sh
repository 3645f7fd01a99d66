#!/usr/bin/env bash
# Takes our tasks through Label Studio itself: import by its API, annotate by its API, export, import.
# It is installed from the package index into an environment of its own (about 1.5 GB); needs a
# checkout that is set up (make test). Usage: scripts/check_label_studio.sh [FOLDER] [EXPORT_TO]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-.label-studio}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
keep=${2:-$folder/export.json}
if [ ! -x "$folder/env/bin/label-studio" ]; then
  python3 -m venv "$folder/env"
  "$folder/env/bin/pip" install --quiet label-studio
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
token=$(python3 -c 'import secrets; print(secrets.token_hex(20))')
data=$(mktemp -d "$folder/data.XXXXXX")
# The token that the API takes is one of its older kind, which has to be asked for.
LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true \
LABEL_STUDIO_USERNAME=check@example.com LABEL_STUDIO_PASSWORD=$token LABEL_STUDIO_USER_TOKEN=$token \
LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK=true COLLECT_ANALYTICS=false \
  "$folder/env/bin/label-studio" start --no-browser --internal-host 127.0.0.1 --port "$port" \
  --data-dir "$data" --log-level ERROR >"$folder/server.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; rm -rf "$data"' EXIT
.venv/bin/python scripts/check_label_studio.py --url "http://127.0.0.1:$port" --token "$token" \
  --server "$server" --keep "$keep"
