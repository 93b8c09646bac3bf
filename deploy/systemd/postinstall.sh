#!/bin/sh
# A running service goes on with the new version. A new one waits until its configuration is written.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl try-restart etcdha.service
