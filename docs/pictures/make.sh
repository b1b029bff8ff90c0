#!/usr/bin/env bash
# Makes the README's picture anew: the figure of lesson 8 as the book shows it, light and dark.
# Needs a Chromium, named by $LATIMER_CHROMIUM (default: chromium). Nothing is drawn by hand: the page is
# what `latimer lesson 8 --html` writes, with the parts around its figure hidden and the third of its buttons
# pressed.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
latimer=(cargo xtask)
if [ -n "${LATIMER:-}" ]; then latimer=("$LATIMER"); fi
"${latimer[@]}" lesson 8 --html "$folder/lesson.html" --quiet
style='<style>
  main { max-width: 48rem; padding: .2rem 1.2rem }
  section > h1:first-child { margin-top: .6rem }
  section > :not(h1, .about, .widget), .widget > div:last-child, footer { display: none }
</style>'
press='<script>document.querySelectorAll(".widget button")[2].click()</script>'
page=$(<"$folder/lesson.html")
page=${page/<\/head>/"$style"</head>}
printf '%s' "${page/<\/body>/"$press"</body>}" >"$folder/page.html"
# Chromium's own numbers: 0 is dark, 1 is light.
for scheme in dark:0 light:1; do
    "${LATIMER_CHROMIUM:-chromium}" --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run \
        --disable-background-networking --user-data-dir="$folder/profile" \
        --blink-settings=preferredColorScheme="${scheme#*:}" --force-device-scale-factor=1.5 \
        --window-size=800,668 --virtual-time-budget=2000 \
        --screenshot="docs/pictures/lesson-8-${scheme%:*}.png" "file://$folder/page.html" 2>/dev/null
done
ls -l docs/pictures/*.png
