/*
 * out.c - one report, as text for people or as JSON for programs
 */
#include <stdio.h>

#include "tool.h"

/* JSON: the comma and the quoted name in front of a value. */
static void json_name(struct out *o, const char *name)
{
	if (!o->first)
		putchar(',');
	o->first = false;
	if (name)
		printf("\"%s\":", name);
}

static void json_quote(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			printf("\\u%04x", *s);
		else
			putchar(*s);
	}
	putchar('"');
}

static void json_open(struct out *o, const char *name, char bracket)
{
	json_name(o, name);
	putchar(bracket);
	o->first = true;
}

static void json_close(struct out *o, char bracket)
{
	putchar(bracket);
	o->first = false;
}

void out_start(struct out *o, bool json)
{
	*o = (struct out){.json = json, .first = true};
	if (json)
		putchar('{');
}

void out_end(struct out *o)
{
	if (o->json)
		puts("}");
}

void out_open(struct out *o, const char *name)
{
	if (o->json)
		json_open(o, name, '{');
	else
		printf("%s\n", name);
	o->depth++;
}

void out_close(struct out *o)
{
	o->depth--;
	if (o->json)
		json_close(o, '}');
}

void out_list(struct out *o, const char *name)
{
	if (o->json)
		json_open(o, name, '[');
}

void out_list_end(struct out *o)
{
	if (o->json)
		json_close(o, ']');
}

void out_item(struct out *o)
{
	if (o->json)
		json_open(o, NULL, '{');
	o->depth++;
}

void out_number(struct out *o, const char *name, uint64_t value, const char *text)
{
	if (o->json) {
		json_name(o, name);
		printf("%llu", (unsigned long long)value);
		return;
	}
	printf("%*s%-24s %12llu", (int)o->depth * 2, "", name, (unsigned long long)value);
	printf(text ? "  %s\n" : "%s\n", text ? text : "");
}

void out_string(struct out *o, const char *name, const char *value)
{
	if (!o->json) {
		printf("%*s%-24s %s\n", (int)o->depth * 2, "", name, value);
		return;
	}
	json_name(o, name);
	json_quote(value);
}
