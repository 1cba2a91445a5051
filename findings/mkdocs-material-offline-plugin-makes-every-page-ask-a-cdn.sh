#!/usr/bin/env bash
# One would guess: a site built with Material's built-in plugin `offline` asks nothing of the network when it is opened.
# What happens (mkdocs-material 9.8.2): the plugin itself adds a script iframe-worker/shim of a public CDN to every page;
# without a network it fails to load and search is gone. Without the plugin no page has it. A local script among
# `extra.polyfills` whose name holds "iframe-worker" keeps it away; the plugin `privacy` would fetch it at build time.
# Source: material/plugins/offline/plugin.py (on_config).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "mkdocs==1.6.1" "mkdocs-material==9.8.2"
mkdir "$work/docs"
echo "# A page" >"$work/docs/index.md"
build() { # what is added to the configuration → how often a built page names a CDN
  printf '%s\n' "site_name: A site" "theme: {name: material, font: false}" "$@" >"$work/mkdocs.yml"
  (cd "$work" && NO_MKDOCS_2_WARNING=1 venv/bin/mkdocs build -q)
  grep -cE "src=.https://[^ ]*/iframe-worker" "$work/site/index.html" || true
}
plain=$(build "plugins: [search]")
offline=$(build "plugins: [search, offline]")
local=$(build "plugins: [search, offline]" "extra: {polyfills: [iframe-worker.js]}")
echo "mkdocs-material 9.8.2, scripts of a CDN in a page: $plain without offline, $offline with it, $local with a local polyfill"
[ "$plain $offline $local" = "0 1 0" ]
