#!/bin/sh
# usage: unshare --user --map-root-user --mount sh as_on_lambda.sh READ_ONLY_FOLDER COMMAND...
#
# Runs a command in a view of this machine that differs from it as Lambda does: the code is read-only, and there is no
# system libmagic, so that the engine must find the one of its layer. The view is gone with the process.
set -eu

mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
for library in /usr/lib*/libmagic.so.* /usr/lib*/*/libmagic.so.*; do
  if [ -f "$library" ]; then
    mount --bind /dev/null "$library"
  fi
done
# The working directory still is the one below the mount, which can be written.
cd "$(pwd -P)"
shift
exec "$@"
