#!/bin/sh
# Let go of the loop devices of the instances' disks, found by inode: the same path may be another machine's file.
for disk in {{ instances }}/*/disk.eph?; do
    [ -e "$disk" ] || continue
    for device in $(losetup --noheadings --output NAME --associated "$disk"); do
        losetup --detach "$device"
    done
done
