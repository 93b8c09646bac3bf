#!/bin/sh
# Called with remove by dpkg and 0 by rpm when the package goes, with other words when it is upgraded.
set -e
[ -d /run/systemd/system ] || exit 0
case "$1" in
  remove | 0) systemctl disable --now etcdha.service ;;
esac
