#!/usr/bin/perl
# Keeps sway's floating windows inside the screen while the browser's window changes its size: sway
# itself leaves them where they are, and sends no event. So this script listens for the output's size
# as a Wayland client (wl_output.mode), and sleeps in between.
use strict;
use warnings;
use IO::Socket::UNIX;

my ($display, $registry, $output) = (1, 2, 3);
my $size; # The workspace's, as it was last seen.
my $name = $ENV{WAYLAND_DISPLAY};
my $path = $name =~ m{^/} ? $name : "$ENV{XDG_RUNTIME_DIR}/$name";
my $socket = IO::Socket::UNIX->new(Peer => $path) or exit;

sub request { my ($object, $opcode, $body) = @_;
    syswrite $socket, pack("LL", $object, (8 + length $body) << 16 | $opcode) . $body;
}
sub text { my $text = "$_[0]\0"; pack "L a" . ((length($text) + 3) & ~3), length $text, $text }
sub take { my ($wanted, $bytes) = (@_, "");
    while (length $bytes < $wanted) {
        sysread $socket, $bytes, $wanted - length $bytes, length $bytes or exit;
    }
    $bytes;
}

# Moves each floating window into its workspace, and makes it smaller where it is larger than that.
sub fit {
    my ($left, $top, $width, $height);
    my $rect = qr/\{\s*"x": (-?\d+),\s*"y": (-?\d+),\s*"width": (\d+),\s*"height": (\d+)\s*\}/;
    my $tree = qx(swaymsg --raw --type get_tree);
    my $known = $size;
    while ($tree =~ /"id": (\d+),\s*"type": "(\w+)".*?"rect": $rect,\s*"deco_rect": $rect/sg) {
        my ($id, $type, $x, $y, $w, $h, $title) = ($1, $2, $3, $4, $5, $6, $10);
        if ($type eq "workspace" && $id < 0x7ffffff0) { # Above that are those of the scratchpad.
            ($left, $top, $width, $height) = ($x, $y, $w, $h);
            $size = [$width, $height];
            system "swaymsg", "--quiet", "floating_maximum_size $width x $height";
        } elsif ($type eq "floating_con" && defined $left) {
            my ($across, $down) = (min($w, $width), min($h, $height - $title));
            # Its middle keeps its relative position: a centred window stays centred.
            my ($old_width, $old_height) = $known ? @$known : ($width, $height);
            my $to_x = int(($x + $w / 2) * $width / $old_width - $across / 2);
            my $to_y = int($top + ($y - $top + $h / 2) * $height / $old_height - $down / 2);
            $to_x = max($left, min($to_x, $left + $width - $across));
            $to_y = max($top + $title, min($to_y, $top + $height - $down));
            next if "$to_x $to_y $across $down" eq "$x $y $w $h";
            ($down, $to_y) = ($down + $title, $to_y - $title);
            system "swaymsg", "--quiet", "[con_id=$id] resize set $across px $down px, "
                . "move absolute position $to_x px $to_y px";
        }
    }
}
sub min { $_[0] < $_[1] ? $_[0] : $_[1] }
sub max { $_[0] > $_[1] ? $_[0] : $_[1] }

request($display, 1, pack "L", $registry); # wl_display.get_registry
while (1) {
    my ($object, $word) = unpack "LL", take(8);
    my ($opcode, $body) = ($word & 0xffff, take(($word >> 16) - 8));
    if ($object == $registry && $opcode == 0 && $body =~ /wl_output\0/) {
        # wl_registry.bind
        request($registry, 0, substr($body, 0, 4) . text("wl_output") . pack("LL", 2, $output));
    } elsif ($object == $output && $opcode == 2) { # wl_output.done
        fit();
    }
}
