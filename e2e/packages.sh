#!/bin/sh
# Makes sure of the commands that the tests hold etcdha against: packages.sh COMMAND[=PACKAGE]...
# Each is a Debian package of its own name, unless another is given; elsewhere they have to be there.
set -eu

missing=
for command; do
  command -v "${command%=*}" >/dev/null || missing="$missing ${command#*=}"
done
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086 # a list
  exec apt-get install -y -qq --no-install-recommends $missing
fi
echo "the tests need these commands, please install their packages:$missing" >&2
exit 1
