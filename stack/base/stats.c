/*
 * stats.c - names and texts of the drop reasons
 */
#include <lane/stats.h>

#include <stddef.h>

static const char *const names[LANE_NR_DROPS] = {"OK",
#define X(name, text) #name,
						 LANE_DROPS(X)
#undef X
};

static const char *const texts[LANE_NR_DROPS] = {"not dropped",
#define X(name, text) text,
						 LANE_DROPS(X)
#undef X
};

const char *lane_drop_name(enum lane_drop why)
{
	return (unsigned int)why < LANE_NR_DROPS ? names[why] : NULL;
}

const char *lane_drop_text(enum lane_drop why)
{
	return (unsigned int)why < LANE_NR_DROPS ? texts[why] : NULL;
}
