/* The median of measurements. */
#ifndef BENCH_MEDIAN_H
#define BENCH_MEDIAN_H

#include <stdlib.h>

static inline int median_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the n values. */
static inline double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), median_compare);
	return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

#endif
