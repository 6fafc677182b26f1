#!/bin/sh
# Proves that set-up needs nothing but a bare Debian with git, nodejs and npm: builds one in a
# folder, clones HEAD into it, and runs set-up and doctor there, as a plain user and as root.
#
#   check/bare-debian.sh [--suite NAME] [--run COMMAND]... FOLDER [FILE...]
#
# With --run, these commands run there as root instead: check/bare-debian.sh --run 'npm test' /tmp/bare
# FOLDER must not exist; it is left for a look afterwards. Packages come from this machine's own
# apt sources. Each FILE (npm configuration, certificates, apt proxy) is copied to the same path.
# Needs root and mmdebstrap. Mounts live in a private namespace and end with this script.
set -eu

suite=bookworm
if [ "${1:-}" = --suite ]; then suite=$2; shift 2; fi
commands=
while [ "${1:-}" = --run ]; do
  commands="$commands
run 'as asked' 0 root '$2'"
  shift 2
done
folder=${1:?usage: check/bare-debian.sh [--suite NAME] [--run COMMAND]... FOLDER [FILE...]}
shift
root=$(dirname "$(dirname "$(readlink -f "$0")")")
[ ! -e "$folder" ] || { echo "error: the folder exists (folder=$folder)" >&2; exit 1; }

sources=$(find /etc/apt -maxdepth 2 \( -name '*.sources' -o -name '*.list' \) -size +0)
echo "== a bare Debian $suite in $folder"
# shellcheck disable=SC2086  # one argument a source
mmdebstrap --quiet --variant=minbase --include=git,nodejs,npm,ca-certificates \
  "$suite" "$folder" $sources
for file in /etc/resolv.conf /etc/hosts "$@"; do
  mkdir -p "$folder$(dirname "$file")"
  cp -L "$file" "$folder$file"
done
chroot "$folder" useradd --create-home someone
for home in /root /home/someone; do git clone --quiet "$root" "$folder$home/godwit"; done
for file in "$@"; do # what configures root's npm configures the user's
  if [ "$file" = /root/.npmrc ]; then cp "$file" "$folder/home/someone/.npmrc"; fi
done
chroot "$folder" chown -R someone: /home/someone

cat >"$folder/root/prove.sh" <<'PROVE'
run() { # title, expected exit code, user, command
  printf '\n== %s\n$ %s\n' "$1" "$4"
  started=$(date +%s%N)
  code=0
  setpriv --reuid "$3" --regid "$3" --init-groups env HOME="$(getent passwd "$3" | cut -d: -f6)" \
    sh -c "cd ~/godwit && $4" || code=$?
  printf '(exit code %s, %s ms)\n' "$code" "$((($(date +%s%N) - started) / 1000000))"
  if [ "$2" != any ] && [ "$code" != "$2" ]; then echo "FAILED: expected exit code $2"; exit 1; fi
}
node --version; npm --version
run 'a user without root is told what to install'   77  someone 'node bin/bootstrap.mjs'
run 'kill -9 of all its processes in the middle'    0   root    'sh ~/kill-set-up.sh'
run 'the next set-up goes on from there'            0   root    'npm run setup'
run 'the second has nothing to do'                  0   root    'npm run setup'
run 'the real job starts at once'                   0   root    'node bin/bootstrap.mjs -- src/cli/main.ts --version'
run 'a user without root goes on by himself'        0   someone 'node bin/bootstrap.mjs'
run 'no daemon was started or enabled'              0   root    '! ps ax | grep -E "[b]ird |[n]ats-server" && ! ls /etc/rc2.d /etc/systemd/system/multi-user.target.wants 2>/dev/null | grep -E "S[0-9]+bird|bird.service|nats" && test ! -e /usr/sbin/policy-rc.d'
run 'doctor'                                        any root    'bin/godwit doctor'
run 'doctor of a user'                              any someone 'bin/godwit doctor'
run 'a second doctor'                               any root    'bin/godwit doctor --json | tail -4'
PROVE

if [ -n "$commands" ]; then
  sed -i '/^run /d' "$folder/root/prove.sh" # what proves set-up; its function stays
  echo "$commands" >>"$folder/root/prove.sh"
fi

cat >"$folder/root/kill-set-up.sh" <<'KILL'
unshare --pid --fork --kill-child --propagation unchanged node bin/bootstrap.mjs & victim=$!
until dpkg-query --show --showformat '${db:Status-Status}\n' | grep -qx unpacked &&
  test -e /usr/sbin/policy-rc.d; do
  kill -0 $victim || exit 1 # it ended by itself: nothing was proved
  sleep 0.1
done
kill -9 $victim
wait $victim
dpkg-query --show --showformat '${db:Status-Status}\n' | sort | uniq -c
head -3 /usr/sbin/policy-rc.d
KILL

unshare --mount --pid --fork --kill-child sh -eu -c '
  mount --bind "$1" "$1" # a root of its own, not a chroot: namespaces are refused within one
  mount -t proc proc "$1/proc"
  mount --rbind /sys "$1/sys"
  mount --rbind /dev "$1/dev"
  mount -t tmpfs tmpfs "$1/tmp"
  mkdir -p "$1/mnt/outside"
  cd "$1"
  pivot_root . mnt/outside
  umount --lazy /mnt/outside
  exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    TERM=dumb HOME=/root bash /root/prove.sh' prove "$folder"
