#!/bin/sh
# usage: PYTHON=python3 [NAMED=yes] sh infra/venv.sh FOLDER LOCK WHAT
#
# Make the virtual environment FOLDER from LOCK. Make it again if the lock has changed, the last attempt was interrupted,
# packages are missing, its Python is missing, too old or not the same as before, or the folder was moved (its programs
# contain the path of their Python). With NAMED, also make it again if PYTHON is not the Python that it was made with.
set -eu

folder=$1 lock=$2 what=$3
PYTHON=${PYTHON:-python3}
packages='import sys; print("lib/python%d.%d/site-packages" % sys.version_info[:2])'
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
which='import sys; print(sys.version_info[:3], sys.base_prefix)'

fail() {
  echo "$1" >&2
  exit 1
}

# Print what identifies a complete environment: its path, its lock, and the names in its folder of packages.
mark() {
  echo "$(pwd -P)/$folder $(cksum <"$lock") $(ls "$folder/$("$folder/bin/python" -I -S -c "$packages")" 2>/dev/null | grep -v __pycache__ | cksum)"
}

whole() {
  "$folder/bin/python" -I -S -c "$new_enough" 2>/dev/null || return 1
  [ "$(cat "$folder/installed" 2>/dev/null)" = "$(mark 2>/dev/null)" ] || return 1
  [ -z "${NAMED:-}" ] || [ "$("$PYTHON" -c "$which" 2>&1)" = "$("$folder/bin/python" -c "$which")" ]
}

if whole; then
  exit 0
fi

another="Name another with PYTHON=/path/to/python3.11."
version=$("$PYTHON" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) && [ -n "$version" ] ||
  fail "Python 3.11 or newer is needed, and $PYTHON does not run. Install one, or name it with PYTHON=/path/to/python3.11."
this="$version ($(command -v "$PYTHON"))"
"$PYTHON" -c "$new_enough" || fail "Python 3.11 or newer is needed; this is $this. $another"
lacks=$("$PYTHON" -c 'import ctypes, ensurepip, ssl, venv' 2>&1) || fail \
  "Python $this lacks a part (${lacks##*Error: }): on Debian and Ubuntu, apt-get install python3-venv. $another"

echo "Installing $what into $folder ..."
rm -f "$folder/installed"
rm -rf "$folder"
"$PYTHON" -m venv "$folder" || fail "$folder cannot be made; Python says why above."
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-user --no-deps --only-binary :all: \
  --require-hashes -r "$lock" || fail "The packages of $lock cannot be installed; pip says why above."
# Put the repository on Python's path, as a relative path. Then python -m infra.local runs in any folder, and with
# PYTHONSAFEPATH.
"$folder/bin/python" -c '
import pathlib, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "repository.pth").write_text("../../../..\n")'
mark >"$folder/installed"
