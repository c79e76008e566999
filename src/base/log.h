/*
 * base/log.h: lines for the operator, on standard error; they may be lost.
 * The trace, which may not, is the store's. Neither ever holds a secret.
 *
 *     warn  proxy  peer dropped run=7821 why="chunk size over 16 hex digits"
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Who speaks, and how much: name must outlive the process. */
void log_init(const char *role, enum log_level most);

/* True when a line of this level would be written. */
bool log_on(enum log_level level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
