/*
 * virtio-rtc: the guest reads the host's time of day. Virtual I/O Device 1.4 chapter "RTC
 * device"; messages are those of Linux include/uapi/linux/virtio_rtc.h.
 *
 * There is one clock, which a Linux guest uses as a PTP clock (since Linux 6.16). There is no alarm
 * (VIRTIO_RTC_F_ALARM), because the RTC of the platform has one, which also works for guests
 * without virtio drivers. There are no cross-timestamps, because Linux requests them on Arm only.
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
 * `now` returns the host's UTC: nanoseconds since 1970 without leap seconds. It is called on the
 * thread that serves the queue.
 */
void virtio_clock_init(struct virtio_clock *clock, uint64_t (*now)(void));

#endif
