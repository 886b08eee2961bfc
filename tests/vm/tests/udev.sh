#!/usr/bin/env bash
# shows: the udev rule: only its user can use a pad (0600), off the host's seat; odd names stay root's
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

# Whether a user can open a device as a game would.
# shellcheck disable=SC2016 # the inner shell expands it
opens() { as "$1" sh -c ': <>"$1"' sh "$2" 2>/dev/null; }

owner_and_mode() { stat --format='%U %G %a' "$1"; }

property() { udevadm info --query=property --property="$2" --value "$1"; }

# Current tags of a node and of the input device above it. (TAGS still contains tags that udev removed.)
tags() {
    local path
    path=/sys$(udevadm info --query=path "$1")
    echo "$(property "$path" CURRENT_TAGS) $(property "${path%/*}" CURRENT_TAGS)"
}

has_tag() { [[ $(tags "$1") == *:"$2":* ]]; }

check_ordinary_pad() {
    make_pad "$1"
    say "$1: $(owner_and_mode "$pad_event"), $(tags "$pad_event")"
    has_tag "$pad_event" uaccess || fail "$1 has no tag uaccess"
    has_tag "$pad_event" seat || fail "$1 has no tag seat"
    unplug_pad
}

check_pad_of_alice() {
    local node
    make_pad lumen-1000/0
    say "lumen-1000/0: $(owner_and_mode "$pad_event"), $(tags "$pad_event")"
    for node in "$pad_event" "$pad_joystick"; do
        expect "owner of $node" "$(owner_and_mode "$node")" 'alice root 600'
        opens alice "$node" || fail "alice cannot open $node"
        ! opens bob "$node" || fail "bob opens $node"
        expect "seat of $node" "$(property "$node" ID_SEAT)" seat-lumen
        for tag in uaccess seat seat0; do
            ! has_tag "$node" "$tag" || fail "$node has the tag $tag"
        done
    done
    expect 'ID_INPUT_JOYSTICK, by which games find it' \
        "$(property "$pad_event" ID_INPUT_JOYSTICK)" 1
    unplug_pad
}

check_pad_of_nobody() {
    local node
    make_pad "$1"
    for node in "$pad_event" "$pad_joystick"; do
        expect "owner of $1" "$(owner_and_mode "$node")" 'root root 600'
        ! opens alice "$node" || fail "alice opens $node of $1"
    done
    unplug_pad
}

# First without the rule, to know that the checks can fail. Earlier tests in the same machine may have
# installed it.
rm -f /etc/udev/rules.d/72-lumen-pads.rules
udevadm control --reload
check_ordinary_pad lumen-1000/0

cp /share/systemd/72-lumen-pads.rules /etc/udev/rules.d
udevadm control --reload
check_pad_of_alice
check_ordinary_pad usb-0000:00:14.0-1/input0
for phys in lumen-0/0 lumen-1000 'lumen-0/0 | 1000'; do
    check_pad_of_nobody "$phys"
done

# Devices without any `phys` are left alone, too.
udevadm trigger --settle /dev/input/mice
expect 'owner of /dev/input/mice' "$(owner_and_mode /dev/input/mice)" 'root input 660'
