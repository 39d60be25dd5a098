#!/bin/sh
# Browser tests need the system's Chromium. `prepare` installs it where that is possible (Debian, root);
# `report` says loudly, after everything else, which tests did not run without it.
chromium() {
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" && return 0
    done
    return 1
}
case "$1" in
prepare)
    if ! chromium >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing chromium for the browser tests ..." >&2
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
            >/dev/null 2>&1 || true
    fi
    ;;
report)
    if ! chromium >/dev/null; then
        echo
        echo "################################################################################"
        echo "# NOT RUN, because there is no Chromium on this machine (apt install chromium):"
        find tests/browser -name 'test_*.py' | sort | sed 's/^/#   /'
        echo "################################################################################"
    fi
    ;;
esac
