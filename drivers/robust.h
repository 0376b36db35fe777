/*
 * robust.h - a mutex in memory that processes share, and that tells when its holder died
 *
 * Without priority inheritance: decision 0009.
 */
#ifndef LANE_DRIVERS_ROBUST_H
#define LANE_DRIVERS_ROBUST_H

#include <pthread.h>

/* 0 or -errno. */
static inline int lane_robust_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int r = pthread_mutexattr_init(&attr);

	if (r)
		return -r;
	r = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (!r)
		r = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (!r)
		r = pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return -r;
}

#endif
