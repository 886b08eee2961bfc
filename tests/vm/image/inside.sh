#!/bin/sh
# Settles what packages leave open. Runs inside the new system, twice: before the kernel's package
# makes the initrd, and when everything is installed.
set -eu

before_kernel() {
    mkdir -p /etc/initramfs-tools/conf.d /usr/share/initramfs-tools/modules.d
    # The few drivers of this machine instead of all there are.
    echo MODULES=list >/etc/initramfs-tools/conf.d/lumen-vm
    printf '%s\n' virtio_pci virtio_blk ext4 9p 9pnet_virtio \
        >/usr/share/initramfs-tools/modules.d/lumen-vm
}

finish() {
    # alice is 1000, bob 1001.
    useradd --create-home --shell /bin/bash alice
    useradd --create-home --shell /bin/bash bob
    passwd --quiet --delete root
    echo lumen-vm >/etc/hostname
    mkdir /share
    # The share is uncached, so that the host sees what a test wrote, whatever becomes of the
    # machine. Lumen's binaries are a disk of their own, where a package would have put them.
    printf '%s\n' >/etc/fstab \
        'share /share 9p trans=virtio,version=9p2000.L,msize=512000,cache=none 0 0' \
        '/dev/vdb /usr/local ext2 ro 0 0'
    systemctl --quiet enable lumen-tests.service
    # Nobody logs in and nobody updates a snapshot: what only makes the start longer.
    systemctl --quiet mask serial-getty@ttyS0.service getty@tty1.service getty-static.service \
        systemd-update-utmp.service systemd-binfmt.service systemd-journal-flush.service \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer
    rm -rf /var/log/journal
    rm /inside.sh
}

"$1"
