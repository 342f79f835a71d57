#!/bin/sh
# Write the append-only files of a running Redis to standard output, as a tar archive that restore.sh takes.
#
#   sh backup.sh [options for redis-cli, such as -p 6380] > millstream.tar
#
# Run it where Redis runs (in its container or pod, on its host), as a user who may write into Redis's data directory.
# The password comes from REDISCLI_AUTH. Needs redis-cli, tar and flock, all in the official image.
# Exit status 0: the archive is whole. Anything else: throw it away; standard error says why.
#
# Redis only appends to these files or replaces them by others. So hard links to them, made in an instant, are a copy
# that a rewrite cannot take away, and rewriting need not be turned off: a killed backup leaves no setting behind.
set -eu
umask 077

LINKS=millstream-backup          # in the data directory, because hard links do not leave a file system
CONTENTS=millstream-backup.txt   # the last member of the archive: one without it was cut
PATIENCE=600                     # seconds to wait for a rewrite to end

say() {
    echo "backup: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

setting() { # name, options...: the value; empty when this Redis has no such setting
    name=$1
    shift
    reply=$(redis-cli "$@" CONFIG GET "$name") || fail "Redis does not answer"
    [ -n "$reply" ] || return 0
    [ "$(echo "$reply" | sed -n 1p)" = "$name" ] || fail "Redis refuses to tell its settings: $reply"
    echo "$reply" | sed -n 2p
}

info() { # section, field, options...: the value
    section=$1 field=$2
    shift 2
    redis-cli "$@" INFO "$section" | tr -d '\r' | sed -n "s/^$field://p"
}

rewriting() {
    [ "$(info persistence aof_rewrite_in_progress "$@")$(info persistence aof_rewrite_scheduled "$@")" != 00 ]
}

link() { # file: under the same name among the links; where the file system has no hard links, a copy
    ln "$1" "$LINKS/$1" 2>/dev/null || cp "$1" "$LINKS/$1" 2>/dev/null
}

link_parts() { # of Redis 7: the manifest and what it names; fails when a rewrite has just deleted a part
    # Type h is what a rewrite has replaced and is about to delete.
    sed '/ type h$/d; / type h /d' "$MANIFEST" > "$LINKS/$MANIFEST" || return 1
    parts=$(sed -n 's/^file \([^ ]*\) .*/\1/p' "$LINKS/$MANIFEST")
    FILES=
    for part in $parts; do
        link "$folder/$part" || return 1
        FILES="$FILES $folder/$part"
    done
    FILES="$FILES $MANIFEST"
}

link_all() {
    rm -rf "$LINKS"
    mkdir -p "$LINKS/$folder"
    if [ -n "$folder" ]; then
        link_parts
    else
        FILES=$file
        link "$file"
    fi
}

clear_up() {
    [ -z "$TAR" ] || kill "$TAR" 2>/dev/null || true
    rm -rf "$LINKS"
}

[ ! -t 1 ] || fail "standard output is a terminal; send it to a file"
for each in redis-cli tar flock; do
    command -v "$each" > /dev/null || fail "$each is not installed here"
done
dir=$(setting dir "$@")
[ "$(setting appendonly "$@")" = yes ] || fail "appendonly is off: there are no files to copy; use redis-cli --rdb"
file=$(setting appendfilename "$@")
folder=$(setting appenddirname "$@")
case $file$folder in
    *[!A-Za-z0-9._-]*) fail "appendfilename or appenddirname has characters other than A-Z a-z 0-9 . _ -" ;;
esac
MANIFEST=$folder/$file.manifest

cd "$dir" || fail "the data directory $dir is not here; run this where Redis runs"
exec 9< .
flock -n 9 || fail "another backup of $dir is running"
TAR=
trap clear_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# After the file was turned on at run time, it is worth nothing until the first rewrite has ended.
waited=0
while rewriting "$@"; do
    [ "$waited" -lt "$PATIENCE" ] || fail "a rewrite has not ended in $PATIENCE seconds"
    sleep 1
    waited=$((waited + 1))
done
for what in aof_last_write_status aof_last_bgrewrite_status; do
    state=$(info persistence "$what" "$@")
    [ "$state" = ok ] || fail "$what is '$state', not ok: the files lack something; Redis's log says why"
done

# While the disk is busy, Redis puts off writing for two seconds at most. What it answered before now shall be in.
for _ in 1 2 3; do
    [ "$(info persistence aof_buffer_length "$@")" != 0 ] || break
    sleep 1
done

tries=0
until link_all; do
    tries=$((tries + 1))
    [ "$tries" -lt 10 ] || fail "the files in $dir changed at each of $tries tries, or cannot be read"
done

size=0 sizes=
for each in $FILES; do
    bytes=$(($(wc -c < "$LINKS/$each")))
    size=$((size + bytes))
    sizes="${sizes}file $bytes $each
"
done
# Asked after the sizes were taken: by its answer, the write that they may have cut in two is complete in the file.
version=$(info server redis_version "$@")
[ -n "$version" ] || fail "Redis does not answer any more"
cat > "$LINKS/$CONTENTS" << END
millstream-backup 1
taken $(date -u +%Y-%m-%dT%H:%M:%SZ)
redis $version
appendfilename $file
appenddirname $folder
${sizes%?}
END

# GNU tar has exit status 1 when a file grew while it was read; what it had at first is in the archive.
grew=0 quiet=
case $(tar --version 2>/dev/null) in
    *"GNU tar"*) grew=1 quiet=--warning=no-file-changed ;;
esac
# In the background, because a shell heeds a signal only when it waits.
# shellcheck disable=SC2086 # $FILES is a list without blanks in it, $quiet may be nothing
tar -C "$LINKS" $quiet -cf - $FILES "$CONTENTS" &
TAR=$!
status=0
wait "$TAR" || status=$?
TAR=
[ "$status" = 0 ] || [ "$status" = "$grew" ] || fail "tar ended with $status: the archive is not whole"
for each in $FILES; do
    say "$each"
done
say "$size bytes, and what was written while they were copied; Redis $version"
