/*
 * virtio-rtc: the host's time of day, for the guest to read. Virtual I/O Device 1.4 chapter "RTC
 * device"; messages are those of Linux include/uapi/linux/virtio_rtc.h.
 *
 * One clock, which a Linux guest has as a PTP clock (since Linux 6.16). There is no alarm
 * (VIRTIO_RTC_F_ALARM), because the RTC of the platform has one, which also wakes guests that
 * know no virtio; and no cross-timestamp, because Linux asks for those on Arm alone.
 */
#ifndef DEVICES_VIRTIO_CLOCK_H
#define DEVICES_VIRTIO_CLOCK_H

#include "devices/virtio.h"

struct virtio_clock {
	struct virtio_device dev;
	uint64_t (*now)(void);
	struct virtqueue_buffer buffer;
};

/*
 * `now` is UTC as the host has it: nanoseconds since 1970 without leap seconds. Called on the
 * thread that serves the queue.
 */
void virtio_clock_init(struct virtio_clock *clock, uint64_t (*now)(void));

#endif
