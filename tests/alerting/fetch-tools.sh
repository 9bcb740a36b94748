#!/bin/sh
# Brings prometheus, promtool, alertmanager and amtool into DIR/bin without root and without starting a service:
# the machine's own where it has them, else out of Debian's packages. Usage: fetch-tools.sh DIR
set -eu
dir=$1
mkdir -p "$dir/bin"
dir=$(cd "$dir" && pwd)
fail() { echo "install prometheus and prometheus-alertmanager (with promtool and amtool), then try again: $1" >&2; exit 1; }

have() { command -v promtool && command -v prometheus && command -v amtool && { command -v prometheus-alertmanager || command -v alertmanager; }; }
if have >/dev/null 2>&1; then
  ln -sf "$(command -v promtool)" "$(command -v prometheus)" "$(command -v amtool)" "$dir/bin/"
  ln -sf "$(command -v prometheus-alertmanager || command -v alertmanager)" "$dir/bin/alertmanager"
  exit 0
fi
command -v apt-get >/dev/null && command -v dpkg >/dev/null || fail "they are not on PATH and this is not Debian"
cd "$dir"
packages="prometheus prometheus-alertmanager"
if ! apt-get download $packages >apt.log 2>&1; then
  [ "$(id -u)" = 0 ] && apt-get update >>apt.log 2>&1 && apt-get download $packages >>apt.log 2>&1 ||
    fail "apt-get cannot download them; run apt-get update as root"
fi
for package in *.deb; do dpkg -x "$package" root; rm "$package"; done
# Debian's Alertmanager reads its templates from a fixed path under /usr/share: make that the working directory.
# Both strings have 34 bytes.
LC_ALL=C sed -i 's#/usr/share/prometheus/alertmanager#/proc/self/cwd////////////////////#g' root/usr/bin/prometheus-alertmanager
ln -sf ../root/usr/bin/promtool ../root/usr/bin/prometheus ../root/usr/bin/amtool bin/
ln -sf ../root/usr/bin/prometheus-alertmanager bin/alertmanager
