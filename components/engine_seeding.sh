# Run by `sh -c` in the engine's image: POSIX, with coreutils, findutils, GNU sed and flock. See engine_seeding.py.
# Ends with 1 where another pod may have more luck, with 2 where it cannot: the Job gives up at once.
set -eu
tool=$1 root=$2 folder=$3 source=$4 revision=$5 check=$6 location=$7 name=$8
published=$root/$folder
work=$root/.incoming/$(printf %s "$folder" | sed 's,/,--,g')
tmp=${HOME:?}
server=

say() { echo "weight-seeder: $*"; }
fail() { code=$1; shift; say "error: $*"; exit "$code"; }
free() { df --output=avail --block-size=1 "$root" | tail -n 1 | tr -d ' '; }
# The tool has failed; what it has stays. Its own words are above.
failed() { [ "$(free)" -ge 1048576 ] || fail 2 "no space: $(free) bytes are free: enlarge it (weights.size)"; fail 1 "$@"; }
stop_server() { if [ -n "$server" ]; then kill "$server" 2>/dev/null || :; wait "$server" 2>/dev/null || :; server=; fi; }

# Path, size and sha256 of each file, in the form that the manifest has; nothing hidden, and no links.
list() {
    (cd "$1" && find . -type f ! -path './.*' -print | LC_ALL=C sort) | while IFS= read -r path; do
        path=${path#./}
        case $path in *[\"\\]* | *[[:cntrl:]]*) fail 2 "a file's name is no text: $path" ;; esac
        digest=$(sha256sum <"$1/$path")
        printf '    {"path": "%s", "size": %s, "sha256": "%s"}\n' "$path" "$(wc -c <"$1/$path" | tr -d ' ')" "${digest%% *}"
    done
}

# Whether the published folder is what was asked for, as far as is checked: by sizes, or by reading every byte.
whole() {
    grep -qF "\"source\": \"$source\"," "$published/.seeded.json" 2>/dev/null || return 1
    sed -n 's/^ *{"path": "\(.*\)", "size": \([0-9]*\), "sha256": "\([0-9a-f]*\)"},*$/\2 \3 \1/p' \
        "$published/.seeded.json" >"$tmp/listed"
    [ -s "$tmp/listed" ] || return 1
    while read -r size digest path; do
        [ -f "$published/$path" ] && [ "$(wc -c <"$published/$path")" -eq "$size" ] || return 1
        if [ "$check" = checksums ]; then
            found=$(sha256sum <"$published/$path")
            [ "${found%% *}" = "$digest" ] || { say "$path is damaged: fetched again"; rm "$published/$path"; return 1; }
        fi
    done <"$tmp/listed"
}

# Ollama draws for a terminal, ten times a second. For a log: what is new, and of a file each ten percent.
readable() {
    shown=
    LC_ALL=C sed -u 's/\x1b\[[0-9;?]*[A-Za-z]//g; s/ [^ -~].*//; s/[0-9]%$/0%/; s/ *$//' |
        while IFS= read -r line || [ -n "$line" ]; do
            case $shown in *"|$line|"*) ;; *) shown="$shown|$line|" && echo "$line" ;; esac
        done
}

run_ollama() {
    # A server that was killed leaves the state of a part empty, over which every later pull would stumble.
    find "$work" -name '*-partial-*' | while IFS= read -r part; do
        [ "$(head -c 1 "$part")" = "{" ] || rm "$part"
    done
    OLLAMA_MODELS=$work ollama serve 9>&- >"$tmp/server" 2>&1 &
    server=$!
    tries=0
    until ollama list >/dev/null 2>&1; do
        tries=$((tries + 1))
        kill -0 "$server" 2>/dev/null && [ "$tries" -lt 300 ] || fail 1 "ollama does not start: $(tail -n 1 "$tmp/server")"
        sleep 0.2
    done
    rm -f "$tmp/failed"
    { ollama pull "$location" 2>&1 || : >"$tmp/failed"; } | readable | tee "$tmp/said"
    if [ -e "$tmp/failed" ]; then
        grep -q 'file does not exist' "$tmp/said" && fail 2 "$location: there is no such model, or no such tag"
        # github.com/ollama/ollama/issues/7244
        grep -q 'no Location header' "$tmp/said" &&
            fail 2 "$location: the registry sends blobs itself, and ollama pulls only from one that redirects to another host"
        failed "ollama pull failed: what it has is kept"
    fi
    ollama cp "$location" "$name" >/dev/null || fail 1 "the model cannot be named $name"
    stop_server
    find "$work" -name '*-partial*' -exec rm -r {} +
}

# Every blob is what its name says, and the manifest that is pinned is one of the files.
check_ollama() {
    sed -n 's/.*"path": "blobs\/sha256-\([0-9a-f]*\)".*"sha256": "\([0-9a-f]*\)".*/\1 \2/p' "$tmp/files" >"$tmp/blobs"
    [ -s "$tmp/blobs" ] || fail 1 "ollama pull has left nothing"
    while read -r named found; do
        [ "$named" = "$found" ] && continue
        rm "$work/blobs/sha256-$named"
        fail 1 "checksum mismatch: blobs/sha256-$named has the sha256 $found: removed, to be fetched again"
    done <"$tmp/blobs"
    grep -q "\"sha256\": \"$revision\"" "$tmp/files" && return
    # Not always what the registry sends: what it pulls it writes anew, by its own order and without spaces.
    kept=$(sed -n "s,.*\"path\": \"manifests/[^\"]*/$name/latest\".*\"sha256\": \"\([0-9a-f]*\)\".*,\1,p" "$tmp/files")
    fail 2 "$location is sha256:$kept as ollama keeps it, not sha256:$revision: choose that digest, or another tag"
}

run_nim() {
    NIM_CACHE_PATH=$work download-to-cache --profiles "$revision" 9>&- ||
        failed "download-to-cache failed: what it has is kept"
}

check_nim() {
    [ -s "$tmp/files" ] || fail 1 "download-to-cache has left nothing"
}

mkdir -p "$root/.incoming"
# The lock of the seeder, which cleaning respects as well.
exec 9>>"$work.lock"
flock -n 9 || { say "another seeder is at work on this revision: waiting for it"; flock 9; }
trap 'stop_server; : >"$work.lock"' EXIT
trap 'exit 143' TERM INT
# In the form of the seeder, which takes a lock over that nobody has renewed; the kernel lets go of this one.
printf '{"owner": "%s", "expires": %s}%160s' "$(hostname)/$$" "$(($(date +%s) + 604800))" '' >"$work.lock"

if whole; then
    touch "$published/.seeded.json"
    say "$source is in place: nothing to do"
    exit 0
fi
if [ -e "$published" ]; then
    say "$folder is repaired"
    rm -f "$published/.seeded.json"
    if [ -e "$work" ]; then rm -r "$published"; else mv -T "$published" "$work"; fi
fi
mkdir -p "$work" "$(dirname "$published")"
rm -f "$work/.seeded.json"
say "$source: fetched by its engine's own tool, $(free) bytes are free"
"run_$tool" || exit $?
list "$work" >"$tmp/files" || exit $?
"check_$tool"
sync -f "$work"
{
    printf '{\n  "format": 1,\n  "source": "%s",\n  "revision": "%s",\n' "$source" "$revision"
    printf '  "selection": {"include": [], "exclude": []},\n  "files": [\n'
    sed '$!s/$/,/' "$tmp/files"
    printf '  ],\n  "seededAt": "%s"\n}\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
} >"$work/.seeded.json.new"
sync "$work/.seeded.json.new"
mv "$work/.seeded.json.new" "$work/.seeded.json"
mv -T "$work" "$published"
sync -f "$root"
say "$source is in place: $(wc -l <"$tmp/files") files"
