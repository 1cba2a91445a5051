#!/usr/bin/env bash
# Guess: with `ffmpeg_location` set to a path that does not exist and the native HLS downloader preferred, yt-dlp starts
# no program at all while it downloads a plain playlist of MPEG-TS segments.
# Happens: before the first segment it runs `ffmpeg -bsfs`, the one of PATH, to see whether there is one; the option is not
# asked (downloader/external.py, FFmpegFD.available, marked there as something to fix). Who forbids child processes (a
# sandbox, an audit hook) loses every HLS download by it, who logs them sees a program that the options ruled out.
# Source: run here with yt-dlp 2026.10.26; yt_dlp/downloader/hls.py and external.py of that version.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -q yt-dlp==2026.10.26
mkdir "$scratch/bin" "$scratch/site"
printf '#!/bin/sh\necho "ffmpeg $*" >>"%s/started"\nexit 1\n' "$scratch" >"$scratch/bin/ffmpeg"
chmod +x "$scratch/bin/ffmpeg"
head -c 18800 /dev/zero | tr '\0' 'G' >"$scratch/site/one.ts" # 100 packets by their sync byte; nothing decodes it
printf '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\none.ts\n#EXT-X-ENDLIST\n' >"$scratch/site/list.m3u8"
cd "$scratch"
PATH="$scratch/bin:$PATH" "$scratch/venv/bin/python" - <<'P'
import functools, http.server, threading
import yt_dlp

handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="site")
handler.func.log_message = lambda *a: None
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
options = {"quiet": True, "noprogress": True, "no_warnings": True, "ffmpeg_location": "/nonexistent", "hls_prefer_native": True,
           "fixup": "never", "outtmpl": "out.%(ext)s", "proxy": ""}
with yt_dlp.YoutubeDL(options) as client:
    client.extract_info(f"http://127.0.0.1:{server.server_port}/list.m3u8")
print("yt-dlp", yt_dlp.version.__version__)
P
test -s out.mp4
echo "started all the same: $(cat started)"
grep -q '^ffmpeg -bsfs' started
