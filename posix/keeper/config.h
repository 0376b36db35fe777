/*
 * config.h - how the files that read settings call each other
 */
#ifndef SHIM_KEEPER_CONFIG_H
#define SHIM_KEEPER_CONFIG_H

#include "keeper.h"

/* Writes what is wrong with 'value' to err[256]. -EINVAL. */
int lane_config_fail(char *err, const char *what, const char *value);

/* ---- config_own.c ---- */
int lane_config_driver(struct lane_settings *s, const char *value, char *err);
int lane_config_address(struct lane_settings *s, const char *value, char *err);
int lane_config_gateway(struct lane_settings *s, const char *value, char *err);
int lane_config_dhcp(struct lane_settings *s, const char *value, char *err);
int lane_config_eal(struct lane_settings *s, const char *value, char *err);
/* The name of the device that the options of EAL ask for, as far as it fits; "": they name none. */
void lane_config_eal_device(const char *eal, char name[16]);
void lane_config_own_get(const struct lane_settings *s, enum lane_setting which, char *out,
			 size_t size);

#endif
