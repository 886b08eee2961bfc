#!/usr/bin/env bash
# shows: effects that fftest plays reach the viewer whose pad it is, and end with the program
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

start_pad_desktop
start_player pads
start_player other
play other 'pad 2 0 0 0 0 0 0 0'
await_pad 0
play pads 'pad 3 0 0 0 0 0 0 0'
await_pad 1

mkfifo "$scratch/choices"
as alice stdbuf --output=L fftest "$pad_event" <"$scratch/choices" >"$scratch/fftest" 2>&1 &
exec {choices}>"$scratch/choices"

# At 75 %, as fftest sets the gain: 0x8000 of the heavy motor after a second, 0xc000 of the light one,
# each for five seconds at most.
echo 4 >&"$choices"
hears pads '^rumble 3 24576 0 [45][0-9]{3}$'
echo 5 >&"$choices"
hears pads '^rumble 3 (24576|0) 36864 [45][0-9]{3}$'
cat "$scratch/fftest"

# A program that ends takes its effects with it.
echo -1 >&"$choices"
exec {choices}>&-
hears pads '^rumble 3 0 0 0$'
! grep -q '^rumble' "$scratch/other" || fail "another viewer's pad shakes"

# So does one that is killed long before the end of its effect: both motors for twenty seconds.
mkfifo "$scratch/more"
as alice fftest "$pad_event" <"$scratch/more" >/dev/null 2>&1 &
exec {more}>"$scratch/more"
stops() { grep -c '^rumble 3 0 0 0$' "$scratch/pads"; }
before=$(stops)
echo 0 >&"$more"
hears pads '^rumble 3 ([1-9][0-9]*) \1 '
expect 'stops while it plays' "$(stops)" "$before"
pkill -KILL --newest --exact fftest
stopped_again() { [ "$(stops)" -gt "$before" ]; }
wait_until 'the motors stop' stopped_again
stop_lumen
