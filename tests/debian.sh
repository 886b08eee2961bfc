# What makes systems of Debian packages, for the scripts beside it that do: where this machine's own apt
# gets packages, and a cache in which a system is built once. Sourced, not run.
# shellcheck shell=bash

# The mirrors of Debian that this machine's own apt uses, for the release $1, one `deb` line each. None on
# a machine that is no Debian; mmdebstrap then takes Debian's own.
mirrors() {
    local own
    own=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")
    # shellcheck disable=SC2016 # apt's variables, not the shell's
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' |
        awk -v own="$own" -v wanted="$1" '
            $3 == own || index($3, own "-") == 1 { sub(own, wanted, $3); print }' | sort -u
}

# How this machine's own apt reaches the network: proxies, certificates.
network_options() {
    apt-config dump --format '%F "%v";%n' Acquire::http
    apt-config dump --format '%F "%v";%n' Acquire::https
}

# Prints the folder $2 of the cache $1. When it is not there yet, `$3 FOLDER` fills it: a folder of this
# name is always whole, and whoever wants it meanwhile waits. A name is a kind, a dash and a hash of all
# that the recipe consists of, so that nothing is stale; what the recipe made before is deleted.
cached() {
    local cache=$1 name=$2 build=$3 kind=${2%-*} building started=$SECONDS
    mkdir -p "$cache"
    exec 9>"$cache/lock-$kind"
    flock 9
    if [ ! -d "$cache/$name" ]; then
        # What one that was killed left behind.
        rm -rf "$cache/building-$kind"-*
        building=$(mktemp --directory "$cache/building-$kind-XXXXXX")
        # shellcheck disable=SC2064 # the folder as it is called now
        trap "rm -rf '$building'" EXIT
        "$build" "$building"
        rm -rf "$cache/$kind"-*
        mv "$building" "$cache/$name"
        printf '%s: built in %s s\n' "$name" $((SECONDS - started)) >&2
    fi
    exec 9>&-
    printf '%s\n' "$cache/$name"
}
