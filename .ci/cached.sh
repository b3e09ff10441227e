# Sourced by the build scripts beside it.

# A build that fails inside of $(…) must fail there too.
shopt -s inherit_errexit

# cached NAME BUILD FILE...
#
# Prints the folder, outside the repository, that holds what `BUILD folder` makes of these files, and calls BUILD only where
# that folder is not there yet. The folder appears complete or not at all.
cached() {
  local name=$1 build=$2
  shift 2
  local root=${KUBELOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubelock}
  local key folder unfinished
  key=$({ cat "$@"; go env GOVERSION GOOS GOARCH; } | sha256sum | cut -c1-16)
  folder=$root/$name-$key

  if [ ! -d "$folder" ]; then
    mkdir -p "$root"
    unfinished=$(mktemp -d "$root/unfinished-$name.XXXXXX")
    # Expanded now: the name is gone when the trap runs.
    # shellcheck disable=SC2064
    trap "rm -rf '$unfinished'" EXIT
    echo "Building $name into $folder" >&2
    "$build" "$unfinished" >&2
    chmod 755 "$unfinished"
    # Somebody else may have been faster; theirs is as good.
    [ -d "$folder" ] || mv "$unfinished" "$folder"
  fi
  echo "$folder"
}
