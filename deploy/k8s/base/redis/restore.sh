#!/bin/sh
# Unpack an archive of backup.sh into an empty data directory for Redis, and mend the end of the append-only file.
#
#   sh restore.sh DIRECTORY < millstream.tar
#
# Neither Redis nor any service of Millstream may be running. Run it where Redis is installed (its image will do), as
# the user that Redis runs as, or as root: then what is written gets the directory's owner.
# Exit status 0: start Redis on DIRECTORY with appendonly on. Anything else: DIRECTORY is as it was.
#
# The file was copied while it grew, so it may end in the middle of a script's transaction. Redis would drop such an
# end at its first start but leave whole commands of it in the file, and execute them at the second. redis-check-aof
# cuts the file before the transaction.
set -eu
umask 077

CONTENTS=millstream-backup.txt
NEW=

say() {
    echo "restore: $*" >&2
}

fail() {
    say "$*; nothing was restored"
    exit 1
}

clear_up() {
    [ -z "$NEW" ] || rm -rf "$NEW"
}

told() { # field: what the archive's list of contents says of it
    sed -n "s/^$1 //p" "$NEW/$CONTENTS"
}

number() { # version: as a number that can be compared, without the patch
    major=${1%%.*}
    minor=${1#*.}
    echo $((major * 1000 + ${minor%%.*}))
}

bytes() { # file
    echo $(($(wc -c < "$1")))
}

whole() { # why not: fails unless every file has what it had when the backup began
    told file | while read -r size name; do
        [ -f "$NEW/$name" ] || fail "$name is missing: $1"
        has=$(bytes "$NEW/$name")
        [ "$has" -ge "$size" ] || fail "$name has $has of $size bytes: $1"
    done
}

total() {
    sum=0
    for each in $(told file | sed 's/^[^ ]* //'); do
        sum=$((sum + $(bytes "$NEW/$each")))
    done
    echo "$sum"
}

[ $# -eq 1 ] || fail "usage: sh restore.sh DIRECTORY < millstream.tar"
[ ! -t 0 ] || fail "standard input is a terminal; give it the archive"
cd "$1" 2> /dev/null || fail "there is no directory $1, or it cannot be entered"
dir=$(pwd)
# A file system of its own comes with lost+found.
[ -z "$(find . -mindepth 1 -maxdepth 1 ! -name lost+found)" ] || fail "$dir is not empty: $(ls -A)"
command -v redis-check-aof > /dev/null || fail "redis-check-aof is not installed here"
here=$(redis-server --version | sed -n 's/.* v=\([0-9.]*\).*/\1/p')
[ -n "$here" ] || fail "redis-server is not installed here, or does not tell its version"

NEW=$dir/millstream-restore
trap clear_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$NEW"
tar -C "$NEW" -xof - || fail "the archive cannot be read"

[ "$(sed -n 1p "$NEW/$CONTENTS" 2> /dev/null)" = "millstream-backup 1" ] ||
    fail "this is no archive of backup.sh, or its end is missing"
wrote=$(told redis)
[ "$(number "$here")" -ge "$(number "$wrote")" ] || fail "Redis $wrote wrote this; Redis $here is too old to read it"
whole "the archive is damaged"

file=$(told appendfilename)
folder=$(told appenddirname)
log=${folder:+$folder/$file.manifest}
log=${log:-$file}
before=$(total)
if [ -s "$NEW/$log" ]; then
    if ! answer=$(echo y | redis-check-aof --fix "$NEW/$log" 2>&1); then
        fail "redis-check-aof cannot mend this: $answer"
    fi
    whole "there is a fault in the middle of it, and not only an unfinished end"
fi
after=$(total)

top=${folder:-$file}
[ "$(id -u)" != 0 ] || chown -R "$(stat -c %u:%g .)" "$NEW/$top"
mv "$NEW/$top" "$top"
sync
say "$after bytes of Redis $wrote, taken $(told taken), are in $dir; $((before - after)) bytes of an unfinished end were cut off"
say "start Redis $here on it with: appendonly yes, appendfilename $file${folder:+, appenddirname $folder}"
