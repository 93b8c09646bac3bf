#!/bin/sh
# The configuration that follows belongs to this user.
set -e
getent group etcdha >/dev/null || groupadd --system etcdha
getent passwd etcdha >/dev/null ||
  useradd --system --gid etcdha --home-dir /var/lib/etcdha --no-create-home --shell /usr/sbin/nologin etcdha
