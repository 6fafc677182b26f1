/*
 * Reads the frames that both implementations must read alike (test/fixtures/guest/frames.txt says
 * how a line is written), once in one piece and once byte by byte, and prints what differs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../frame.h"

enum { LINE_BYTES = 1 << 18, STREAM_BYTES = 1 << 18 };

static char line[LINE_BYTES], found[LINE_BYTES];
static uint8_t stream[STREAM_BYTES];

/* "00ff,z5,01": hexadecimal digits, and runs of zeros. */
static size_t read_stream(char *text) {
	size_t n = 0;
	char *rest = NULL;
	for (char *token = strtok_r(text, ",", &rest); token != NULL; token = strtok_r(NULL, ",", &rest)) {
		if (token[0] == 'z') {
			size_t zeros = strtoul(token + 1, NULL, 10);
			memset(stream + n, 0, zeros);
			n += zeros;
			continue;
		}
		for (char *p = token; p[0] != 0 && p[1] != 0; p += 2) {
			char pair[3] = {p[0], p[1], 0};
			stream[n++] = (uint8_t)strtoul(pair, NULL, 16);
		}
	}
	return n;
}

static void note(const struct frame *frame) {
	char *at = found + strlen(found);
	at += sprintf(at, "%s%02x:%u:%u:", found[0] ? "," : "", frame->type, frame->id, frame->part);
	for (size_t i = 0; i < frame->length; i++) at += sprintf(at, "%02x", frame->payload[i]);
}

static void parse(size_t n, size_t cut) {
	static struct frame_parser parser;
	frame_reset(&parser);
	found[0] = 0;
	for (size_t at = 0; at < n;) {
		struct frame frame;
		enum frame_result result;
		at += frame_parse(&parser, stream + at, n - at < cut ? n - at : cut, &frame, &result);
		if (result == FRAME_READY) note(&frame);
		if (result == FRAME_LOST) strcat(found, found[0] ? ",lost" : "lost");
	}
	if (found[0] == 0) strcpy(found, "-");
}

int main(int argc, char **argv) {
	FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
	int count = 0, wrong = 0;
	if (file == NULL) return 2;
	while (fgets(line, sizeof line, file) != NULL) {
		char *name = strtok(line, " \n"), *text = strtok(NULL, " \n"), *expected = strtok(NULL, " \n");
		if (name == NULL || name[0] == '#' || expected == NULL) continue;
		size_t n = read_stream(text);
		for (size_t cut = n; cut > 0; cut = cut == n && n > 1 ? 1 : 0) {
			parse(n, cut);
			if (strcmp(found, expected) == 0) continue;
			printf("%s (cut %zu): expected %s, found %s\n", name, cut, expected, found);
			wrong++;
		}
		count++;
	}
	fclose(file);
	printf("%d streams\n", count);
	return wrong > 0 || count == 0;
}
